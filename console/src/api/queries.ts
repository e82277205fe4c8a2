import { QueryClient, queryOptions } from "@tanstack/react-query";

import { api, RequestFailed, type RunSummary, type RunsAsked } from "./client";

export const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      retry: (failures, error) => failures < 2 && !(error instanceof RequestFailed && (error.problem.status ?? 500) < 500),
    },
  },
});

export const me = queryOptions({ queryKey: ["me"], queryFn: api.me, staleTime: Infinity });

export const workflows = queryOptions({ queryKey: ["workflows"], queryFn: api.workflows });

export const workflow = (name: string) => queryOptions({ queryKey: ["workflow", name], queryFn: () => api.workflow(name) });

/** Whom one may talk to. */
export const partners = queryOptions({ queryKey: ["partners"], queryFn: api.partners });

export const runs = (asked: RunsAsked) => queryOptions({ queryKey: ["runs", asked], queryFn: () => api.runs(asked) });

export const run = (id: string) => queryOptions({ queryKey: ["run", id], queryFn: () => api.run(id) });

export const entry = (id: string, place: number, status: string) =>
  queryOptions({ queryKey: ["entry", id, place, status], queryFn: () => api.entry(id, place) });

export const waiting = queryOptions({ queryKey: ["approvals", "open"], queryFn: () => api.approvals({}) });

export const approvalsOf = (id: string) =>
  queryOptions({ queryKey: ["approvals", "of", id], queryFn: () => api.approvals({ run: id }) });

export const approval = (id: string) => queryOptions({ queryKey: ["approval", id], queryFn: () => api.approval(id) });

const LOOK_MS = 15_000;
const looked = { refetchInterval: LOOK_MS, staleTime: LOOK_MS };

export const watching = queryOptions({ queryKey: ["watching"], queryFn: api.watching, ...looked });

export const rollouts = queryOptions({ queryKey: ["rollouts"], queryFn: api.rollouts, ...looked });

export const alerts = queryOptions({ queryKey: ["alerts"], queryFn: api.alerts, ...looked });

export const incidents = queryOptions({ queryKey: ["incidents"], queryFn: api.incidents, ...looked });

const MOST_PAGES = 5;

/** The runs created since a time, the newest first; `whole` is false where there are more than are fetched. */
export const runsSince = (since: string) =>
  queryOptions({
    queryKey: ["runs", "since", since],
    queryFn: async () => {
      const found: RunSummary[] = [];
      let after: string | undefined;
      for (let page = 0; page < MOST_PAGES; page++) {
        const answer = await api.runs({ since, limit: 200, ...(after && { after }) });
        found.push(...answer.runs);
        if (answer.next === null) return { runs: found, whole: true };
        after = answer.next;
      }
      return { runs: found, whole: false };
    },
  });
