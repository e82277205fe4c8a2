import type { ReactNode } from "react";

interface Look {
  word: string;
  colour: string;
  shape: ReactNode;
}

const ring = <circle cx="8" cy="8" r="6" />;
const LOOKS: Record<string, Look> = {
  pending: { word: "Pending", colour: "text-quiet", shape: <circle cx="8" cy="8" r="6" strokeDasharray="2.5 2.2" /> },
  running: { word: "Running", colour: "text-accent", shape: <>{ring}<path d="M8 2a6 6 0 0 1 0 12Z" fill="currentColor" /></> },
  waiting: { word: "Waiting", colour: "text-wait", shape: <>{ring}<path d="M8 5v3.2l2.2 1.6" /></> },
  paused: { word: "Paused", colour: "text-quiet", shape: <path d="M5.5 3v10M10.5 3v10" /> },
  completed: { word: "Completed", colour: "text-good", shape: <path d="m2.5 8.5 3.5 3.5 7.5-8" /> },
  faulted: { word: "Faulted", colour: "text-bad", shape: <path d="m3.5 3.5 9 9m0-9-9 9" /> },
  cancelled: { word: "Cancelled", colour: "text-quiet", shape: <>{ring}<path d="m4 12 8-8" /></> },
  diverged: { word: "Diverged", colour: "text-bad", shape: <path d="M8 14V8M8 8 3 3m5 5 5-5" /> },
  intent: { word: "Under way", colour: "text-accent", shape: <>{ring}<path d="M8 2a6 6 0 0 1 0 12Z" fill="currentColor" /></> },
  failed: { word: "Failed", colour: "text-bad", shape: <path d="m3.5 3.5 9 9m0-9-9 9" /> },
  abandoned: { word: "Abandoned", colour: "text-quiet", shape: <>{ring}<path d="m4 12 8-8" /></> },
};
export const RUN_STATUSES = ["pending", "running", "waiting", "paused", "completed", "faulted", "cancelled", "diverged"];

export const statusWord = (status: string) => LOOKS[status]?.word ?? status;
export const statusColour = (status: string) => LOOKS[status]?.colour ?? "text-quiet";

/** A status as a shape of its own; with its word unless `bare`, then read out only. */
export function Status({ status, bare = false }: { status: string; bare?: boolean }) {
  const look = LOOKS[status] ?? { word: status, colour: "text-quiet", shape: ring };
  return (
    <span className={`inline-flex items-center gap-1.5 whitespace-nowrap ${look.colour}`} title={bare ? look.word : undefined}>
      <svg viewBox="0 0 16 16" className="size-3.5 shrink-0" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" aria-hidden>
        {look.shape}
      </svg>
      <span className={bare ? "sr-only" : undefined}>{look.word}</span>
    </span>
  );
}
