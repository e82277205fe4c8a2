import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";

import type { EntrySummary, RunSummary, RunWhole } from "../../api/client";
import { type Followed, useRunStream } from "../../api/live";
import { approvalsOf, run as runQuery } from "../../api/queries";
import { useKeys } from "../../parts/keys";
import { Button, Empty, FailedRequest, ProblemPanel, Value } from "../../parts/ui";
import { counted, problemIn, taskName } from "../../parts/words";
import type { RunSearch } from "../../router";
import { Opinion } from "../chat/Opinion";
import { ENDED, RunHead } from "./RunHead";
import { Part, StepDetail } from "./StepDetail";
import { StepList } from "./StepList";
import { causeOf } from "./steps";

const Picture = lazy(() => import("./Picture"));
const Talk = lazy(() => import("./Talk"));

export function RunPage() {
  const { id } = useParams({ from: "/runs/$id" });
  const run = useQuery(runQuery(id));
  const followed = useRunStream(id);
  if (run.error) return <FailedRequest error={run.error} />;
  if (!run.data) return null;
  return <Run key={id} run={{ ...run.data, ...followed.summary }} followed={followed} />;
}

function Run({ run, followed }: { run: RunWhole; followed: Followed }) {
  const search = useSearch({ from: "/runs/$id" });
  const navigate = useNavigate({ from: "/runs/$id" });
  const problem = problemIn(run.problem);
  const cause = problem ? causeOf(followed.entries, problem.instance) : null;
  const place = search.step ?? cause?.place;
  const entry = followed.entries.find((each) => each.place === place);
  const choose = (step: number | undefined) => void navigate({ search: (old) => ({ ...old, step }), replace: true });
  const show = (view: View) => void navigate({ search: (old) => ({ ...old, view }), replace: true });
  const spoken = followed.entries.some((each) => each.subject?.startsWith("Agent::"));
  useKeys({
    p: () => show("picture"),
    s: () => show(undefined),
    c: () => spoken && show("conversation"),
    Escape: () => choose(undefined),
  });
  return (
    <>
      <RunHead run={run} />
      {problem && <Cause run={run} cause={cause} choose={choose} />}
      <WaitsFor run={run} />
      <div className="mt-4 grid grid-cols-[minmax(0,3fr)_minmax(0,2fr)] items-start gap-4 max-lg:grid-cols-1">
        <div className="card overflow-hidden">
          <Views view={search.view} spoken={spoken} show={show} all={search.all} setAll={(all) => void navigate({ search: (old) => ({ ...old, all }), replace: true })} />
          {search.view === "picture" ? (
            <Suspense fallback={<div className="h-[32rem]" />}>
              <Picture run={run} entries={followed.entries} chosen={entry} choose={choose} />
            </Suspense>
          ) : search.view === "conversation" ? (
            <Suspense fallback={<div className="h-[32rem]" />}>
              <Talk run={run} entries={followed.entries} />
            </Suspense>
          ) : (
            <StepList entries={followed.entries} all={search.all ?? false} chosen={place} choose={choose} speech={followed.speech} />
          )}
          {followed.settled && followed.entries.length === 0 && <Empty title="No step has begun yet." />}
        </div>
        <div className="card min-w-0 lg:sticky lg:top-16 lg:max-h-[calc(100dvh-5rem)] lg:overflow-y-auto" tabIndex={0} role="region" aria-label="Details">
          {entry ? <StepDetail run={run.id} entry={entry} /> : <Whole run={run} />}
          {entry && (
            <div className="px-4 pb-4">
              <Button onClick={() => choose(undefined)} className={cause?.place === entry.place ? "hidden" : ""}>Back to the run</Button>
            </div>
          )}
        </div>
      </div>
    </>
  );
}

type View = RunSearch["view"];

interface ViewsProps {
  view: View;
  /** Whether agents took part. */
  spoken: boolean;
  show: (view: View) => void;
  all: boolean | undefined;
  setAll: (all: true | undefined) => void;
}

function Views({ view, spoken, show, all, setAll }: ViewsProps) {
  const look = "rounded px-2.5 py-1 text-quiet hover:bg-sunken aria-pressed:bg-chosen aria-pressed:font-medium aria-pressed:text-text";
  return (
    <div className="flex items-center gap-1 border-b border-line px-3 py-1.5">
      <button type="button" aria-pressed={view === undefined} onClick={() => show(undefined)} className={look}>Steps</button>
      <button type="button" aria-pressed={view === "picture"} onClick={() => show("picture")} className={look}>Picture</button>
      {spoken && <button type="button" aria-pressed={view === "conversation"} onClick={() => show("conversation")} className={look}>Conversation</button>}
      {view === undefined && (
        <label className="ml-auto flex items-center gap-1.5 text-quiet">
          <input type="checkbox" checked={all ?? false} onChange={(event) => setAll(event.target.checked || undefined)} />
          Bookkeeping too
        </label>
      )}
    </div>
  );
}

function Cause({ run, cause, choose }: { run: RunSummary; cause: EntrySummary | null; choose: (place: number) => void }) {
  const problem = problemIn(run.problem);
  if (!problem) return null;
  return (
    <div className="mt-3">
      <ProblemPanel problem={problem}>
        {cause && (
          <Button className="mt-2" onClick={() => choose(cause.place)}>
            Show where: {taskName(cause.task || cause.key)}
          </Button>
        )}
      </ProblemPanel>
    </div>
  );
}

function WaitsFor({ run }: { run: RunSummary }) {
  const found = useQuery(approvalsOf(run.id)).data?.approvals.filter((each) => each.status === "open") ?? [];
  if (found.length === 0) return null;
  return (
    <section aria-label="Waiting for a person" className="mt-3 rounded-md border border-wait bg-wait-soft px-4 py-3">
      <p className="font-medium">{counted(found.length, "question")} for a person</p>
      <ul>
        {found.map((each) => (
          <li key={each.id}>
            <Link to="/approvals/$id" params={{ id: each.id }} className="text-accent underline">{each.title}</Link>
            <span className="text-quiet"> for {each.role ?? each.user ?? "anybody"}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Whole({ run }: { run: RunWhole }) {
  return (
    <section aria-label="Run" className="p-4">
      <h2 className="text-[15px] font-semibold">The run</h2>
      {run.output !== null && <Part title="Output"><Value value={run.output} /></Part>}
      <Part title="Input"><Value value={run.input} /></Part>
      {ENDED.has(run.status) && <Part title="What people say of it"><div className="flex flex-wrap items-center gap-2"><Opinion run={run} /></div></Part>}
      <Part title="Version">
        <Value value={{ version: run.version, digest: run.digest, ...(run.versions as object) }} />
      </Part>
    </section>
  );
}
