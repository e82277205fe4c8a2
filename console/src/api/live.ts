import { useEffect, useState } from "react";

import type { EntrySummary, RunSummary } from "./client";
import { client } from "./queries";

const PAUSE_MS = 400;

/** Keep a stream open while the page is seen: browsers allow few connections to a server, and hidden tabs need none. */
function whileSeen(open: () => EventSource): () => void {
  let stream: EventSource | null = null;
  const look = () => {
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (stream === null || stream.readyState === EventSource.CLOSED) {
      stream = open();
    }
  };
  look();
  document.addEventListener("visibilitychange", look);
  return () => {
    document.removeEventListener("visibilitychange", look);
    stream?.close();
  };
}

/** Look anew at what the project's stream says has changed, at most every PAUSE_MS. */
export function useProjectStream(): void {
  useEffect(() => {
    const stale = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const mark = (...keys: string[]) => {
      keys.forEach((key) => stale.add(key));
      timer ??= setTimeout(() => {
        timer = undefined;
        for (const key of stale) void client.invalidateQueries({ queryKey: [key] });
        stale.clear();
      }, PAUSE_MS);
    };
    const close = whileSeen(() => {
      const stream = new EventSource("/api/v1/events");
      stream.addEventListener("run", () => mark("runs"));
      stream.addEventListener("approval", () => mark("approvals", "approval"));
      stream.addEventListener("reset", () => mark("runs", "approvals", "approval"));
      return stream;
    });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, []);
}

export interface Followed {
  entries: EntrySummary[];
  summary: RunSummary | null;
  /** What agents are saying at this moment, by the key of the step. */
  speech: ReadonlyMap<string, string>;
  /** The structured answers they are making, as far as these have come: the beginning of a JSON text. */
  drafts: ReadonlyMap<string, string>;
  /** Whether everything recorded so far has come. */
  settled: boolean;
}

const NOTHING: Followed = { entries: [], summary: null, speech: new Map(), drafts: new Map(), settled: false };

interface Chunk {
  key: string;
  kind: string;
  text: string;
}

/** A run's steps in the order in which they began, as they happen. */
export function useRunStream(run: string): Followed {
  const [followed, setFollowed] = useState(NOTHING);
  useEffect(() => {
    setFollowed(NOTHING);
    const entries = new Map<number, EntrySummary>();
    const speech = new Map<string, string>();
    const drafts = new Map<string, string>();
    let summary: RunSummary | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        const ordered = [...entries.values()].sort((one, other) => one.place - other.place);
        setFollowed({ entries: ordered, summary, speech: new Map(speech), drafts: new Map(drafts), settled: summary !== null });
      }, 60);
    };
    const close = whileSeen(() => {
      const stream = new EventSource(`/api/v1/runs/${encodeURIComponent(run)}/events`);
      const on = <Content>(kind: string, take: (content: Content) => void) =>
        stream.addEventListener(kind, (event) => {
          take(JSON.parse((event as MessageEvent<string>).data));
          show();
        });
      on<EntrySummary>("entry", (entry) => {
        entries.set(entry.place, entry);
        if (entry.status !== "intent") [speech, drafts].forEach((each) => each.delete(entry.key));
      });
      on<RunSummary>("run", (found) => (summary = found));
      on<Chunk>("chunk", (chunk) => {
        const heard = chunk.kind === "json" ? drafts : speech;
        if (chunk.kind === "reset") [speech, drafts].forEach((each) => each.delete(chunk.key));
        else if (chunk.kind !== "lost") heard.set(chunk.key, (heard.get(chunk.key) ?? "") + chunk.text);
      });
      on("reset", () => entries.clear());
      on("end", () => {
        stream.close();
        void client.invalidateQueries({ queryKey: ["run", run] });
      });
      return stream;
    });
    return () => {
      clearTimeout(timer);
      close();
    };
  }, [run]);
  return followed;
}
