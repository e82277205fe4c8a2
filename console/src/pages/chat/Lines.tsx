import { useState } from "react";

import type { EntrySummary } from "../../api/client";
import { Status } from "../../parts/status";
import { Button } from "../../parts/ui";
import { isRecord, secondsBetween, spanWords } from "../../parts/words";
import { StepDetail } from "../run/StepDetail";
import { type Line, linesOf, makersWords, modelEntries } from "./talk";

const MOST = 12;

/** What happened on the way to the answer: one small line each, which opens. */
export function Lines({ run, partner, entries }: { run: string; partner: string; entries: readonly EntrySummary[] }) {
  const [whole, setWhole] = useState(false);
  const lines = linesOf(entries);
  const shown = whole ? lines : lines.slice(-MOST);
  if (lines.length === 0) return null;
  return (
    <div className="my-1">
      {shown.length < lines.length && (
        <Button className="mb-1" onClick={() => setWhole(true)}>Show the {lines.length - shown.length} steps before</Button>
      )}
      <ol aria-label="What happened" className="border-l-2 border-line pl-2">
        {shown.map((line) => (
          <li key={line.entry.place}>
            <Opening run={run} entry={line.entry}>
              <Status status={line.entry.status} bare />
              <Words line={line} partner={partner} />
              {line.kind === "calls" && line.entry.started_at && line.entry.ended_at && (
                <span className="number shrink-0">{spanWords(secondsBetween(line.entry.started_at, line.entry.ended_at))}</span>
              )}
            </Opening>
            <Refusal entry={line.entry} />
          </li>
        ))}
      </ol>
    </div>
  );
}

function Words({ line: { by, what, kind }, partner }: { line: Line; partner: string }) {
  return (
    <span className="min-w-0 truncate">
      {by && by !== partner && <>{by} </>}
      {kind === "engages" ? <>hands over{what && <> to <span className="font-medium text-text">{what}</span></>}</> : <span className="font-mono text-[12px]">{what}</span>}
    </span>
  );
}

/** A line which shows its step when it is opened. */
function Opening({ run, entry, children }: { run: string; entry: EntrySummary; children: React.ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex min-h-6 max-w-full items-center gap-1.5 rounded px-1 text-left text-[12.5px] text-quiet hover:bg-sunken max-md:min-h-8"
      >
        <svg viewBox="0 0 16 16" className={`size-2.5 shrink-0 ${open ? "rotate-90" : ""}`} fill="none" stroke="currentColor" strokeWidth="2" aria-hidden>
          <path d="m5 3 6 5-6 5" />
        </svg>
        {children}
      </button>
      {open && <div className="card my-1"><StepDetail run={run} entry={entry} /></div>}
    </>
  );
}

/** Which policy refused, why, and how it would be permitted. */
function Refusal({ entry: { decision } }: { entry: EntrySummary }) {
  if (!isRecord(decision) || decision.verdict !== "deny") return null;
  const policies = Array.isArray(decision.policies) ? decision.policies.map(String) : [];
  return (
    <div className="mb-1 ml-5 rounded border border-line px-2 py-1 text-[12.5px] break-words">
      <p className="font-medium text-bad">Refused by policy</p>
      <p>{String(decision.reason ?? "")}</p>
      {policies.length > 0 && (
        <p className="text-quiet">To permit it, change {policies.join(", ")} in the folder policies: what one policy forbids no other can permit.</p>
      )}
    </div>
  );
}

/** By what the answer was made; opens the step that made it. */
export function Makers({ run, entries }: { run: string; entries: readonly EntrySummary[] }) {
  const words = makersWords(entries);
  const last = modelEntries(entries).at(-1);
  return last && words ? <Opening run={run} entry={last}>{words}</Opening> : null;
}
