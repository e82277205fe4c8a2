import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useId, useMemo, useState } from "react";

import type { RunPage, RunSummary } from "../api/client";
import { partners as partnersQuery, workflows as workflowsQuery } from "../api/queries";
import { Status } from "./status";
import { Dialog } from "./ui";

interface Place {
  id: string;
  label: string;
  note: string;
  status?: string;
  go: () => void;
}

const RUN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
const MOST = 12;

/** Pages, workflows and runs by a part of their names or ids. */
export function Palette({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const list = useId();
  const places = usePlaces(text.trim().toLowerCase());
  const at = Math.min(chosen, places.length - 1);
  const open = (place: Place | undefined) => {
    if (!place) return;
    onClose();
    place.go();
  };
  const press = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setChosen((at + step + places.length) % Math.max(1, places.length));
    else if (event.key === "Enter") open(places[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Search" onClose={onClose}>
      <input
        autoFocus
        role="combobox"
        aria-label="Page, workflow or run"
        aria-expanded
        aria-controls={list}
        aria-activedescendant={places[at] ? `${list}-${at}` : undefined}
        placeholder="Page, workflow or run"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setChosen(0);
        }}
        onKeyDown={press}
        className="w-full rounded-b-none! border-0! border-b! px-4! py-3! text-[15px]"
      />
      <ul id={list} role="listbox" aria-label="Found" className="max-h-[50vh] overflow-y-auto p-1">
        {places.map((place, index) => (
          <li
            key={place.id}
            id={`${list}-${index}`}
            role="option"
            aria-selected={index === at}
            onClick={() => open(place)}
            onPointerMove={() => setChosen(index)}
            className="flex cursor-pointer items-center gap-3 rounded px-3 py-1.5 aria-selected:bg-chosen"
          >
            {place.status && <Status status={place.status} bare />}
            <span className="truncate">{place.label}</span>
            <span className="ml-auto shrink-0 font-mono text-[12px] text-quiet">{place.note}</span>
          </li>
        ))}
      </ul>
      {places.length === 0 && <p className="px-4 pb-4 text-quiet">Nothing is called so. A run is found by its whole id, too.</p>}
    </Dialog>
  );
}

function usePlaces(text: string): Place[] {
  const navigate = useNavigate();
  const known = useKnownRuns();
  const listed = useQuery(workflowsQuery).data;
  const talkers = useQuery(partnersQuery).data;
  return useMemo(() => {
    const named = listed?.workflows.map((each) => each.name) ?? [];
    const pages: Place[] = [
      { id: "overview", label: "Overview", note: "page", go: () => void navigate({ to: "/" }) },
      { id: "runs", label: "Runs", note: "page", go: () => void navigate({ to: "/runs" }) },
      { id: "chat", label: "Chat", note: "page", go: () => void navigate({ to: "/chat" }) },
      { id: "approvals", label: "Approvals", note: "page", go: () => void navigate({ to: "/approvals" }) },
    ];
    const workflows = named.map((workflow) => ({
      id: workflow,
      label: workflow,
      note: "workflow",
      go: () => void navigate({ to: "/runs", search: { workflow } }),
    }));
    const talks = (talkers?.partners ?? []).map((each) => ({
      id: `chat:${each.name}`,
      label: each.name,
      note: "chat",
      go: () => void navigate({ to: "/chat", search: { with: each.name } }),
    }));
    const runs = known.map((run) => ({
      id: run.id,
      label: run.workflow,
      note: run.id,
      status: run.status,
      go: () => void navigate({ to: "/runs/$id", params: { id: run.id } }),
    }));
    const fits = (place: Place) => `${place.label} ${place.id}`.toLowerCase().includes(text);
    const found = [...pages, ...workflows, ...talks, ...runs].filter(fits).slice(0, MOST);
    if (RUN.test(text) && found.length === 0) {
      found.push({ id: text, label: "Open this run", note: text, go: () => void navigate({ to: "/runs/$id", params: { id: text } }) });
    }
    return found;
  }, [known, listed, talkers, navigate, text]);
}

/** Runs that some page has shown. */
function useKnownRuns(): RunSummary[] {
  const client = useQueryClient();
  return useMemo(() => {
    const pages = client.getQueriesData<Pick<RunPage, "runs">>({ queryKey: ["runs"] });
    const found = pages.flatMap(([, page]) => page?.runs ?? []);
    return [...new Map(found.map((run) => [run.id, run])).values()].sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
  }, [client]);
}
