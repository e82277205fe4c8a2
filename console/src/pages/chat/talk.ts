import type { EntrySummary, Json, Partner, RunSummary } from "../../api/client";
import { isRecord } from "../../parts/words";
import { functionName } from "../run/steps";

const ENDED = new Set(["completed", "faulted", "cancelled", "diverged"]);
export const hasEnded = (run: Pick<RunSummary, "status">) => ENDED.has(run.status);

/** `agents/billing` → `billing`. */
export const shortName = (partner: string) => partner.split("/").at(-1) ?? partner;

const KEY = /^chat\/([^/]+)\/(\d+)$/;

/** What the turn of a conversation is started with: sent twice, it is still one turn. */
export const turnKey = (conversation: string, number: number) => `chat/${conversation}/${number}`;

export function turnOf(key: string | null): { conversation: string; number: number } | null {
  const found = KEY.exec(key ?? "");
  return found ? { conversation: found[1] ?? "", number: Number(found[2]) } : null;
}

/** A name that nobody guesses. */
export function newConversation(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The input of a turn's run: what is said and the other fields. Workflows take one input and keep no conversation. */
export function inputOf(partner: Partner, fields: { [name: string]: Json }, conversation: string): Json {
  return partner.kind === "workflow" ? fields : { input: fields, session: conversation };
}

/** What a run was given, without the conversation it belongs to. */
export function fieldsOf(partner: Partner, input: unknown): { [name: string]: Json } {
  const given = partner.kind === "workflow" || !isRecord(input) ? input : input.input;
  return isRecord(given) ? given : {};
}

/** Equal whatever the order of members. */
export const sameJson = (one: unknown, other: unknown) => JSON.stringify(ordered(one)) === JSON.stringify(ordered(other));

const ordered = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(ordered)
    : isRecord(value)
      ? Object.keys(value).sort().map((name) => [name, ordered(value[name])])
      : value;

const TEXTS = ["answer", "reply", "message", "text", "content"];
const LANGUAGE = /^[a-z]{2}$/;

export interface Spoken {
  /** What an output says in words; null where it says nothing. */
  text: string | null;
  /** Where in the output the text stands. */
  path: string[];
  /** The text in other languages. */
  others: { [language: string]: string };
  /** What it gives beside the text. */
  rest: { [name: string]: Json } | Json[] | null;
}

/** An output as words and fields: its text, the one in the reader's language where it has several. */
export function spokenOf(output: unknown, language: string): Spoken {
  if (typeof output === "string") return { text: output, path: [], others: {}, rest: null };
  if (!isRecord(output)) return { text: null, path: [], others: {}, rest: Array.isArray(output) ? output : null };
  if ("contributions" in output && "result" in output) {
    const found = spokenOf(output.result, language);
    return { ...found, path: ["result", ...found.path] };
  }
  const texts = new Map(Object.entries(output).filter((each): each is [string, string] => typeof each[1] === "string" && each[1] !== ""));
  const spoken = [...texts.keys()].filter((name) => LANGUAGE.test(name));
  const chosen = TEXTS.find((name) => texts.has(name)) ?? (spoken.includes(language) ? language : spoken[0]);
  const others = LANGUAGE.test(chosen ?? "") ? spoken.filter((name) => name !== chosen) : [];
  const left = Object.entries(output).filter(([name, value]) => name !== chosen && !others.includes(name) && value !== null);
  return {
    text: chosen === undefined ? null : (texts.get(chosen) ?? null),
    path: chosen === undefined ? [] : [chosen],
    others: Object.fromEntries(others.map((name) => [name, texts.get(name) ?? ""])),
    rest: left.length > 0 ? Object.fromEntries(left) : null,
  };
}

const MEMBER = /"([a-z]+)"\s*:\s*"((?:[^"\\]|\\.)*)/g;

/** What an answer that is being made says so far: itself, or what is found in the beginning of its JSON. */
export function draftWords(draft: string, language: string): string | null {
  if (!draft.trimStart().startsWith("{")) return draft;
  const texts = new Map([...draft.matchAll(MEMBER)].map(([, name = "", text = ""]) => [name, text]));
  const name = [...TEXTS, language].find((each) => texts.has(each));
  const text = texts.get(name ?? "")?.replace(/\\u[0-9a-f]{0,3}$/i, "");
  try {
    return text ? (JSON.parse(`"${text}"`) as string) : null;
  } catch {
    return null;
  }
}

/** A value in place of the one at a path. */
export const placed = (path: readonly string[], value: Json): Json =>
  path.reduceRight<Json>((inside, name) => ({ [name]: inside }), value);

export interface Line {
  entry: EntrySummary;
  /** Who does it: an agent's name, or empty for the workflow itself. */
  by: string;
  what: string;
  kind: "engages" | "calls";
}

const SILENT = new Set(["session", "model"]);
const agentOf = (subject: string | null) => /^Agent::(.*)$/.exec(subject ?? "")?.[1] ?? "";

/** What happens on the way to an answer: engagements and calls, in order; models and bookkeeping left out. */
export function linesOf(entries: readonly EntrySummary[]): Line[] {
  return entries
    .filter((entry) => entry.kind === "leaf" && !SILENT.has(functionName(entry)))
    .map((entry) => {
      const by = agentOf(entry.subject);
      if (!entry.key.endsWith("/enter")) return { entry, by, what: functionName(entry), kind: "calls" };
      const inside = entry.key.slice(0, -"enter".length);
      const engaged = entries.find((each) => each.key !== entry.key && each.key.startsWith(inside) && each.subject);
      return { entry, by, what: agentOf(engaged?.subject ?? null), kind: "engages" };
    });
}

export const modelEntries = (entries: readonly EntrySummary[]) =>
  entries.filter((entry) => functionName(entry) === "model" && entry.status === "completed" && entry.model);

const isPlaybook = (model: string) => /^playbook(:|$)/.test(model);

/** By what an answer was made. */
export function makersWords(entries: readonly EntrySummary[]): string {
  const models = [...new Set(modelEntries(entries).map((entry) => entry.model ?? ""))];
  const asked = models.filter((model) => !isPlaybook(model));
  if (models.length === 0) return "";
  if (asked.length === 0) return "Rules, no language model";
  return asked.join(", ") + (asked.length < models.length ? ", and rules" : "");
}
