import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";

import { Empty } from "./parts/ui";
import { Approvals } from "./pages/approvals/Approvals";
import { Chat } from "./pages/chat/Chat";
import { Layout } from "./pages/Layout";
import { Overview } from "./pages/Overview";
import { RunPage } from "./pages/run/RunPage";
import { Runs } from "./pages/Runs";

const text = (value: unknown) => (typeof value === "string" && value ? value : undefined);
/** A name that looks like a number is a name. */
const word = (value: unknown) => (["number", "boolean"].includes(typeof value) ? String(value) : text(value));
const integer = (value: unknown) => (Number.isSafeInteger(Number(value)) && value !== "" && value !== undefined ? Number(value) : undefined);

const root = createRootRoute({ component: Layout, notFoundComponent: () => <Empty title="There is nothing at this address." /> });

const overview = createRoute({ getParentRoute: () => root, path: "/", component: Overview });

export interface RunsSearch {
  workflow?: string | undefined;
  status?: string[] | undefined;
  since?: string | undefined;
  after?: string | undefined;
}

export const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  component: Runs,
  validateSearch: (search: Record<string, unknown>): RunsSearch => ({
    workflow: text(search.workflow),
    status: Array.isArray(search.status) ? search.status.filter((each) => typeof each === "string") : undefined,
    since: text(search.since),
    after: text(search.after),
  }),
});

export interface RunSearch {
  step?: number | undefined;
  view?: "picture" | "conversation" | undefined;
  all?: boolean | undefined;
}

export const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  component: RunPage,
  validateSearch: (search: Record<string, unknown>): RunSearch => ({
    step: integer(search.step),
    view: search.view === "picture" || search.view === "conversation" ? search.view : undefined,
    all: search.all === true ? true : undefined,
  }),
});

const approvals = createRoute({ getParentRoute: () => root, path: "/approvals", component: Approvals });
const approval = createRoute({ getParentRoute: () => root, path: "/approvals/$id", component: Approvals });

export interface ChatSearch {
  with?: string | undefined;
  conversation?: string | undefined;
  by?: string | undefined;
}

export const chat = createRoute({
  getParentRoute: () => root,
  path: "/chat",
  component: Chat,
  validateSearch: (search: Record<string, unknown>): ChatSearch => ({
    with: text(search.with),
    conversation: word(search.conversation),
    by: word(search.by),
  }),
});

export const router = createRouter({
  routeTree: root.addChildren([overview, runs, run, approvals, approval, chat]),
  defaultPreload: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
