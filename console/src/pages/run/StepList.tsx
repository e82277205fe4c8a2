import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";

import type { EntrySummary } from "../../api/client";
import { useKeys } from "../../parts/keys";
import { Status } from "../../parts/status";
import { isRecord, spanWords } from "../../parts/words";
import { rowsOf, type Shown, type Step, stepsOf } from "./steps";

const ROW_PX = 28;
/** Rows kept beyond those that are seen. */
const BEYOND = 20;
const OPEN_BELOW = 200;

interface StepListProps {
  entries: readonly EntrySummary[];
  all: boolean;
  chosen: number | undefined;
  choose: (place: number) => void;
  speech: ReadonlyMap<string, string>;
}

/** A run's steps as a tree, each with the time it took. */
export function StepList({ entries, all, chosen, choose, speech }: StepListProps) {
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const steps = useMemo(() => stepsOf(entries, all), [entries, all]);
  const chosenKey = useMemo(() => entries.find((entry) => entry.place === chosen)?.key, [entries, chosen]);
  const isOpen = (step: Step) =>
    toggled.get(step.key) ?? (entries.length < OPEN_BELOW || step.status !== "completed" || (chosenKey?.startsWith(step.key) ?? false));
  const rows = rowsOf(steps, isOpen);
  const span = useMemo(() => spanOf(steps), [steps]);
  const toggle = (step: Step, open: boolean) => setToggled(new Map(toggled).set(step.key, !open));
  const at = rows.findIndex((row) => row.step.entry !== null && row.step.entry.place === chosen);
  const move = (by: number) => {
    for (let next = at + by; next >= 0 && next < rows.length; next += by) {
      const entry = rows[next]?.step.entry;
      if (entry) return choose(entry.place);
    }
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
  const list = useRef<HTMLUListElement>(null);
  const windowed = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    overscan: BEYOND,
    scrollMargin: list.current?.offsetTop ?? 0,
    getItemKey: (index) => rows[index]?.step.entry?.place ?? rows[index]?.step.key ?? index,
  });
  useEffect(() => {
    if (at >= 0) windowed.scrollToIndex(at, { align: "auto" });
    // only where another step was chosen: rows that come or go do not move the page
  }, [chosen]);
  return (
    <ul ref={list} aria-label="Steps" className="relative my-1" style={{ height: windowed.getTotalSize() }}>
      {windowed.getVirtualItems().map((item) => {
        const row = rows[item.index];
        return row && (
          <Row
            key={item.key}
            place={{ index: item.index, of: rows.length, top: item.start - windowed.options.scrollMargin, measure: windowed.measureElement }}
            row={row}
            span={span}
            chosen={row.step.entry !== null && row.step.entry.place === chosen}
            choose={choose}
            toggle={toggle}
            speech={speech.get(row.step.key)}
          />
        );
      })}
    </ul>
  );
}

interface Span {
  from: number;
  to: number;
}

function spanOf(steps: readonly Step[]): Span {
  const from = Math.min(...steps.map((step) => step.started || Infinity));
  const to = Math.max(from + 1, ...steps.map((step) => step.ended ?? Date.now()));
  return { from, to };
}

interface Place {
  index: number;
  of: number;
  top: number;
  measure: (row: HTMLLIElement | null) => void;
}

interface RowProps {
  place: Place;
  row: Shown;
  span: Span;
  chosen: boolean;
  choose: (place: number) => void;
  toggle: (step: Step, open: boolean) => void;
  speech: string | undefined;
}

function Row({ place, row: { step, open }, span, chosen, choose, toggle, speech }: RowProps) {
  const { entry } = step;
  return (
    <li
      ref={place.measure}
      data-index={place.index}
      aria-posinset={place.index + 1}
      aria-setsize={place.of}
      style={{ transform: `translateY(${place.top}px)` }}
      className={`absolute inset-x-0 top-0 ${chosen ? "bg-chosen" : "hover:bg-sunken"}`}
    >
      <div className="flex items-center pr-3 pl-2">
        <Indent depth={step.depth} />
        {step.children.length > 0 ? (
          <button
            type="button"
            aria-expanded={open}
            aria-label={`Steps of ${step.label}`}
            onClick={() => toggle(step, open)}
            className="size-6 shrink-0 rounded text-quiet hover:bg-line"
          >
            <svg viewBox="0 0 16 16" className={`m-auto size-3 ${open ? "rotate-90" : ""}`} fill="none" stroke="currentColor" strokeWidth="2" aria-hidden>
              <path d="m5 3 6 5-6 5" />
            </svg>
          </button>
        ) : (
          <span className="size-6 shrink-0" />
        )}
        <button
          type="button"
          aria-current={chosen ? "true" : undefined}
          onClick={() => (entry ? choose(entry.place) : toggle(step, open))}
          className="flex min-h-7 min-w-0 flex-1 items-center gap-2 text-left"
        >
          <Status status={step.status} bare />
          <span className={`truncate ${step.depth === 0 ? "font-medium" : ""}`}>{step.label}</span>
          <span className="min-w-0 flex-1 truncate text-quiet">{step.note}</span>
          <Ruling decision={entry?.decision} />
          <Bar step={step} span={span} />
          <span className="number w-16 shrink-0 text-right whitespace-nowrap text-quiet">{step.ended === null ? "" : spanWords((step.ended - step.started) / 1000)}</span>
        </button>
      </div>
      {speech && <p className="ml-16 pb-2 whitespace-pre-wrap break-words text-quiet [unicode-bidi:isolate]" aria-live="polite">{speech}</p>}
    </li>
  );
}

function Indent({ depth }: { depth: number }) {
  return Array.from({ length: Math.min(depth, 12) }, (_, level) => <span key={level} className="ml-2 w-2 shrink-0 self-stretch border-l border-line max-md:ml-1 max-md:w-1" />);
}

const VERDICTS: Record<string, [string, string]> = {
  deny: ["refused", "text-bad"],
  "needs-approval": ["approval", "text-wait"],
};

function Ruling({ decision }: { decision: unknown }) {
  if (!isRecord(decision)) return null;
  const [word, colour] = VERDICTS[String(decision.verdict)] ?? ["", ""];
  if (decision.approved_by) return <span className="shrink-0 text-good">approved by {String(decision.approved_by)}</span>;
  return word ? <span className={`shrink-0 ${colour}`}>{word}</span> : null;
}

const WIDTH = 100;

function Bar({ step, span }: { step: Step; span: Span }) {
  const whole = span.to - span.from;
  const left = ((step.started - span.from) / whole) * WIDTH;
  const width = Math.max(1, (((step.ended ?? span.to) - step.started) / whole) * WIDTH);
  const colour = step.status === "failed" ? "var(--bad)" : step.status === "intent" ? "var(--accent)" : "var(--quiet)";
  return (
    <svg viewBox={`0 0 ${WIDTH} 8`} preserveAspectRatio="none" className="h-2 w-28 shrink-0 max-xl:hidden" aria-hidden>
      <rect width={WIDTH} height="8" fill="var(--sunken)" />
      <rect x={Math.min(left, WIDTH - 1)} width={Math.min(width, WIDTH)} height="8" fill={colour} />
    </svg>
  );
}
