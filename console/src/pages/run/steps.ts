import type { EntrySummary } from "../../api/client";

/** A step as the list shows it: an entry of the record, or what encloses several of them. */
export interface Step {
  key: string;
  label: string;
  note: string;
  status: string;
  depth: number;
  entry: EntrySummary | null;
  started: number;
  /** Null while it goes on. */
  ended: number | null;
  children: Step[];
}

const BOUNDARY = /#\d+(?:~\d+)?$/;

/** The places that enclose an entry, outermost first, itself included: visits of tasks, and calls that have steps of their own. */
export function boundaries(key: string): string[] {
  const segments = key.split("/");
  const found: string[] = [];
  for (let at = 1; at < segments.length; at++) {
    const here = segments[at] ?? "";
    const call = segments[at - 1] === "tool" && /^\d+(?:~\d+)?$/.test(here);
    if (BOUNDARY.test(here) || call) found.push(segments.slice(0, at + 1).join("/"));
  }
  return found;
}

/** Deadlines and ends of scopes are bookkeeping. */
export const isBookkeeping = (entry: EntrySummary) =>
  (entry.kind === "choice" && entry.key.endsWith("/deadline") && entry.status === "completed") ||
  (entry.kind === "trace" && entry.key.endsWith("/end"));

export const functionName = (entry: EntrySummary) => entry.function.split(":")[0] ?? "";

/** Entries as a tree, in the order in which they began. */
export function stepsOf(entries: readonly EntrySummary[], all: boolean): Step[] {
  const roots: Step[] = [];
  const byKey = new Map<string, Step>();
  const enclosing = (keys: string[]): Step | null => {
    let outer: Step | null = null;
    for (const key of keys) {
      let found = byKey.get(key);
      if (!found) {
        found = groupStep(key, outer);
        byKey.set(key, found);
        (outer?.children ?? roots).push(found);
      }
      outer = found;
    }
    return outer;
  };
  for (const entry of entries) {
    if (!all && isBookkeeping(entry)) continue;
    const outer = enclosing(boundaries(entry.key).filter((key) => key !== entry.key));
    const known = byKey.get(entry.key);
    if (known) {
      // What encloses others was met before the record of the call itself.
      Object.assign(known, entryStep(entry, known.depth), { children: known.children });
      continue;
    }
    const step = entryStep(entry, outer ? outer.depth + 1 : 0);
    if (boundaries(entry.key).at(-1) === entry.key) byKey.set(entry.key, step);
    (outer?.children ?? roots).push(step);
  }
  roots.forEach(summarise);
  return roots;
}

function entryStep(entry: EntrySummary, depth: number): Step {
  const name = functionName(entry);
  const last = entry.key.split("/").at(-1) ?? "";
  const visit = BOUNDARY.test(last) ? visitWords(last) : "";
  const task = BOUNDARY.test(last) ? last.replace(BOUNDARY, "") : "";
  return {
    key: entry.key,
    label: task || (last === "enter" ? "engages" : name || entry.kind) + attemptWords(last),
    note: (task ? [visit, name] : [last === "enter" ? name : "", entry.model ?? ""]).filter(Boolean).join(", "),
    status: entry.status,
    depth,
    entry,
    started: entry.started_at ? Date.parse(entry.started_at) : 0,
    ended: entry.ended_at ? Date.parse(entry.ended_at) : null,
    children: [],
  };
}

function groupStep(key: string, outer: Step | null): Step {
  const last = key.split("/").at(-1) ?? "";
  const task = BOUNDARY.test(last);
  return {
    key,
    label: task ? last.replace(BOUNDARY, "") : "call",
    note: task ? visitWords(last) : "",
    status: "completed",
    depth: outer ? outer.depth + 1 : 0,
    entry: null,
    started: 0,
    ended: null,
    children: [],
  };
}

function visitWords(segment: string): string {
  const visit = Number(/#(\d+)/.exec(segment)?.[1] ?? 1);
  return visit > 1 ? `visit ${visit}` : "";
}

function attemptWords(segment: string): string {
  const attempt = /~(\d+)$/.exec(segment)?.[1];
  return attempt ? `, attempt ${Number(attempt) + 1}` : "";
}

/** What encloses others goes on while one of them does, and is as the last of them is. */
function summarise(step: Step): void {
  step.children.forEach(summarise);
  if (step.entry || step.children.length === 0) return;
  const open = step.children.some((child) => child.status === "intent");
  step.started = Math.min(...step.children.map((child) => child.started));
  step.ended = open ? null : Math.max(...step.children.map((child) => child.ended ?? child.started));
  step.status = open ? "intent" : (step.children.at(-1)?.status ?? "completed");
  const entered = step.children.find((child) => child.label === "engages");
  if (entered && step.label === "call") {
    step.label = entered.note;
    step.note = memberOf(step);
  }
}

/** The name of the agent or team a call engaged, where the keys below it tell. */
function memberOf(step: Step): string {
  for (const child of step.children) {
    const next = child.key.slice(step.key.length + 1).split("/")[0] ?? "";
    if (next && !["enter", "end", "turn", "deadline"].includes(next)) return next;
  }
  return "";
}

export interface Shown {
  step: Step;
  open: boolean;
}

/** The rows of a tree of which some branches are closed. */
export function rowsOf(steps: readonly Step[], isOpen: (step: Step) => boolean): Shown[] {
  const rows: Shown[] = [];
  const add = (step: Step) => {
    const open = step.children.length > 0 && isOpen(step);
    rows.push({ step, open });
    if (open) step.children.forEach(add);
  };
  steps.forEach(add);
  return rows;
}

/** Where a run failed: the last step that failed at the place its problem names, else the last that failed at all. */
export function causeOf(entries: readonly EntrySummary[], instance: string | undefined): EntrySummary | null {
  const failed = entries.filter((entry) => entry.status === "failed");
  return failed.filter((entry) => entry.task === instance).at(-1) ?? failed.at(-1) ?? null;
}
