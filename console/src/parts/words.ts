import type { Json, Problem } from "../api/client";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function timeWords(at: string, now = new Date()): string {
  const then = new Date(at);
  return then.toDateString() === now.toDateString() ? clock.format(then) : `${day.format(then)}, ${clock.format(then)}`;
}

const SPANS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

/** Seconds as people say them: 350 ms, 2.4 s, 5 min, 3 d. */
export function spanWords(seconds: number): string {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [length, unit] = SPANS.find(([span]) => seconds >= span) ?? [60, "min"];
  return `${Math.floor(seconds / length)} ${unit}`;
}

export const secondsBetween = (from: string, to: string | null) =>
  ((to === null ? Date.now() : Date.parse(to)) - Date.parse(from)) / 1000;

interface Cost {
  usd_micros?: number;
  input_tokens?: number;
  output_tokens?: number;
}

export const costOf = (cost: unknown): Required<Cost> => {
  const found = (cost ?? {}) as Cost;
  return { usd_micros: found.usd_micros ?? 0, input_tokens: found.input_tokens ?? 0, output_tokens: found.output_tokens ?? 0 };
};

export function moneyWords(micros: number): string {
  const dollars = micros / 1e6;
  return dollars === 0 || dollars >= 0.01 ? `$${dollars.toFixed(2)}` : `$${dollars.toFixed(6)}`;
}

export const counted = (count: number, noun: string) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;

export const problemIn = (value: unknown): Problem | null => (value ? (value as Problem) : null);

export const problemWords = (problem: Problem) => (problem.detail || problem.title || problem.code || "It failed.").trim();

/** The name of a task without the way to it: `/do/3/billingDesk` → `billingDesk`. */
export const taskName = (task: string) => task.split("/").filter(Boolean).at(-1) ?? task;

export const isRecord = (value: unknown): value is { [name: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `amount_cents` → `amount cents`. */
export const fieldWords = (name: string) => name.replaceAll("_", " ").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();

/** What tells one question from another: the plain values of what is shown with it. */
export function aboutWords(show: unknown): string {
  if (!isRecord(show)) return typeof show === "string" ? show : "";
  const about = isRecord(show.arguments) ? show.arguments : show;
  return Object.values(about)
    .filter((value) => typeof value === "string" || typeof value === "number")
    .join(" · ");
}
