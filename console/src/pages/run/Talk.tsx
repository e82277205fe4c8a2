import type { EntrySummary, Json, RunWhole } from "../../api/client";
import { Value } from "../../parts/ui";
import { Answer } from "../chat/Answer";
import { Lines, Makers } from "../chat/Lines";

/** What agents took part in, as a conversation: what was asked, who handed over to whom and called what, and the answer. */
export default function Talk({ run, entries }: { run: RunWhole; entries: readonly EntrySummary[] }) {
  return (
    <div className="grid gap-3 p-4">
      <div className="ml-auto w-fit max-w-[85%] rounded-lg rounded-br-sm bg-chosen px-3 py-2">
        <span className="sr-only">Asked: </span>
        <Value value={run.input} />
      </div>
      <div>
        <Lines run={run.id} partner="" entries={entries.filter(ofAgents)} />
        {run.output !== null && (
          <div className="card w-fit max-w-[85%] rounded-lg rounded-bl-sm px-3 py-2">
            <span className="sr-only">Answered: </span>
            <Answer output={run.output as Json} />
          </div>
        )}
        <p className="mt-1"><Makers run={run.id} entries={entries} /></p>
      </div>
    </div>
  );
}

/** What an agent did, and engagements of agents by the workflow itself. */
const ofAgents = (entry: EntrySummary) => (entry.subject?.startsWith("Agent::") ?? false) || entry.key.endsWith("/enter");
