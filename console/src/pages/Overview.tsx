import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";

import type { Approval, RunSummary } from "../api/client";
import { runs, runsSince, waiting } from "../api/queries";
import type { RunsSearch } from "../router";
import { Status } from "../parts/status";
import { Code, Deadline, Empty, FailedRequest, Time } from "../parts/ui";
import { aboutWords, costOf, moneyWords, problemIn, problemWords, taskName } from "../parts/words";
import { Doing, Trials, Trouble } from "./Oversight";
import { Throughput } from "./Throughput";

const SHOWN = 6;
const UNDER_WAY = ["running", "pending"];

function startOfToday(): string {
  const today = new Date();
  today.setHours(0, 0, 0, 0);
  return today.toISOString();
}

export function Overview() {
  const since = startOfToday();
  const today = useQuery(runsSince(since));
  const active = useQuery(runs({ status: UNDER_WAY, limit: 200 }));
  const faulted = useQuery(runs({ status: ["faulted", "diverged"], since, limit: 200 }));
  const open = useQuery(waiting);
  const failure = today.error ?? active.error ?? faulted.error ?? open.error;
  if (failure) return <FailedRequest error={failure} />;
  if (!today.data || !active.data || !faulted.data || !open.data) return null;
  if (today.data.runs.length === 0 && active.data.runs.length === 0 && open.data.approvals.length === 0) return <Quiet />;
  const cost = today.data.runs.reduce((sum, run) => sum + costOf(run.cost).usd_micros, 0);
  const more = today.data.whole ? "" : "+";
  return (
    <>
      <h1 className="sr-only">Overview</h1>
      <div className="grid grid-cols-5 gap-3 max-lg:grid-cols-3 max-md:grid-cols-2">
        <Figure name="Running now" value={size(active.data)} search={{ status: UNDER_WAY }} />
        <Link to="/approvals" className={FIGURE}>
          <Measure name="Waiting for a person" value={String(open.data.approvals.length)} />
        </Link>
        <Figure name="Faulted today" value={size(faulted.data)} search={{ status: ["faulted", "diverged"], since }} />
        <Figure name="Runs today" value={`${today.data.runs.length.toLocaleString()}${more}`} search={{ since }} />
        <Figure name="Cost today" value={`${moneyWords(cost)}${more}`} search={{ since }} />
      </div>
      <div className="mt-4 grid grid-cols-2 items-start gap-4 max-lg:grid-cols-1">
        <div className="grid min-w-0 gap-4">
          <Approvals approvals={open.data.approvals} />
          <Throughput runs={today.data.runs} whole={today.data.whole} />
          <Trials />
        </div>
        <div className="grid min-w-0 gap-4">
          <Trouble />
          <Faults runs={faulted.data.runs} since={since} />
          <Doing />
          <Active runs={active.data.runs} />
        </div>
      </div>
    </>
  );
}

const size = (page: { runs: RunSummary[]; next: string | null }) => `${page.runs.length}${page.next ? "+" : ""}`;

const FIGURE = "card block px-4 py-3 hover:border-accent max-md:last:col-span-2";

function Figure({ name, value, search }: { name: string; value: string; search: RunsSearch }) {
  return (
    <Link to="/runs" search={search} className={FIGURE}>
      <Measure name={name} value={value} />
    </Link>
  );
}

function Measure({ name, value }: { name: string; value: string }) {
  return (
    <>
      <span className="block text-quiet">{name}</span>
      <span className="number block text-[22px] leading-7 font-semibold">{value}</span>
    </>
  );
}

export function Panel({ title, more, children }: { title: string; more?: ReactNode; children: ReactNode }) {
  return (
    <section className="card min-w-0 overflow-hidden">
      <div className="flex items-center justify-between border-b border-line px-4 py-2">
        <h2 className="heading">{title}</h2>
        {more}
      </div>
      {children}
    </section>
  );
}

const MORE = "text-accent hover:underline";
const ROW = "flex items-baseline gap-3 px-4 py-2 hover:bg-sunken";

function Approvals({ approvals }: { approvals: Approval[] }) {
  return (
    <Panel title="Waiting for a person" more={<Link to="/approvals" className={MORE}>All {approvals.length}</Link>}>
      {approvals.length === 0 && <Empty title="Nothing waits for anybody." />}
      <ul className="divide-y divide-line">
        {approvals.slice(0, SHOWN).map((each) => (
          <li key={each.id}>
            <Link to="/approvals/$id" params={{ id: each.id }} className={ROW}>
              <span className="min-w-0 flex-1 truncate">
                {each.title} <span className="text-quiet [unicode-bidi:isolate]">{aboutWords(each.show)}</span>
              </span>
              <span className="shrink-0 text-quiet max-md:hidden">{each.role ?? each.user ?? "anybody"}</span>
              <span className="w-20 shrink-0 text-right text-quiet">
                {each.expires_at ? <Deadline at={each.expires_at} /> : <Time at={each.created_at} />}
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Faults({ runs, since }: { runs: RunSummary[]; since: string }) {
  return (
    <Panel
      title="Faulted today"
      more={<Link to="/runs" search={{ status: ["faulted", "diverged"], since }} className={MORE}>All</Link>}
    >
      {runs.length === 0 && <Empty title="Nothing has failed today." />}
      <ul className="divide-y divide-line">
        {runs.slice(0, SHOWN).map((run) => (
          <FaultedRun key={run.id} run={run} />
        ))}
      </ul>
    </Panel>
  );
}

function FaultedRun({ run }: { run: RunSummary }) {
  const problem = problemIn(run.problem);
  return (
    <li>
      <Link to="/runs/$id" params={{ id: run.id }} className="block px-4 py-2 hover:bg-sunken">
        <span className="flex items-baseline gap-3">
          <Status status={run.status} />
          <span className="min-w-0 flex-1 truncate">
            {run.workflow}
            {problem?.instance && <span className="text-quiet"> at {taskName(problem.instance)}</span>}
          </span>
          <span className="text-quiet"><Time at={run.ended_at ?? run.created_at} /></span>
        </span>
        {problem && <span className="mt-0.5 line-clamp-2 break-words text-quiet">{problemWords(problem)}</span>}
      </Link>
    </li>
  );
}

function Active({ runs }: { runs: RunSummary[] }) {
  return (
    <Panel title="Running now" more={<Link to="/runs" search={{ status: UNDER_WAY }} className={MORE}>All</Link>}>
      {runs.length === 0 && <Empty title="Nothing runs at this moment." />}
      <ul className="divide-y divide-line">
        {runs.slice(0, SHOWN).map((run) => (
          <li key={run.id}>
            <Link to="/runs/$id" params={{ id: run.id }} className={ROW}>
              <Status status={run.status} />
              <span className="min-w-0 flex-1 truncate">{run.workflow}</span>
              <span className="text-quiet"><Time at={run.started_at ?? run.created_at} /></span>
            </Link>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Quiet() {
  const started = runs({ limit: 1 });
  const ever = useQuery(started).data?.runs.length;
  return (
    <div className="card mx-auto mt-[12vh] max-w-xl">
      <Empty title={ever ? "Quiet today: nothing has run, and nothing waits." : "Nothing has run here yet."}>
        <p>Start a workflow from the project's folder, and it appears here as it runs:</p>
        <p className="my-3"><Code>orchestrion run WORKFLOW --input '{"{}"}'</Code></p>
        {ever ? <Link to="/runs" className={MORE}>Show older runs</Link> : null}
      </Empty>
    </div>
  );
}
