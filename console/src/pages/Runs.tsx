import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";

import type { RunSummary } from "../api/client";
import { runs, workflows } from "../api/queries";
import type { RunsSearch } from "../router";
import { useKeys } from "../parts/keys";
import { RUN_STATUSES, Status } from "../parts/status";
import { Button, Code, Empty, FailedRequest, Key, Time } from "../parts/ui";
import { costOf, moneyWords, problemIn, problemWords, secondsBetween, spanWords } from "../parts/words";

export function Runs() {
  const search = useSearch({ from: "/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const page = useQuery({ ...runs({ ...search, limit: 50 }), placeholderData: keepPreviousData });
  const change = (changed: RunsSearch) => void navigate({ search: (old) => ({ ...old, after: undefined, ...changed }) });
  const filtered = Boolean(search.workflow || search.status?.length || search.since);
  return (
    <>
      <div className="mb-3 flex flex-wrap items-center gap-x-4 gap-y-2">
        <h1 className="text-[17px] font-semibold">Runs</h1>
        <Filters search={search} change={change} />
        {filtered && <Button onClick={() => void navigate({ search: {} })}>Clear</Button>}
      </div>
      {page.error && <FailedRequest error={page.error} />}
      {page.data && (
        <div className="card overflow-hidden">
          {page.data.runs.length === 0 ? <None filtered={filtered} /> : <Table runs={page.data.runs} />}
        </div>
      )}
      <div className="mt-3 flex items-center gap-2">
        {search.after && <Link to="/runs" search={{ ...search, after: undefined }} className={PAGER}>Newest</Link>}
        {page.data?.next && <Link to="/runs" search={{ ...search, after: page.data.next }} className={PAGER}>Older</Link>}
        <span className="ml-auto text-quiet max-md:hidden">
          <Key>j</Key> <Key>k</Key> move, <Key>Enter</Key> opens
        </span>
      </div>
    </>
  );
}

const PAGER = "rounded border border-line bg-card px-3 py-1.5 font-medium hover:bg-sunken";

interface FiltersProps {
  search: RunsSearch;
  change: (changed: RunsSearch) => void;
}

function Filters({ search, change }: FiltersProps) {
  const [workflow, setWorkflow] = useState(search.workflow ?? "");
  useEffect(() => setWorkflow(search.workflow ?? ""), [search.workflow]);
  const names = useQuery(workflows).data?.workflows.map((each) => each.name) ?? [];
  const chosen = search.status ?? [];
  const toggle = (status: string) => {
    const others = chosen.filter((each) => each !== status);
    const status_ = others.length === chosen.length ? [...chosen, status] : others;
    change({ status: status_.length ? status_ : undefined });
  };
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          change({ workflow: workflow.trim() || undefined });
        }}
      >
        <input
          aria-label="Workflow"
          placeholder="Workflow, then Enter"
          list="workflows"
          value={workflow}
          onChange={(event) => {
            setWorkflow(event.target.value);
            if (names.includes(event.target.value) || event.target.value === "") change({ workflow: event.target.value || undefined });
          }}
          className="w-56"
        />
        <datalist id="workflows">{names.map((name) => <option key={name} value={name} />)}</datalist>
      </form>
      <div role="group" aria-label="Status" className="flex flex-wrap gap-1">
        {RUN_STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            aria-pressed={chosen.includes(status)}
            onClick={() => toggle(status)}
            className="rounded border border-line bg-card px-2 py-1 hover:bg-sunken aria-pressed:border-accent aria-pressed:bg-chosen"
          >
            <Status status={status} />
          </button>
        ))}
      </div>
      <Since since={search.since} change={(since) => change({ since })} />
    </>
  );
}

const HOUR_MS = 3_600_000;
const SPANS: [string, number][] = [
  ["Last hour", HOUR_MS],
  ["Last day", 24 * HOUR_MS],
  ["Last week", 168 * HOUR_MS],
];

function Since({ since, change }: { since: string | undefined; change: (since: string | undefined) => void }) {
  return (
    <select
      aria-label="Created"
      value={since ? "kept" : ""}
      onChange={(event) => {
        const span = Number(event.target.value);
        change(span ? new Date(Date.now() - span).toISOString() : undefined);
      }}
    >
      <option value="">Any time</option>
      {since && <option value="kept">Since {new Date(since).toLocaleString()}</option>}
      {SPANS.map(([word, span]) => <option key={word} value={span}>{word}</option>)}
    </select>
  );
}

function Table({ runs }: { runs: RunSummary[] }) {
  const body = useRef<HTMLTableSectionElement>(null);
  const move = (step: number) => {
    const links = [...(body.current?.querySelectorAll<HTMLAnchorElement>("a[data-run]") ?? [])];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
  return (
    <table className="w-full table-fixed text-left">
      <thead className="border-b border-line text-quiet max-md:sr-only">
        <tr>
          <th className="w-32 px-4 py-2 font-medium">Status</th>
          <th className="px-4 py-2 font-medium">Workflow</th>
          <th className="w-40 px-4 py-2 font-medium">Created</th>
          <th className="w-28 px-4 py-2 text-right font-medium">Lasted</th>
          <th className="w-32 px-4 py-2 font-medium max-lg:hidden">By</th>
          <th className="w-24 px-4 py-2 text-right font-medium max-lg:hidden">Cost</th>
        </tr>
      </thead>
      <tbody ref={body} className="divide-y divide-line">
        {runs.map((run) => <Row key={run.id} run={run} />)}
      </tbody>
    </table>
  );
}

function Row({ run }: { run: RunSummary }) {
  const problem = problemIn(run.problem);
  return (
    <tr className="relative align-top hover:bg-sunken has-[a:focus-visible]:bg-chosen max-md:grid max-md:grid-cols-[1fr_auto] max-md:px-3 max-md:py-2">
      <td className="px-4 py-2 max-md:order-2 max-md:p-0"><Status status={run.status} /></td>
      <td className="px-4 py-2 max-md:order-1 max-md:min-w-0 max-md:p-0">
        <Link data-run to="/runs/$id" params={{ id: run.id }} className="block truncate after:absolute after:inset-0">
          {run.workflow}
          {run.row !== null && <span className="text-quiet"> row {run.row}</span>}
        </Link>
        {problem && <span className="line-clamp-1 break-words text-quiet">{problemWords(problem)}</span>}
      </td>
      <td className="px-4 py-2 text-quiet max-md:order-3 max-md:p-0"><Time at={run.created_at} /></td>
      <td className="number px-4 py-2 text-right text-quiet max-md:order-4 max-md:p-0">
        {run.started_at ? spanWords(secondsBetween(run.started_at, run.ended_at)) : ""}
      </td>
      <td className="truncate px-4 py-2 text-quiet max-lg:hidden">{run.subject}</td>
      <td className="number px-4 py-2 text-right text-quiet max-lg:hidden">{moneyWords(costOf(run.cost).usd_micros)}</td>
    </tr>
  );
}

function None({ filtered }: { filtered: boolean }) {
  if (filtered) {
    return (
      <Empty title="No run fits these filters.">
        <Link to="/runs" search={{}} className="text-accent hover:underline">Show all runs</Link>
      </Empty>
    );
  }
  return (
    <Empty title="Nothing has run here yet.">
      Start a workflow from the project's folder: <Code>orchestrion run WORKFLOW --input '{"{}"}'</Code>
    </Empty>
  );
}
