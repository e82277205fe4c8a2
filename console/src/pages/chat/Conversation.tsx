import { useIsFetching, useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";

import { api, type Json, type Partner, type RunSummary } from "../../api/client";
import { me, run as runQuery } from "../../api/queries";
import { useKeys } from "../../parts/keys";
import { Empty, FailedRequest } from "../../parts/ui";
import { Form, objectOf } from "../approvals/Form";
import { Composer } from "./Composer";
import { Earlier } from "./Earlier";
import { askedOf, Fields } from "./Fields";
import { noteTurn, say, type Saying, turns as turnsQuery } from "./queries";
import { fieldsOf, hasEnded, newConversation, shortName } from "./talk";
import { Bubble, Turn } from "./Turn";

interface ConversationProps {
  partner: Partner;
  /** Undefined for one that is about to begin. */
  conversation: string | undefined;
  by: string;
}

export function Conversation({ partner, conversation, by }: ConversationProps) {
  const who = useQuery(me).data;
  const found = useQuery({ ...turnsQuery(by, conversation ?? ""), enabled: conversation !== undefined });
  const known = conversation === undefined ? [] : (found.data ?? []);
  const may = who?.roles.some((role) => role === "operator" || role === "admin") ?? false;
  if (found.error) return <FailedRequest error={found.error} />;
  return (
    <section aria-label={`Conversation with ${shortName(partner.name)}`} className="card flex min-h-0 min-w-0 flex-col overflow-hidden">
      <Head partner={partner} begun={conversation !== undefined} />
      {may && by === who?.name ? (
        <Talk partner={partner} conversation={conversation} by={by} known={known} />
      ) : (
        <>
          <Scroller><Turns partner={partner} by={by} conversation={conversation} known={known} answered={() => undefined} /></Scroller>
          <p className="border-t border-line p-4 text-quiet">
            {may ? `This is a conversation of ${by}. ` : "You may read conversations; talking takes the role operator."}
            {may && <Link to="/chat" search={{ with: partner.name }} className="text-accent underline">Begin one of your own</Link>}
          </p>
        </>
      )}
    </section>
  );
}

function Head({ partner, begun }: { partner: Partner; begun: boolean }) {
  return (
    <header className="border-b border-line px-4 py-2">
      <div className="flex items-center gap-3">
        <Link to="/chat" aria-label="All there are to talk to" className="-ml-2 inline-flex size-9 items-center justify-center rounded text-accent hover:bg-sunken lg:hidden">
          <svg viewBox="0 0 16 16" className="size-4" fill="none" stroke="currentColor" strokeWidth="2" aria-hidden>
            <path d="m10 3-5 5 5 5" />
          </svg>
        </Link>
        <h1 className="min-w-0 truncate text-[15px] font-semibold">{shortName(partner.name)}</h1>
        <span className="text-quiet">{partner.kind}</span>
        {begun && (
          <Link to="/chat" search={{ with: partner.name }} className="ml-auto inline-flex min-h-8 shrink-0 items-center rounded border border-line px-3 font-medium hover:bg-sunken">
            New conversation
          </Link>
        )}
      </div>
    </header>
  );
}

interface TalkProps extends ConversationProps {
  known: readonly RunSummary[];
}

function Talk({ partner, conversation, by, known }: TalkProps) {
  const navigate = useNavigate();
  const fresh = useRef(newConversation());
  const box = useRef<HTMLTextAreaElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const underWay = known.findLast((run) => !hasEnded(run));
  const sending = useMutation({
    mutationFn: say,
    onSuccess: (run, { conversation: here }) => {
      noteTurn(by, here, run);
      setText("");
      if (here === fresh.current) fresh.current = newConversation();
      if (conversation === undefined) void navigate({ to: "/chat", search: { with: partner.name, conversation: here, by } });
    },
  });
  const stopping = useMutation({ mutationFn: api.cancel });
  const stop = () => underWay && stopping.mutate(underWay.id);
  useKeys({ Escape: stop });
  const start = (fields: Saying["fields"]) => sending.mutate({ partner, conversation: conversation ?? fresh.current, fields, known });
  const last = useQuery({ ...runQuery(known.at(-1)?.id ?? ""), enabled: known.length > 0 }).data;
  const asked = askedOf(partner, last ? fieldsOf(partner, last.input) : {});
  const [open, setOpen] = useState(known.length === 0);
  useEffect(() => {
    setOpen(conversation === undefined);
    box.current?.focus();
  }, [conversation]);
  const send = () => {
    if (partner.text === null || text.trim() === "" || sending.isPending) return;
    if (form.current && !form.current.checkValidity()) {
      setOpen(true);
      // once it can be seen
      requestAnimationFrame(() => form.current?.reportValidity());
      return;
    }
    try {
      const others = form.current ? (objectOf(asked.fields, new FormData(form.current)) as { [name: string]: Json }) : {};
      setWrong("");
      start({ ...others, [partner.text]: text });
    } catch (error) {
      setWrong(`A field is not JSON: ${(error as Error).message}`);
    }
  };
  const pending = sending.isPending ? sending.variables.fields : null;
  return (
    <>
      {partner.text !== null && asked.fields.length > 0 && (
        <Fields key={last?.id ?? "first"} form={form} asked={asked} open={open} setOpen={setOpen} done={() => (text.trim() === "" ? box.current?.focus() : send())} />
      )}
      <Scroller>
        <Turns partner={partner} by={by} conversation={conversation} known={known} answered={() => box.current?.focus()} />
        {conversation === undefined && !pending && <Beginning partner={partner} />}
        {pending && <Bubble value={(partner.text !== null ? pending[partner.text] : pending) ?? pending} />}
        {(sending.error ?? stopping.error) && <FailedRequest error={(sending.error ?? stopping.error) as Error} />}
        {wrong && <p role="alert" className="text-bad">{wrong}</p>}
      </Scroller>
      {partner.text !== null ? (
        <Composer
          label={`Message to ${shortName(partner.name)}`}
          box={box}
          text={text}
          setText={setText}
          underWay={underWay !== undefined}
          send={send}
          stop={stop}
        />
      ) : (
        <div className="max-h-[50%] overflow-y-auto border-t border-line p-4 pb-1">
          <Form schema={{ title: "Input, as JSON", ...(partner.input as object) }} busy={sending.isPending || underWay !== undefined} label="Start" submit={(value) => start(value as Saying["fields"])} />
        </div>
      )}
    </>
  );
}

function Beginning({ partner }: { partner: Partner }) {
  const words = partner.kind === "workflow" ? "Each message is a run of its own: a workflow keeps no conversation." : "Each answer is a run, with its whole record.";
  return (
    <div>
      <Empty title={partner.description || `Say something to ${shortName(partner.name)}.`}>{words}</Empty>
      <Earlier partner={partner} />
    </div>
  );
}

interface TurnsProps extends TalkProps {
  answered: () => void;
}

function Turns({ partner, by, conversation, known, answered }: TurnsProps) {
  const looking = useIsFetching({ queryKey: ["turns", by, conversation] }) > 0;
  if (conversation !== undefined && known.length === 0 && !looking) {
    return <Empty title="Nothing is left of this conversation.">Its runs may have been removed, or the address is not whole.</Empty>;
  }
  return (
    <ol aria-label="What was said" className="space-y-5">
      {known.map((run) => (
        <Turn key={run.id} partner={partner} run={run} moved={(now) => noteTurn(by, conversation ?? "", now)} answered={answered} />
      ))}
    </ol>
  );
}

const NEAR = 80;

/** Stays at the end while new things come, unless somebody has scrolled up. */
function Scroller({ children }: { children: ReactNode }) {
  const outer = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const follow = new ResizeObserver(() => {
      if (atEnd.current) outer.current?.scrollTo({ top: outer.current.scrollHeight });
    });
    if (inner.current) follow.observe(inner.current);
    return () => follow.disconnect();
  }, []);
  const look = () => {
    const { scrollTop = 0, scrollHeight = 0, clientHeight = 0 } = outer.current ?? {};
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
  };
  return (
    <div ref={outer} onScroll={look} role="region" aria-label="Messages" tabIndex={0} className="min-h-0 flex-1 overflow-y-auto px-4 py-4 max-md:px-3">
      <div ref={inner} className="mx-auto max-w-[48rem] space-y-5">{children}</div>
    </div>
  );
}
