import { queryOptions } from "@tanstack/react-query";

import { api, type Json, type Partner, type RunSummary } from "../../api/client";
import { client } from "../../api/queries";
import { inputOf, sameJson, turnKey, turnOf } from "./talk";

const PAGE = 100;

export const entriesOf = (run: string) => queryOptions({ queryKey: ["entries", run], queryFn: () => api.entries(run) });

export const feedbackOf = (run: string) => queryOptions({ queryKey: ["feedback", run], queryFn: () => api.feedback(run) });

/** The runs of a conversation, the first first. */
export const turns = (by: string, conversation: string) =>
  queryOptions({
    queryKey: ["turns", by, conversation],
    staleTime: Infinity,
    queryFn: async () => {
      const found: RunSummary[] = [];
      for (let first = 1; ; first += PAGE) {
        const key = Array.from({ length: PAGE }, (_, index) => turnKey(conversation, first + index));
        const page = await api.runs({ key, by, limit: PAGE });
        found.push(...page.runs);
        if (page.runs.length < PAGE) return found.sort((one, other) => numberOf(one) - numberOf(other));
      }
    },
  });

const numberOf = (run: RunSummary) => turnOf(run.key)?.number ?? 0;

/** Have a conversation show a run as it is now. */
export function noteTurn(by: string, conversation: string, run: RunSummary): void {
  client.setQueryData(turns(by, conversation).queryKey, (old: RunSummary[] = []) =>
    old.some((each) => each.id === run.id) ? old.map((each) => (each.id === run.id ? run : each)) : [...old, run]);
}

export interface Saying {
  partner: Partner;
  conversation: string;
  fields: { [name: string]: Json };
  /** The turns there are. */
  known: readonly RunSummary[];
}

/** Start a turn, once, however often it is sent; another window may have used its number for something else. */
export async function say({ partner, conversation, fields, known }: Saying): Promise<RunSummary> {
  const input = inputOf(partner, fields, conversation);
  const last = known.at(-1);
  for (let number = (last ? numberOf(last) : 0) + 1; ; number++) {
    const run = await api.start({ workflow: partner.name, input, followed: true }, turnKey(conversation, number));
    const whole = await api.run(run.id);
    if (!sameJson(whole.input, input)) continue;
    client.setQueryData(["run", run.id], whole);
    return whole;
  }
}
