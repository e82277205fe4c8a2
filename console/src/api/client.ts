import type { components } from "./schema";

type Shapes = components["schemas"];
export type RunSummary = Shapes["RunSummary"];
export type RunWhole = Shapes["RunWhole"];
export type RunPage = Shapes["RunPage"];
export type EntrySummary = Shapes["EntrySummary"];
export type EntryWhole = Shapes["EntryWhole"];
export type Approval = Shapes["Approval"];
export type ApprovalList = Shapes["ApprovalList"];
export type WorkflowList = Shapes["WorkflowList"];
export type WorkflowWhole = Shapes["WorkflowWhole"];
export type Acting = Shapes["Acting"];
export type Partner = Shapes["PartnerShape"];
export type PartnerList = Shapes["PartnerList"];
export type EntryPage = Shapes["EntryPage"];
export type Feedback = Shapes["FeedbackShape"];
export type FeedbackList = Shapes["FeedbackList"];
export type FeedbackGiven = Shapes["FeedbackGiven"];
export type AnswerGiven = Shapes["AnswerGiven"];
export type Rollout = Shapes["RolloutShape"];
export type Alert = Shapes["AlertShape"];
export type Incident = Shapes["IncidentShape"];
/** What was counted of one agent, model, tool, router or workflow. */
export interface Watched {
  of: string;
  name: string;
  runs: { [measure: string]: string[] };
  [measure: string]: unknown;
}
/** What has lastingly changed. */
export interface Drift {
  of: string;
  name: string;
  signal: string;
  changes: { at: string; before: number; after: number }[];
}
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What went wrong, as the platform records and answers it (RFC 9457). */
export interface Problem {
  title?: string;
  detail?: string | null;
  status?: number;
  code?: string;
  hint?: string | null;
  instance?: string;
}

export class RequestFailed extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title || "The request failed.");
  }
}

/** Raises RequestFailed with the problem the server answered, or one that says it cannot be reached. */
async function call<Answer>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const sent: RequestInit = { method, headers: { accept: "application/json", ...headers } };
  if (body !== undefined) {
    sent.headers = { accept: "application/json", "content-type": "application/json", ...headers };
    sent.body = JSON.stringify(body);
  }
  const response = await fetch(`/api/v1${path}`, sent).catch(() => {
    throw new RequestFailed({ code: "unreachable", detail: "The server cannot be reached.", hint: "Is it still running?" });
  });
  if (!response.ok) {
    const problem: Problem = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
    throw new RequestFailed({ ...problem, status: response.status });
  }
  return response.status === 204 ? (undefined as Answer) : response.json();
}

export interface RunsAsked {
  workflow?: string;
  status?: string[];
  since?: string;
  /** What runs were started with as Idempotency-Key, by whom. */
  key?: string[];
  by?: string;
  after?: string;
  limit?: number;
}

function asQuery(asked: RunsAsked): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    for (const each of [value].flat()) if (each !== undefined) query.append(name, String(each));
  }
  return query.toString();
}

const id = encodeURIComponent;

export const api = {
  me: () => call<Acting>("GET", "/me"),
  signOut: () => call<void>("POST", "/sign-out"),
  watching: () => call<{ measures: Watched[]; drift: Drift[] }>("GET", "/watching?hours=24&of=agent&of=router&of=model"),
  rollouts: () => call<{ rollouts: Rollout[] }>("GET", "/rollouts?limit=20"),
  alerts: () => call<{ alerts: Alert[] }>("GET", "/alerts"),
  incidents: () => call<{ incidents: Incident[] }>("GET", "/incidents?limit=20"),
  workflows: () => call<WorkflowList>("GET", "/workflows"),
  workflow: (name: string) => call<WorkflowWhole>("GET", `/workflows/${name.split("/").map(id).join("/")}`),
  runs: (asked: RunsAsked) => call<RunPage>("GET", `/runs?${asQuery(asked)}`),
  run: (run: string) => call<RunWhole>("GET", `/runs/${id(run)}`),
  entry: (run: string, place: number) => call<EntryWhole>("GET", `/runs/${id(run)}/entries/${place}`),
  entries: (run: string) => call<EntryPage>("GET", `/runs/${id(run)}/entries?limit=1000`),
  start: (given: { workflow: string; input: Json; followed: boolean }, key: string) =>
    call<RunSummary>("POST", "/runs", given, { "idempotency-key": key }),
  partners: () => call<PartnerList>("GET", "/partners"),
  feedback: (run: string) => call<FeedbackList>("GET", `/runs/${id(run)}/feedback`),
  giveFeedback: (run: string, given: FeedbackGiven) => call<Feedback>("POST", `/runs/${id(run)}/feedback`, given),
  cancel: (run: string) => call<RunSummary>("POST", `/runs/${id(run)}/cancel`),
  retry: (run: string) => call<RunSummary>("POST", `/runs/${id(run)}/retry`),
  rerun: (run: string, given: { task?: string; input?: unknown }) => call<RunSummary>("POST", `/runs/${id(run)}/rerun`, given),
  approvals: (asked: { run?: string }) =>
    call<ApprovalList>("GET", `/approvals?limit=500${asked.run ? `&run=${id(asked.run)}` : ""}`),
  approval: (approval: string) => call<Approval>("GET", `/approvals/${id(approval)}`),
  answer: (approval: string, given: AnswerGiven) => call<Approval>("POST", `/approvals/${id(approval)}/answer`, given),
};
