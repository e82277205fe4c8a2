import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";

import { api, type EntrySummary, type EntryWhole, type Json } from "../../api/client";
import { entry as entryQuery, me } from "../../api/queries";
import { Status } from "../../parts/status";
import { Button, FailedRequest, ProblemPanel, Time, Value } from "../../parts/ui";
import { costOf, counted, isRecord, moneyWords, problemIn, secondsBetween, spanWords, taskName } from "../../parts/words";
import { functionName } from "./steps";

/** One step: what went in and came out, what was decided about it, and why it came out so. */
export function StepDetail({ run, entry }: { run: string; entry: EntrySummary }) {
  const whole = useQuery(entryQuery(run, entry.place, entry.status));
  const problem = problemIn(entry.problem);
  return (
    <section aria-label="Step" className="min-w-0 p-4">
      <header className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <h2 className="text-[15px] font-semibold break-words">{functionName(entry) || taskName(entry.task || entry.key)}</h2>
        <Status status={entry.status} />
        {entry.model && <span className="text-quiet">{entry.model}</span>}
      </header>
      <p className="mt-1 font-mono text-[12px] break-all text-quiet">{entry.key}</p>
      <Facts entry={entry} />
      <RerunFrom run={run} entry={entry} />
      {problem && <div className="mt-3"><ProblemPanel problem={problem} /></div>}
      {whole.error && <div className="mt-3"><FailedRequest error={whole.error} /></div>}
      {whole.data && <Record entry={whole.data} />}
    </section>
  );
}

/** The outermost task that an entry belongs to: only from those can a run be done again in part. */
const outermost = (key: string) => /^\/do\/\d+\/([^/#]+)/.exec(key)?.[1];

function RerunFrom({ run, entry }: { run: string; entry: EntrySummary }) {
  const navigate = useNavigate();
  const who = useQuery(me).data;
  const task = outermost(entry.key);
  const rerun = useMutation({
    mutationFn: (from: string) => api.rerun(run, { task: from }),
    onSuccess: (again) => void navigate({ to: "/runs/$id", params: { id: again.id } }),
  });
  if (!task || !who?.roles.some((role) => role === "operator" || role === "admin")) return null;
  return (
    <div className="mt-3">
      <Button disabled={rerun.isPending} onClick={() => rerun.mutate(task)} title="A new run that takes over what came before this task">
        Rerun from {task}
      </Button>
      {rerun.error && <div className="mt-2"><FailedRequest error={rerun.error} /></div>}
    </div>
  );
}

function Facts({ entry }: { entry: EntrySummary }) {
  const cost = costOf(entry.cost);
  const tokens = cost.input_tokens + cost.output_tokens;
  return (
    <p className="mt-2 flex flex-wrap gap-x-4 text-quiet">
      {entry.started_at && <span>began <Time at={entry.started_at} /></span>}
      {entry.started_at && entry.ended_at && <span>took {spanWords(secondsBetween(entry.started_at, entry.ended_at))}</span>}
      {entry.subject && <span>by {entry.subject}</span>}
      {tokens > 0 && <span>{counted(tokens, "token")}, {moneyWords(cost.usd_micros)}</span>}
    </p>
  );
}

function Record({ entry }: { entry: EntryWhole }) {
  return (
    <>
      {isRecord(entry.decision) && <Part title="Decision"><Decision decision={entry.decision} /></Part>}
      {notEmpty(entry.why) && <Part title="Why"><Value value={entry.why} /></Part>}
      {entry.output !== null && <Part title="Output"><Value value={entry.output} /></Part>}
      {entry.input !== null && <Part title="Input"><Value value={entry.input} /></Part>}
      {notEmpty(entry.labels) && <Part title="Labels"><Value value={entry.labels} /></Part>}
      {notEmpty(entry.versions) && <Part title="Versions"><Value value={entry.versions} /></Part>}
    </>
  );
}

const notEmpty = (value: unknown) => isRecord(value) && Object.keys(value).length > 0;

export function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <details open className="mt-4">
      <summary className="heading mb-1.5 text-quiet">{title}</summary>
      {children}
    </details>
  );
}

const VERDICTS: Record<string, string> = { allow: "Allowed", deny: "Refused", "needs-approval": "Needs an approval" };

function Decision({ decision }: { decision: { [name: string]: Json } }) {
  const { verdict, policies, reason, approved_by: by, approved_by_role: role } = decision;
  const named = Array.isArray(policies) && policies.length > 0 ? ` by policy ${policies.join(", ")}` : "";
  return (
    <>
      <p>
        {VERDICTS[String(verdict)] ?? String(verdict)}
        {named}
        {by ? `, approved by ${String(by)}${role ? ` (${String(role)})` : ""}` : ""}.
      </p>
      {reason ? <p className="mt-1 text-quiet">{String(reason)}</p> : null}
    </>
  );
}
