import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";

import type { Partner } from "../../api/client";
import { me, partners as partnersQuery } from "../../api/queries";
import { Code, Empty, FailedRequest } from "../../parts/ui";
import { Conversation } from "./Conversation";
import { shortName } from "./talk";

/** Talk with an agent, a team or a workflow; at narrow widths either the list of them or a conversation. */
export function Chat() {
  const search = useSearch({ from: "/chat" });
  const found = useQuery(partnersQuery);
  const who = useQuery(me).data;
  if (found.error) return <FailedRequest error={found.error} />;
  if (!found.data || !who) return null;
  const { partners } = found.data;
  const partner = partners.find((each) => each.name === search.with);
  if (partners.length === 0) return <Nobody />;
  return (
    <div className="grid h-[calc(100dvh-82px)] grid-cols-[16rem_minmax(0,1fr)] grid-rows-[minmax(0,1fr)] gap-4 max-lg:grid-cols-1">
      <nav aria-label="Whom to talk to" tabIndex={-1} className={`card min-h-0 overflow-y-auto ${search.with ? "max-lg:hidden" : ""}`}>
        {!search.with && <h1 className="px-4 pt-3 text-[17px] font-semibold lg:sr-only">Chat</h1>}
        <Group title="Agents" partners={partners.filter((each) => each.kind === "agent")} />
        <Group title="Teams" partners={partners.filter((each) => each.kind === "team")} />
        <Group title="Workflows" partners={partners.filter((each) => each.kind === "workflow")} />
      </nav>
      {partner ? (
        <Conversation key={partner.name} partner={partner} conversation={search.conversation} by={search.by ?? who.name} />
      ) : (
        <div className={`card ${search.with ? "" : "max-lg:hidden"}`}>
          {search.with ? (
            <Empty title={`There is nobody called ${search.with} to talk to.`}>
              <Link to="/chat" className="text-accent underline">See who there is</Link>
            </Empty>
          ) : (
            <Empty title="Whom do you want to talk to?">
              An agent answers by itself, a team shares the work, and a workflow does what its file says.
            </Empty>
          )}
        </div>
      )}
    </div>
  );
}

function Group({ title, partners }: { title: string; partners: Partner[] }) {
  if (partners.length === 0) return null;
  return (
    <section className="py-2">
      <h2 className="heading px-4 py-1 text-quiet">{title}</h2>
      <ul>
        {partners.map((each) => (
          <li key={each.name}>
            <Link
              to="/chat"
              search={{ with: each.name }}
              className="block px-4 py-1.5 hover:bg-sunken aria-[current=page]:bg-chosen"
            >
              <span className="block truncate font-medium">{shortName(each.name)}</span>
              {each.description && <span className="line-clamp-2 text-[12.5px] text-quiet">{each.description}</span>}
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Nobody() {
  return (
    <div className="card">
      <h1 className="sr-only">Chat</h1>
      <Empty title="This project has nobody to talk to yet.">
        A file <Code>agents/NAME.yaml</Code> makes an agent, <Code>teams/NAME.yaml</Code> a team. They are here at once when the
        server starts anew.
      </Empty>
    </div>
  );
}
