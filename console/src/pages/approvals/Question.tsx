import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useRef, useState } from "react";

import { type AnswerGiven, api, type Approval, type Json } from "../../api/client";
import { client, me, run as runQuery } from "../../api/queries";
import { useKeys } from "../../parts/keys";
import { Button, Deadline, FailedRequest, Key, Time, Value } from "../../parts/ui";
import { isRecord, taskName } from "../../parts/words";
import { Form } from "./Form";

interface QuestionProps {
  approval: Approval;
  answered: (words: string) => void;
}

/** One question with all that it takes to decide it. */
export function Question({ approval, answered }: QuestionProps) {
  const { show } = approval;
  const action = approval.kind === "approval" && isRecord(show) ? show : null;
  return (
    <article className="card" aria-label={approval.title}>
      <div className="p-4">
        <h2 className="text-[15px] font-semibold [unicode-bidi:isolate]">{approval.title}</h2>
        <Facts approval={approval} />
        {action ? (
          <>
            <Section title="What"><p className="font-mono text-[13px]">{String(action.action ?? action.function ?? "")}</p></Section>
            {action.why ? <Section title="Why it is asked"><Value value={action.why} /><Policies named={action.policies} /></Section> : null}
            <Section title="Arguments"><Value value={action.arguments} /></Section>
            {isRecord(action.origins) && <Section title="Where they come from"><Value value={action.origins} /></Section>}
          </>
        ) : (
          <Section title="What is known"><Value value={show} /></Section>
        )}
        <Binding binding={approval.binding} />
      </div>
      {approval.status === "open" ? <Decide approval={approval} answered={answered} /> : <Decided approval={approval} />}
    </article>
  );
}

function Facts({ approval }: { approval: Approval }) {
  const workflow = useQuery(runQuery(approval.run)).data?.workflow;
  return (
    <p className="mt-1 flex flex-wrap gap-x-4 text-quiet">
      <span>for {approval.role ?? approval.user ?? "anybody"}</span>
      <span>asked <Time at={approval.created_at} /></span>
      {approval.expires_at && <Deadline at={approval.expires_at} />}
      <Link to="/runs/$id" params={{ id: approval.run }} className="text-accent underline">
        {workflow ?? "the run"}, {taskName(approval.task)}
      </Link>
    </p>
  );
}

function Policies({ named }: { named: unknown }) {
  if (!Array.isArray(named) || named.length === 0) return null;
  return (
    <p className="mt-1 text-quiet">
      {named.length > 1 ? "Policies" : "Policy"} <span className="font-mono text-[12.5px] text-text">{named.join(", ")}</span>
    </p>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mt-4">
      <h3 className="heading mb-1 text-quiet">{title}</h3>
      {children}
    </section>
  );
}

function Binding({ binding }: { binding: unknown }) {
  if (!isRecord(binding)) return null;
  const short = (name: string) => String(binding[name] ?? "").slice(0, 12);
  return (
    <p className="mt-4 text-[12px] text-quiet">
      An answer counts once, for exactly these arguments (<span className="font-mono">{short("invocation")}</span>)
      {binding.policy ? <>, under policies <span className="font-mono">{short("policy")}</span></> : null}.
    </p>
  );
}

const DONE: Record<string, string> = {
  approved: "Approved",
  rejected: "Rejected",
  answered: "Answered",
  again: "To be performed again",
  performed: "Settled as performed",
  failed: "Settled as failed",
};

function Decide({ approval, answered }: QuestionProps) {
  const who = useQuery(me).data;
  const answer = useMutation({
    mutationFn: (given: AnswerGiven) => api.answer(approval.id, given),
    onSuccess: (decided, given) => {
      client.setQueryData(["approval", approval.id], decided);
      client.setQueryData(["approvals", "open"], (old: { approvals: Approval[] } | undefined) =>
        old && { approvals: old.approvals.filter((each) => each.id !== approval.id) });
      answered(`${DONE[given.verdict] ?? given.verdict}: ${approval.title}`);
    },
  });
  if (!who?.roles.some((role) => role === "approver" || role === "admin")) {
    return <p className="border-t border-line p-4 text-quiet">You may look at this; answering takes the role approver.</p>;
  }
  const say = (verdict: AnswerGiven["verdict"], rest: { value?: Json; reason?: string } = {}) =>
    answer.mutate({ verdict, binding: approval.binding, ...rest });
  return (
    <div className={`rounded-b-md border-t border-line bg-card p-4 ${approval.kind === "approval" ? "sticky bottom-0" : ""}`}>
      {answer.error && <div className="mb-3"><FailedRequest error={answer.error} /></div>}
      {approval.kind === "human" && <Form schema={approval.form} busy={answer.isPending} submit={(value) => say("answered", { value })} />}
      <Verdicts approval={approval} busy={answer.isPending} say={say} />
    </div>
  );
}

interface VerdictsProps {
  approval: Approval;
  busy: boolean;
  say: (verdict: AnswerGiven["verdict"], rest?: { reason?: string }) => void;
}

function Verdicts({ approval, busy, say }: VerdictsProps) {
  const [rejecting, setRejecting] = useState(false);
  const reason = useRef<HTMLTextAreaElement>(null);
  const approve = () => approval.kind === "approval" && !busy && say("approved");
  useKeys({ a: approve, r: () => approval.kind !== "interrupted" && setRejecting(true) });
  if (approval.kind === "interrupted") {
    return (
      <div className="flex flex-wrap gap-2">
        <Button look="main" disabled={busy} onClick={() => say("again")}>Perform it again</Button>
        <Button disabled={busy} onClick={() => say("performed")}>It did happen</Button>
        <Button look="bad" disabled={busy} onClick={() => say("failed")}>It failed</Button>
      </div>
    );
  }
  if (rejecting) {
    return (
      <form
        className="mt-1"
        onSubmit={(event) => {
          event.preventDefault();
          say("rejected", { reason: reason.current?.value.trim() ?? "" });
        }}
      >
        <label className="block">
          <span className="text-quiet">Why not?</span>
          <textarea
            ref={reason}
            autoFocus
            required
            rows={2}
            maxLength={10_000}
            className="mt-1 w-full"
            onKeyDown={(event) => {
              if (event.key === "Escape") setRejecting(false);
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
            }}
          />
        </label>
        <div className="mt-2 flex gap-2">
          <Button type="submit" look="bad" disabled={busy}>Reject</Button>
          <Button onClick={() => setRejecting(false)}>Not yet</Button>
        </div>
      </form>
    );
  }
  return (
    <div className="flex gap-2 max-md:[&>button]:min-h-11 max-md:[&>button]:flex-1">
      {approval.kind === "approval" && <Button look="main" disabled={busy} onClick={approve}>Approve <Key>a</Key></Button>}
      <Button look="bad" disabled={busy} onClick={() => setRejecting(true)}>Reject <Key>r</Key></Button>
    </div>
  );
}

function Decided({ approval }: { approval: Approval }) {
  const answer = isRecord(approval.answer) ? approval.answer : null;
  return (
    <div className="border-t border-line p-4">
      <p className="font-medium">
        {answer ? `${DONE[String(answer.verdict)] ?? String(answer.verdict)} by ${String(answer.by)}` : `This is ${approval.status}: it takes no answer any more.`}
      </p>
      {answer?.reason ? <p className="mt-1 whitespace-pre-wrap text-quiet">{String(answer.reason)}</p> : null}
    </div>
  );
}
