"""Strands of a run: branches, races and deadlines. What depended on who came first is recorded before anyone acts on it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from orchestrion.core import (
    ERROR_TYPES,
    BugError,
    Effects,
    Entry,
    EntryKind,
    EntryStatus,
    Faulted,
    Json,
    OrchestrionError,
    Problem,
    Put,
)

from ._walk import STOP_GRACE_S, Scope, Walk, WalkStopped

if TYPE_CHECKING:
    from ._effects import WalkEffects

T = TypeVar("T")
Branch = Callable[[Effects], Awaitable[T]]


async def fork(effects: "WalkEffects", key: str, task: str, branches: Sequence[Branch[T]]) -> list[T]:
    """All branches; the first failure, recorded as such, stops the others."""
    walk, choice = effects.walk, f"{key}/join"
    if (entry := walk.entries.get(choice)) is not None:
        first = cast("dict[str, int]", entry.output)["failed"]
        await branches[first](effects.scoped(Scope(effects.scope)))
        raise BugError("replay-succeeded", f"Branch {first} of {task} failed before and succeeds now.")
    strands = Strands(effects, branches)
    try:
        done, _ = await strands.wait(asyncio.FIRST_EXCEPTION)
        failed = [i for i, strand in enumerate(strands.tasks) if strand in done and _failure(strand) is not None]
        if not failed:
            return [strand.result() for strand in strands.tasks]
        await walk.commit(_choice(walk, choice, task, {"failed": failed[0]}))
    except BaseException:
        await strands.stop()
        raise
    await strands.close([f"{key}/{i}" for i in range(len(branches)) if i != failed[0]])
    raise cast("BaseException", _failure(strands.tasks[failed[0]]))


async def race(effects: "WalkEffects", key: str, task: str, branches: Sequence[Branch[T]]) -> T:
    """The first success; the last failure when all fail."""
    walk, choice = effects.walk, f"{key}/join"
    if (entry := walk.entries.get(choice)) is not None:
        won = cast("dict[str, int]", entry.output)["winner"]
        return await branches[won](effects.scoped(Scope(effects.scope)))
    strands = Strands(effects, branches)
    try:
        finished: list[int] = []
        won: int | None = None
        while won is None and len(finished) < len(branches):
            await strands.wait(asyncio.FIRST_COMPLETED, finished)
            for i, strand in enumerate(strands.tasks):
                if strand.done() and i not in finished:
                    finished.append(i)
                    if won is None and _failure(strand) is None:
                        won = i
        first = finished[-1] if won is None else won
        await walk.commit(_choice(walk, choice, task, {"winner": first}))
    except BaseException:
        await strands.stop()
        raise
    await strands.close([f"{key}/{i}" for i in range(len(branches)) if i != first])
    return strands.tasks[first].result()


async def within(effects: "WalkEffects", key: str, task: str, seconds: float, body: Branch[T]) -> T:
    """`body`, unless its recorded deadline comes first."""
    walk, choice = effects.walk, f"{key}/deadline"
    entry = walk.entries.get(choice)
    if entry is None:
        entry = _deadline(walk, choice, task, seconds)
        walk.post(Put(entry))
    outcome = cast("dict[str, Json]", entry.output)
    if outcome.get("first") == "deadline":
        raise Faulted(_timeout(task, seconds), source_key=choice)
    if outcome.get("first") == "body":
        return await body(effects)
    at = cast("float", outcome["at"])
    strands = Strands(effects, [body])
    walk.wakes[strands] = at
    try:
        while not strands.tasks[0].done() and (remaining := at - walk.clock.now()) > 0:
            await strands.wait(asyncio.FIRST_COMPLETED, timeout_s=remaining)
            await walk.awake()
        first = "body" if strands.tasks[0].done() else "deadline"
        ended = replace(
            entry, status=EntryStatus.COMPLETED, output={"at": at, "first": first}, ended_at=walk.clock.now()
        )
        if first == "body":
            walk.attach(Put(ended))
            return strands.tasks[0].result()
        await walk.commit(Put(ended))
    except BaseException:
        await strands.stop()
        raise
    finally:
        walk.wakes.pop(strands, None)
    await strands.close([key])
    raise Faulted(_timeout(task, seconds), source_key=choice)


class Strands(Generic[T]):
    """Branches running at once. While they run, the strand that waits for them does not count as busy."""

    def __init__(self, effects: "WalkEffects", branches: Sequence[Branch[T]]) -> None:
        self._walk: Walk = effects.walk
        self._scopes = [Scope(effects.scope) for _ in branches]
        self.tasks: list[asyncio.Task[T]] = []
        for branch, scope in zip(branches, self._scopes, strict=True):
            strand = asyncio.ensure_future(_run(branch, effects.scoped(scope)))
            self._walk.more()
            strand.add_done_callback(self._ended)
            self.tasks.append(strand)

    def _ended(self, strand: "asyncio.Task[T]") -> None:
        """A strand that ends after its scope was closed has nobody else to look at its failure, which asyncio would print."""
        self._walk.fewer()
        if not strand.cancelled():
            strand.exception()

    async def wait(
        self, until: str, finished: Sequence[int] = (), *, timeout_s: float | None = None
    ) -> tuple[set["asyncio.Task[T]"], set["asyncio.Task[T]"]]:
        self._walk.fewer()
        try:
            rest = [strand for i, strand in enumerate(self.tasks) if i not in finished]
            return await asyncio.wait(rest, return_when=until, timeout=timeout_s)
        finally:
            self._walk.more()

    async def stop(self) -> None:
        """Cancel what runs and wait a moment for it; nothing is written."""
        for scope in self._scopes:
            scope.closed = True
        running = [strand for strand in self.tasks if not strand.done()]
        for strand in running:
            strand.cancel()
        if running:
            await asyncio.wait(running, timeout=STOP_GRACE_S)

    async def close(self, prefixes: Sequence[str]) -> None:
        """Stop what runs, then end what remains open below the prefixes."""
        await self.stop()
        self._walk.attach(*self._walk.closing_writes(prefixes))


async def _run(branch: Branch[T], effects: Effects) -> T:
    return await branch(effects)


def _failure(strand: "asyncio.Task[T]") -> BaseException | None:
    """Why a finished branch failed. What stops the whole walk is raised instead."""
    if strand.cancelled():
        raise WalkStopped
    error = strand.exception()
    if error is not None and not isinstance(error, OrchestrionError):
        raise error
    return error


def _choice(walk: Walk, key: str, task: str, output: Json) -> Put:
    now = walk.clock.now()
    return Put(
        Entry(
            key=key,
            kind=EntryKind.CHOICE,
            status=EntryStatus.COMPLETED,
            task=task,
            output=output,
            started_at=now,
            ended_at=now,
            epoch=walk.run.epoch,
        )
    )


def _deadline(walk: Walk, key: str, task: str, seconds: float) -> Entry:
    now = walk.clock.now()
    return Entry(
        key=key,
        kind=EntryKind.CHOICE,
        status=EntryStatus.INTENT,
        task=task,
        output={"at": now + seconds},
        started_at=now,
        epoch=walk.run.epoch,
    )


def _timeout(task: str, seconds: float) -> Problem:
    return Problem(
        type=ERROR_TYPES["timeout"],
        status=408,
        title="Timed out",
        detail=f"It took longer than {seconds:g} s.",
        instance=task,
        code="timed-out",
    )
