import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";

import type { Partner, RunSummary } from "../../api/client";
import { me, run as runQuery, runs } from "../../api/queries";
import { Time } from "../../parts/ui";
import { fieldsOf, turnOf } from "./talk";

const SEEN = 200;
const MOST = 8;

/** One's own latest conversations with a partner. */
export function Earlier({ partner }: { partner: Partner }) {
  const who = useQuery(me).data?.name;
  const found = useQuery(runs({ workflow: partner.name, limit: SEEN })).data?.runs ?? [];
  const known = new Map<string, { first: RunSummary; last: RunSummary }>();
  for (const run of found) {
    const turn = turnOf(run.key);
    if (turn && run.subject === who) known.set(turn.conversation, { first: run, last: known.get(turn.conversation)?.last ?? run });
  }
  if (known.size === 0) return null;
  return (
    <section className="mx-auto mt-6 w-full max-w-lg">
      <h2 className="heading text-quiet">Earlier conversations</h2>
      <ul className="mt-1">
        {[...known].slice(0, MOST).map(([conversation, { first, last }]) => (
          <li key={conversation}>
            <Link to="/chat" search={{ with: partner.name, conversation, by: who }} className="flex items-baseline gap-3 rounded px-2 py-1.5 hover:bg-sunken">
              <Beginning partner={partner} run={first.id} />
              <span className="shrink-0 text-quiet"><Time at={last.created_at} /></span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

const SHORT = 120;

function Beginning({ partner, run }: { partner: Partner; run: string }) {
  const input = useQuery(runQuery(run)).data?.input;
  const fields = fieldsOf(partner, input);
  const said = partner.text === null ? Object.values(fields).join(", ") : String(fields[partner.text] ?? "");
  return <span className="min-w-0 flex-1 truncate [unicode-bidi:isolate]">{said.slice(0, SHORT) || "…"}</span>;
}
