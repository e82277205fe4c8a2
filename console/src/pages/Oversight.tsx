import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import type { Drift, Rollout, Watched } from "../api/client";
import { alerts, incidents, rollouts, watching } from "../api/queries";
import { Empty, FailedRequest, Time } from "../parts/ui";
import { counted, fieldWords, spanWords } from "../parts/words";
import { Panel } from "./Overview";

/** What is told of everybody, and what is bad news of it. */
const BAD = ["errors", "denied", "rejected", "abstained", "corrected", "bad"] as const;
const KINDS = ["agent", "router", "model"];

const numberOf = (watched: Watched, measure: string) => (typeof watched[measure] === "number" ? (watched[measure] as number) : 0);

/** How agents, routers and models did in the last day, those with most trouble first. */
export function Doing() {
  const found = useQuery(watching);
  if (found.error) return <Panel title="Agents and models"><FailedRequest error={found.error} /></Panel>;
  if (!found.data) return null;
  const trouble = (each: Watched) => BAD.reduce((sum, measure) => sum + numberOf(each, measure), 0) / Math.max(1, numberOf(each, "count"));
  const listed = found.data.measures
    .filter((each) => KINDS.includes(each.of) && numberOf(each, "count") > 0)
    .sort((a, b) => trouble(b) - trouble(a) || numberOf(b, "count") - numberOf(a, "count"));
  return (
    <Panel title="Agents and models, last 24 hours">
      {listed.length === 0 && <Empty title="No agent, router or model was asked." />}
      <ul className="divide-y divide-line">
        {listed.map((each) => (
          <Who key={`${each.of} ${each.name}`} watched={each} drift={found.data.drift} />
        ))}
      </ul>
    </Panel>
  );
}

function Who({ watched, drift }: { watched: Watched; drift: Drift[] }) {
  const count = numberOf(watched, "count");
  const bad = BAD.filter((measure) => numberOf(watched, measure) > 0);
  const middle = watched.seconds_p50;
  const changes = drift
    .filter((each) => each.of === watched.of && each.name === watched.name && each.changes.length > 0)
    .map((each) => ({ signal: each.signal, change: each.changes.at(-1) }));
  return (
    <li className="px-4 py-2">
      <div className="flex flex-wrap items-baseline gap-x-3">
        <span className="min-w-0 flex-1 truncate [unicode-bidi:isolate] max-md:basis-full">
          <span aria-hidden className={bad.length > 0 ? "text-wait" : "text-good"}>{bad.length > 0 ? "▲" : "✓"}</span> {watched.name}{" "}
          <span className="text-quiet">{watched.of}</span>
        </span>
        <span className="number text-quiet">
          {counted(count, watched.of === "agent" ? "turn" : "answer")}
          {typeof middle === "number" && `, ${spanWords(middle)} in the middle`}
        </span>
      </div>
      {bad.map((measure) => (
        <Share key={measure} watched={watched} measure={measure} count={count} />
      ))}
      {changes.map(({ signal, change }) => change && (
        <p key={signal} className="text-wait">
          <span aria-hidden>≠</span> {fieldWords(signal)} changed from {percent(change.before)} to {percent(change.after)}, <Time at={change.at} />
        </p>
      ))}
    </li>
  );
}

const percent = (share: number) => `${(share * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`;

