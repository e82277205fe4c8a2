import { useMutation, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { api, type FeedbackGiven, type Json, type RunWhole } from "../../api/client";
import { client, me } from "../../api/queries";
import { Button, FailedRequest } from "../../parts/ui";
import { language } from "./Answer";
import { feedbackOf } from "./queries";
import { placed, spokenOf } from "./talk";

const MAY = ["operator", "approver", "editor", "admin"];

/** What people say of an answer: kept with its run. */
export function Opinion({ run }: { run: RunWhole }) {
  const who = useQuery(me).data;
  const said = useQuery(feedbackOf(run.id)).data?.feedback ?? [];
  const [open, setOpen] = useState(false);
  const give = useMutation({
    mutationFn: (given: FeedbackGiven) => api.giveFeedback(run.id, given),
    onSuccess: () => client.invalidateQueries({ queryKey: ["feedback", run.id] }),
  });
  if (!who?.roles.some((role) => MAY.includes(role))) return null;
  const thumb = said.findLast((each) => each.by === who.name && each.thumb !== null)?.thumb;
  return (
    <>
      <span className="flex gap-1">
        <Thumb label="Good answer" chosen={thumb === "good"} give={() => give.mutate({ thumb: "good" })} />
        <Thumb label="Bad answer" chosen={thumb === "bad"} down give={() => give.mutate({ thumb: "bad" })} />
        <button
          type="button"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
          className="min-h-6 rounded px-1.5 text-quiet hover:bg-sunken max-md:min-h-9"
        >
          Correct or note
        </button>
      </span>
      {give.error && <div className="w-full"><FailedRequest error={give.error} /></div>}
      {open && <Words run={run} busy={give.isPending} give={(given) => give.mutate(given, { onSuccess: () => setOpen(false) })} />}
      {said.some((each) => each.note || each.correction != null) && (
        <ul aria-label="What people say of it" className="w-full space-y-0.5">
          {said.filter((each) => each.note || each.correction != null).map((each) => (
            <li key={each.at} className="break-words [unicode-bidi:isolate]">
              {each.by}: {each.note}
              {each.correction != null && <span className="text-good"> {each.note ? "with a correction" : "a correction"}</span>}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Thumb({ label, chosen, down = false, give }: { label: string; chosen: boolean; down?: boolean; give: () => void }): ReactNode {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      aria-pressed={chosen}
      onClick={give}
      className="size-6 rounded text-quiet hover:bg-sunken aria-pressed:bg-chosen aria-pressed:text-accent max-md:size-9"
    >
      <svg viewBox="0 0 16 16" className={`m-auto size-4 ${down ? "rotate-180" : ""}`} fill={chosen ? "currentColor" : "none"} stroke="currentColor" strokeWidth="1.3" strokeLinejoin="round" aria-hidden>
        <path d="M2 7h2.5v6.5H2zM4.5 7 7.6 2c1 0 1.6.8 1.4 1.8L8.5 6.3h4c.9 0 1.5.8 1.3 1.6l-1 4.4c-.2.7-.8 1.2-1.5 1.2H4.500z" />
      </svg>
    </button>
  );
}

function Words({ run, busy, give }: { run: RunWhole; busy: boolean; give: (given: FeedbackGiven) => void }) {
  const { text, path } = spokenOf(run.output, language);
  const start = text ?? JSON.stringify(run.output, null, 2);
  const [right, setRight] = useState(start);
  const [note, setNote] = useState("");
  const [wrong, setWrong] = useState("");
  const send = (event: React.FormEvent) => {
    event.preventDefault();
    const given: FeedbackGiven = {};
    if (note.trim()) given.note = note.trim();
    try {
      if (right !== start) given.correction = text === null ? (JSON.parse(right) as Json) : placed(path, right);
      if (given.note === undefined && given.correction === undefined) setWrong("Change the answer, or write a note.");
      else give(given);
    } catch (error) {
      setWrong(`This is not JSON: ${(error as Error).message}`);
    }
  };
  return (
    <form onSubmit={send} className="card w-full space-y-2 p-3 text-text">
      <label className="block">
        <span className="text-quiet">What would have been right{text === null ? ", as JSON" : ""}</span>
        <textarea dir="auto" rows={3} autoFocus value={right} onChange={(event) => setRight(event.target.value)} className="mt-1 block w-full" />
      </label>
      <label className="block">
        <span className="text-quiet">Note</span>
        <input dir="auto" maxLength={4000} value={note} onChange={(event) => setNote(event.target.value)} className="mt-1 block w-full" />
      </label>
      {wrong && <p role="alert" className="text-bad">{wrong}</p>}
      <Button type="submit" look="main" disabled={busy}>Keep it</Button>
    </form>
  );
}
