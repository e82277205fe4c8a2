"""How a run ends: its last write, with everything that it closes and everybody it tells."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from orchestrion.core import (
    Datum,
    Diverged,
    Entry,
    EntryKind,
    EntryStatus,
    Faulted,
    Json,
    Message,
    OrchestrionError,
    Put,
    Run,
    RunStatus,
    SetRun,
    Tell,
    UserError,
    Write,
    problem_of,
)

from ._lifecycle import ended as told_end
from ._rows import stored_labels
from ._walk import Walk

log = logging.getLogger(__name__)


async def finish(
    walk: Walk, status: RunStatus, *, output: Datum | None = None, error: BaseException | None = None
) -> Run:
    """The run's end in one transaction: what is still open is closed, and a parent is told."""
    problem = problem_of(error).to_json() if error else None
    cost = _total_cost(walk.entries.values()) if walk.complete else await _spent(walk)
    ended = replace(
        walk.run,
        status=status,
        output=output.value if output else None,
        problem=problem,
        fault_key=error.source_key if isinstance(error, Faulted) else None,
        labels=stored_labels(output.labels) if output else None,
        cost=cost,
        ended_at=walk.clock.now(),
    )
    writes: list[Write] = [*walk.closing_writes([""]), *_tell_parent(ended), *told_end(walk, ended)]
    writes.append(
        SetRun(
            status=status,
            output=ended.output,
            problem=problem,
            fault_key=ended.fault_key,
            labels=ended.labels,
            cost=ended.cost,
            ended_at=ended.ended_at,
        )
    )
    await walk.commit(*writes)
    return ended


async def finish_cancelled(walk: Walk) -> Run:
    """A cancel is an entry of its own, committed with everything it closes."""
    walk.main = None
    by = walk.cancelled_by or "unknown"
    now = walk.clock.now()
    cancel = Entry(
        key="/cancel",
        kind=EntryKind.CHOICE,
        status=EntryStatus.COMPLETED,
        output={"by": by},
        subject=f"User::{by}",
        started_at=now,
        ended_at=now,
        epoch=walk.run.epoch,
    )
    walk.attach(Put(cancel), *walk.cancelling_writes())
    stopped = UserError("cancelled", f"The run was cancelled by {by}.")
    return await finish(walk, RunStatus.CANCELLED, error=stopped)


async def finish_stopped(walk: Walk, error: Diverged | UserError) -> Run:
    """Nothing more is executed or reused: the run diverged, or holds a value that cannot be stored."""
    problem = error.problem.to_json()
    diverged = isinstance(error, Diverged)
    status = RunStatus.DIVERGED if diverged else RunStatus.FAULTED
    ended = replace(walk.run, status=status, problem=problem, ended_at=None if diverged else walk.clock.now())
    writes: list[Write] = [SetRun(status=status, problem=problem, ended_at=ended.ended_at)]
    if not diverged:
        writes = [*walk.closing_writes([""]), *_tell_parent(ended), *told_end(walk, ended), *writes]
    try:
        await walk.journal.write(walk.run.id, walk.run.epoch, writes)
    except OrchestrionError as failure:
        log.warning("Run %s stopped, which could not be recorded: %s", walk.run.id, failure)
    walk.heard(writes)
    return ended


def _tell_parent(run: Run) -> list[Write]:
    if run.parent_id is None or run.parent_key is None:
        return []
    body: dict[str, Json] = {"status": run.status, "output": run.output, "labels": run.labels, "problem": run.problem}
    return [Tell(run.parent_id, Message(id=run.id, key=run.parent_key, kind="child", body=body))]


async def _spent(walk: Walk) -> Json:
    """From the journal, where all entries are."""
    await walk.flush()
    try:
        return await walk.journal.spent(walk.run.id)
    except OrchestrionError as error:
        raise walk.stop(error) from error


def _total_cost(entries: Iterable[Entry]) -> Json:
    total: Counter[str] = Counter()
    for entry in entries:
        if entry.cost is not None:
            total.update(entry.cost)  # pyright: ignore[reportArgumentType, reportCallIssue] a cost is a flat object of integers
    return dict(total) if total else None