/** One kind of trouble, and the runs behind it. */
function Share({ watched, measure, count }: { watched: Watched; measure: string; count: number }) {
  const times = numberOf(watched, measure);
  const behind = [...(watched.runs[measure] ?? [])].reverse();
  return (
    <details className="text-quiet">
      <summary>
        {measure === "bad" ? "thumbs down" : fieldWords(measure)}: {times.toLocaleString()} ({percent(times / Math.max(1, count))})
      </summary>
      <ul className="pl-4">
        {behind.map((run) => (
          <li key={run}>
            <Link to="/runs/$id" params={{ id: run }} className="font-mono text-[12.5px] text-accent hover:underline">{run}</Link>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Versions on trial, and those that ended in the last day. */
export function Trials() {
  const found = useQuery(rollouts);
  const since = Date.now() - 86_400_000;
  const listed = found.data?.rollouts.filter((each) => each.ended_at === null || Date.parse(each.ended_at) > since) ?? [];
  if (listed.length === 0) return null;
  return (
    <Panel title="Versions on trial">
      <ul className="divide-y divide-line">
        {listed.map((each) => (
          <Trial key={each.id} rollout={each} />
        ))}
      </ul>
    </Panel>
  );
}

const ENDED: Record<string, string> = { running: "▶ on trial", promoted: "✓ promoted", "rolled-back": "↩ taken back", stopped: "■ stopped" };

interface Evidence {
  against?: number;
  in_favour?: number;
  alpha?: number;
}

function Trial({ rollout }: { rollout: Rollout }) {
  const evidence = (rollout.evidence ?? {}) as Evidence;
  const sides = (rollout.runs ?? {}) as { candidate?: number; control?: number };
  const goal = 1 / (evidence.alpha ?? 0.05);
  return (
    <li className="px-4 py-2">
      <div className="flex flex-wrap items-baseline gap-x-3">
        <span className="whitespace-nowrap">{ENDED[rollout.status] ?? rollout.status}</span>
        <Link to="/runs" search={{ workflow: rollout.workflow, since: rollout.created_at }} className="min-w-0 flex-1 truncate text-accent hover:underline">
          {rollout.workflow}
        </Link>
        <span className="number text-quiet">
          {counted(sides.candidate ?? 0, "run")} beside {(sides.control ?? 0).toLocaleString()}
        </span>
      </div>
      {rollout.verdict && <p className="break-words text-quiet">{rollout.verdict}</p>}
      {evidence.against !== undefined && evidence.in_favour !== undefined && (
        <div className="mt-1 grid max-w-md gap-1">
          <Weight name="against it" value={evidence.against} goal={goal} colour="bg-bad" />
          <Weight name="for it" value={evidence.in_favour} goal={goal} colour="bg-good" />
        </div>
      )}
    </li>
  );
}

/** Evidence on the way to the goal at which it decides; both grow by multiplication, so the way is measured in logarithms. */
function Weight({ name, value, goal, colour }: { name: string; value: number; goal: number; colour: string }) {
  const part = Math.min(1, Math.max(0, Math.log(Math.max(value, 1)) / Math.log(goal)));
  const told = value >= 100 ? value.toLocaleString(undefined, { maximumFractionDigits: 0 }) : value.toPrecision(2);
  return (
    <div className="flex items-center gap-2 text-[12.5px] text-quiet">
      <span className="w-20 shrink-0">{name}</span>
      <span className="h-2 flex-1 overflow-hidden rounded bg-sunken" role="img" aria-label={`evidence ${name}: ${told} of ${goal.toLocaleString()}`}>
        <span className={`block h-full ${colour}`} style={{ width: `${part * 100}%` }} />
      </span>
      <span className="number w-24 shrink-0">{told} of {goal.toLocaleString()}</span>
    </div>
  );
}

/** What is out of bounds, and models that are gone: shown only where there is any. */
export function Trouble() {
  const open = useQuery(alerts).data?.alerts ?? [];
  const gone = useQuery(incidents).data?.incidents.filter((each) => each.closed_at === null) ?? [];
  if (open.length + gone.length === 0) return null;
  return (
    <Panel title="Out of bounds">
      <ul className="divide-y divide-line">
        {open.map((each) => (
          <li key={each.id} className="px-4 py-2">
            <p className="break-words"><span aria-hidden className="text-bad">▲</span> {(each.alert as { sentence?: string }).sentence ?? each.rule}</p>
            <p className="text-quiet">
              since <Time at={each.opened_at} />{each.acknowledged_by && `, ${each.acknowledged_by} looks after it`}
              {((each.alert as { runs?: string[] }).runs ?? []).slice(-3).map((run) => (
                <Link key={run} to="/runs/$id" params={{ id: run }} className="ml-3 font-mono text-[12.5px] text-accent hover:underline">{run.slice(-12)}</Link>
              ))}
            </p>
          </li>
        ))}
        {gone.map((each) => (
          <li key={each.id} className="px-4 py-2">
            <span aria-hidden className="text-bad">▲</span> model {each.subject}: {fieldWords(each.kind)}, since <Time at={each.opened_at} />;{" "}
            {counted(each.followed, "request")} answered by another model
          </li>
        ))}
      </ul>
    </Panel>
  );
}
