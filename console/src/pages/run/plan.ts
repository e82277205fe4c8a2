import { parse } from "yaml";

import { isRecord } from "../../parts/words";

/** A task of a workflow's outermost list. */
export interface PlanTask {
  id: string;
  name: string;
  kind: string;
}

export interface PlanWay {
  from: string;
  to: string;
  /** The case of a switch that leads here. */
  label: string;
}

export interface Plan {
  tasks: PlanTask[];
  ways: PlanWay[];
}

export const END = "end";

/** The outermost tasks of a workflow's document, and the ways between them; null where it has none. */
export function planOf(text: string): Plan | null {
  const document: unknown = parse(text);
  const list = isRecord(document) ? document.do : null;
  if (!Array.isArray(list)) return null;
  const tasks = list.flatMap((each, index) => {
    const [name, content] = isRecord(each) ? (Object.entries(each)[0] ?? []) : [];
    return name !== undefined && isRecord(content) ? [{ id: `/do/${index}/${name}`, name, kind: kindOf(content), content }] : [];
  });
  const target = (then: unknown, next: string): string => {
    if (then === "end" || then === "exit") return END;
    return tasks.find((task) => task.name === then)?.id ?? next;
  };
  const ways = tasks.flatMap((task, index) => {
    const next = tasks[index + 1]?.id ?? END;
    return Array.isArray(task.content.switch)
      ? casesOf(task.content.switch).map(({ name, then }) => ({ from: task.id, to: target(then, next), label: name }))
      : [{ from: task.id, to: target(task.content.then, next), label: "" }];
  });
  return { tasks, ways };
}

interface Case {
  name: string;
  then: unknown;
}

function casesOf(list: unknown[]): Case[] {
  const found = list.flatMap((each) => (isRecord(each) ? Object.entries(each) : []));
  const cases = found.flatMap(([name, content]) => (isRecord(content) ? [{ name, then: content.then, when: content.when }] : []));
  return cases.every((each) => each.when !== undefined) ? [...cases, { name: "otherwise", then: undefined }] : cases;
}

const KINDS = ["switch", "set", "for", "fork", "try", "raise", "wait", "listen", "emit", "run", "do"];

function kindOf(content: { [name: string]: unknown }): string {
  if (typeof content.call === "string") return content.call.split(":")[0] ?? "call";
  return KINDS.find((kind) => kind in content) ?? "task";
}
