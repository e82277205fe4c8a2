import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { api, type RunWhole } from "../../api/client";
import { client, me } from "../../api/queries";
import { Status } from "../../parts/status";
import { Button, Dialog, FailedRequest, Time } from "../../parts/ui";
import { costOf, counted, moneyWords, secondsBetween, spanWords } from "../../parts/words";

export const ENDED = new Set(["completed", "faulted", "cancelled", "diverged"]);

export function RunHead({ run }: { run: RunWhole }) {
  const cost = costOf(run.cost);
  const tokens = cost.input_tokens + cost.output_tokens;
  return (
    <header>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <h1 className="text-[17px] font-semibold break-all">{run.workflow}</h1>
        <span aria-live="polite"><Status status={run.status} /></span>
        <Deeds run={run} />
      </div>
      <dl className="mt-1 flex flex-wrap gap-x-5 gap-y-0.5 text-quiet [&_dd]:inline [&_dt]:inline [&_dt]:after:content-['_']">
        <div><dt className="sr-only">Id</dt><dd className="font-mono text-[12px] break-all select-all">{run.id}</dd></div>
        <div><dt>version</dt><dd>{run.version}</dd></div>
        <div><dt>created</dt><dd><Time at={run.created_at} /></dd></div>
        {run.started_at && <div><dt>lasted</dt><dd>{spanWords(secondsBetween(run.started_at, run.ended_at))}</dd></div>}
        {run.subject && <div><dt>by</dt><dd>{run.subject}</dd></div>}
        <div><dt>cost</dt><dd>{moneyWords(cost.usd_micros)}{tokens > 0 && `, ${counted(tokens, "token")}`}</dd></div>
        {run.attempt > 1 && <div><dt>attempt</dt><dd>{run.attempt}</dd></div>}
        {run.parent_id && <div><dt>part of</dt><dd><Link to="/runs/$id" params={{ id: run.parent_id }} className="text-accent underline">another run</Link></dd></div>}
        {run.copied_from && <div><dt>copy of</dt><dd><Link to="/runs/$id" params={{ id: run.copied_from }} className="text-accent underline">another run</Link></dd></div>}
      </dl>
    </header>
  );
}

function Deeds({ run }: { run: RunWhole }) {
  const [rerunning, setRerunning] = useState(false);
  const who = useQuery(me).data;
  const changed = () => void client.invalidateQueries({ queryKey: ["run", run.id] });
  const cancel = useMutation({ mutationFn: () => api.cancel(run.id), onSuccess: changed });
  const retry = useMutation({ mutationFn: () => api.retry(run.id), onSuccess: () => location.reload() });
  const failed = cancel.error ?? retry.error;
  if (!who?.roles.some((role) => role === "operator" || role === "admin")) return null;
  return (
    <>
      <div className="ml-auto flex gap-2">
        {!ENDED.has(run.status) && <Button look="bad" disabled={cancel.isPending} onClick={() => cancel.mutate()}>Cancel</Button>}
        {run.status === "faulted" && <Button disabled={retry.isPending} onClick={() => retry.mutate()}>Retry</Button>}
        <Button onClick={() => setRerunning(true)}>Rerun</Button>
      </div>
      {failed && <div className="w-full"><FailedRequest error={failed} /></div>}
      {rerunning && <Rerun run={run} onClose={() => setRerunning(false)} />}
    </>
  );
}

function Rerun({ run, onClose }: { run: RunWhole; onClose: () => void }) {
  const navigate = useNavigate();
  const [text, setText] = useState(() => JSON.stringify(run.input, null, 2));
  const rerun = useMutation({
    mutationFn: () => api.rerun(run.id, { input: JSON.parse(text) }),
    onSuccess: (again) => {
      onClose();
      void navigate({ to: "/runs/$id", params: { id: again.id } });
    },
  });
  return (
    <Dialog title="Rerun" onClose={onClose}>
      <form
        className="p-4"
        onSubmit={(event) => {
          event.preventDefault();
          rerun.mutate();
        }}
      >
        <h2 className="text-[15px] font-semibold">Run this workflow anew</h2>
        <label className="mt-2 block">
          <span className="text-quiet">Input, as JSON</span>
          <textarea value={text} onChange={(event) => setText(event.target.value)} rows={10} spellCheck={false} className="mt-1 w-full font-mono text-[12.5px]" />
        </label>
        {rerun.error && <div className="mt-2"><FailedRequest error={rerun.error} /></div>}
        <div className="mt-3 flex justify-end gap-2">
          <Button onClick={onClose}>Leave it</Button>
          <Button type="submit" look="main" disabled={rerun.isPending}>Start</Button>
        </div>
      </form>
    </Dialog>
  );
}
