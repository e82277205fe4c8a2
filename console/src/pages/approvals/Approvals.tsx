import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";

import type { Approval } from "../../api/client";
import { approval as approvalQuery, waiting } from "../../api/queries";
import { useKeys } from "../../parts/keys";
import { Deadline, Empty, FailedRequest, Key, Time } from "../../parts/ui";
import { aboutWords, counted } from "../../parts/words";
import { Question } from "./Question";

/** What waits for a person; at narrow widths either the list or one of them. */
export function Approvals() {
  const { id } = useParams({ strict: false });
  const navigate = useNavigate();
  const [said, setSaid] = useState("");
  const inbox = useQuery(waiting);
  const open = inbox.data?.approvals ?? [];
  const at = open.findIndex((each) => each.id === id);
  const go = (to: Approval | undefined) =>
    void (to ? navigate({ to: "/approvals/$id", params: { id: to.id } }) : navigate({ to: "/approvals" }));
  const move = (by: number) => open.length > 0 && go(open[Math.max(0, Math.min(open.length - 1, at + by))]);
  useKeys({ j: () => move(1), k: () => move(-1), Escape: () => go(undefined) });
  const answered = (words: string) => {
    setSaid(words);
    go(open[at + 1] ?? open.find((each) => each.id !== id));
  };
  if (inbox.error) return <FailedRequest error={inbox.error} />;
  if (!inbox.data) return null;
  return (
    <>
      <div className={`mb-3 flex items-center gap-4 ${id ? "max-lg:sr-only" : ""}`}>
        <h1 className="text-[17px] font-semibold">Approvals</h1>
        <span className="text-quiet">{counted(open.length, "question")} for a person</span>
        <span className="ml-auto text-quiet max-md:hidden">
          <Key>j</Key> <Key>k</Key> move, <Key>a</Key> approve, <Key>r</Key> reject
        </span>
      </div>
      <p role="status" className={said ? "mb-3 text-good" : "sr-only"}>{said}</p>
      <div className="grid grid-cols-[minmax(0,2fr)_minmax(0,3fr)] items-start gap-4 max-lg:grid-cols-1">
        <div className={`card overflow-hidden ${id ? "max-lg:hidden" : ""}`}>
          {open.length === 0 ? (
            <Empty title="Nothing waits for anybody.">New questions appear here at once, without reloading.</Empty>
          ) : (
            <List approvals={open} chosen={id} />
          )}
        </div>
        {id ? <Chosen key={id} id={id} answered={answered} /> : <p className="p-4 text-quiet max-lg:hidden">{open.length > 0 && "Choose one, or press j."}</p>}
      </div>
    </>
  );
}

function List({ approvals, chosen }: { approvals: Approval[]; chosen: string | undefined }) {
  return (
    <ul aria-label="Waiting" className="divide-y divide-line lg:max-h-[calc(100dvh-8rem)] lg:overflow-y-auto" tabIndex={-1}>
      {approvals.map((each) => (
        <li key={each.id} className="[content-visibility:auto] [contain-intrinsic-height:57px]">
          <Link
            to="/approvals/$id"
            params={{ id: each.id }}
            className="block px-4 py-2 hover:bg-sunken aria-[current=page]:bg-chosen"
            aria-current={each.id === chosen ? "page" : undefined}
          >
            <span className="flex items-baseline gap-3">
              <span className="min-w-0 flex-1 truncate font-medium">{each.title}</span>
              <span className="text-quiet">{each.expires_at ? <Deadline at={each.expires_at} /> : <Time at={each.created_at} />}</span>
            </span>
            <span className="flex gap-3 text-quiet">
              <span className="min-w-0 flex-1 truncate [unicode-bidi:isolate]">{aboutWords(each.show)}</span>
              <span className="shrink-0">{each.role ?? each.user ?? "anybody"}</span>
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Chosen({ id, answered }: { id: string; answered: (words: string) => void }) {
  const found = useQuery(approvalQuery(id));
  if (found.error) return <FailedRequest error={found.error} />;
  if (!found.data) return null;
  return (
    <div className="min-w-0">
      <Link to="/approvals" className="mb-2 inline-flex min-h-8 items-center text-accent lg:hidden">All approvals</Link>
      <Question approval={found.data} answered={answered} />
    </div>
  );
}
