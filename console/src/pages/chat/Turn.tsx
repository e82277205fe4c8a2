import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import type { EntrySummary, Json, Partner, RunSummary, RunWhole } from "../../api/client";
import { useRunStream } from "../../api/live";
import { approvalsOf, run as runQuery } from "../../api/queries";
import { FailedRequest, ProblemPanel, Time, Value } from "../../parts/ui";
import { costOf, moneyWords, problemIn, secondsBetween, spanWords } from "../../parts/words";
import { Question } from "../approvals/Question";
import { Answer, language } from "./Answer";
import { Lines, Makers } from "./Lines";
import { Opinion } from "./Opinion";
import { entriesOf } from "./queries";
import { draftWords, fieldsOf, hasEnded, shortName } from "./talk";

/** Characters of an answer that is being made; when it is whole, all of it can be read. */
const SPOKEN = 20_000;

interface TurnProps {
  partner: Partner;
  run: RunSummary;
  /** Called with the run as it moves. */
  moved: (run: RunSummary) => void;
  /** Called when a question has been answered. */
  answered: () => void;
}

/** What somebody said, and what came of it. */
export function Turn(props: TurnProps) {
  const [live] = useState(!hasEnded(props.run));
  return <li className="space-y-2">{live ? <Following {...props} /> : <Past {...props} />}</li>;
}

function Following(props: TurnProps) {
  const { run, moved } = props;
  const { entries, summary, speech, drafts } = useRunStream(run.id);
  const heard = useRef({ key: "", text: "" });
  useEffect(() => {
    if (summary) moved(summary);
    // only news counts, not who listens
  }, [summary]);
  const said = [...drafts, ...speech].map(([key, text]) => [key, draftWords(text, language)] as const).at(-1);
  if (said?.[1]) heard.current = { key: said[0], text: said[1] };
  // what has been said whole stands until the answer does
  const stands = said?.[1] || entries.some((entry) => entry.key === heard.current.key && entry.status === "completed");
  return <Shown {...props} entries={entries} speech={stands ? heard.current.text : undefined} />;
}

function Past(props: TurnProps) {
  const found = useQuery(entriesOf(props.run.id)).data;
  return <Shown {...props} entries={found?.entries ?? []} />;
}

function Shown({ partner, run, entries, speech, answered }: TurnProps & { entries: readonly EntrySummary[]; speech?: string | undefined }) {
  const found = useQuery(runQuery(run.id));
  const whole = found.data;
  if (found.error) return <FailedRequest error={found.error} />;
  if (!whole) return null;
  const ended = hasEnded(run) && hasEnded(whole);
  return (
    <>
      <Said partner={partner} input={whole.input as Json} />
      <div className="min-w-0">
        <Lines run={run.id} partner={shortName(partner.name)} entries={entries} />
        {entries.some((entry) => entry.kind === "request") && <Questions run={run.id} answered={answered} />}
        {!ended && speech && <p dir="auto" className="whitespace-pre-wrap break-words [unicode-bidi:isolate]">{speech.slice(-SPOKEN)}</p>}
        <div aria-live="polite">{ended ? <Outcome run={whole} by={shortName(partner.name)} /> : <Meanwhile run={run} entries={entries} speaks={speech !== undefined} />}</div>
        {ended && <Foot run={whole} entries={entries} />}
      </div>
    </>
  );
}

function Said({ partner, input }: { partner: Partner; input: Json }) {
  const fields = fieldsOf(partner, input);
  const said = partner.text === null ? undefined : fields[partner.text];
  return <Bubble value={said ?? fields} />;
}

export function Bubble({ value }: { value: Json }) {
  return (
    <div className="ml-auto w-fit max-w-[85%] rounded-lg rounded-br-sm bg-chosen px-3 py-2">
      <span className="sr-only">You said: </span>
      <Value value={value} />
    </div>
  );
}

function Meanwhile({ run, entries, speaks }: { run: RunSummary; entries: readonly EntrySummary[]; speaks: boolean }) {
  if (entries.some((entry) => entry.kind === "request" && entry.status === "intent")) return <p className="mt-1 text-wait">Waits for a person.</p>;
  if (run.status === "waiting") {
    // for a time, an event, or a person whom another run asks that this one began
    return <p className="mt-1 text-wait">Waits. <Link to="/runs/$id" params={{ id: run.id }} className="underline">See for what</Link></p>;
  }
  return speaks ? null : <p className="mt-1 animate-pulse text-quiet motion-reduce:animate-none">Working on it…</p>;
}

function Outcome({ run, by }: { run: RunWhole; by: string }) {
  const problem = problemIn(run.problem);
  if (run.status === "cancelled") return <p className="text-quiet">Stopped before there was an answer.</p>;
  if (run.status === "completed") return <div className="card w-fit max-w-full rounded-lg rounded-bl-sm px-3 py-2"><span className="sr-only">{by} answers: </span><Answer output={run.output as Json} /></div>;
  return (
    <ProblemPanel problem={problem ?? { detail: `The run has ended as ${run.status}.` }}>
      <Link to="/runs/$id" params={{ id: run.id }} className="mt-2 inline-block text-accent underline">Find out why in the run</Link>
    </ProblemPanel>
  );
}

function Questions({ run, answered }: { run: string; answered: () => void }) {
  const found = useQuery(approvalsOf(run)).data?.approvals ?? [];
  return (
    <div className="space-y-2">
      {found.map((each) => (
        <div key={each.id} className={each.status === "open" ? "my-2" : ""}>
          {each.status === "open" ? <Question approval={each} answered={answered} /> : <Settled title={each.title} status={each.status} answer={each.answer} />}
        </div>
      ))}
    </div>
  );
}

function Settled({ title, status, answer }: { title: string; status: string; answer: unknown }) {
  const given = (answer ?? {}) as { verdict?: string; by?: string; reason?: string };
  return (
    <p className="text-[12.5px] break-words [unicode-bidi:isolate]">
      {title}: <span className={given.verdict === "approved" ? "text-good" : given.verdict === "rejected" ? "text-bad" : ""}>{given.verdict ?? status}</span>
      {given.by && ` by ${given.by}`}
      {given.reason && <span className="text-quiet">: {given.reason}</span>}
    </p>
  );
}

function Foot({ run, entries }: { run: RunWhole; entries: readonly EntrySummary[] }) {
  const { usd_micros: micros } = costOf(run.cost);
  return (
    <div className="mt-1 flex flex-wrap items-center gap-x-3 gap-y-1 text-[12.5px] text-quiet">
      <Makers run={run.id} entries={entries} />
      {run.ended_at && <Time at={run.ended_at} />}
      {run.started_at && <span className="number">{spanWords(secondsBetween(run.started_at, run.ended_at))}</span>}
      {micros > 0 && <span className="number">{moneyWords(micros)}</span>}
      <Link to="/runs/$id" params={{ id: run.id }} className="text-accent underline">The run</Link>
      {run.status === "completed" && <Opinion run={run} />}
    </div>
  );
}
