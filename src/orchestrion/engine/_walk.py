"""One run in this process's memory: its history, its writes, and the moment when it has nothing left to do but wait."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property
from typing import cast

from orchestrion.core import (
    CancelRun,
    Clock,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    Faulted,
    Fenced,
    Finished,
    FinishedPlaces,
    History,
    Journal,
    Json,
    Message,
    OrchestrionError,
    Problem,
    Put,
    RequestStatus,
    Run,
    Unsubscribe,
    Write,
    Written,
    at_or_below,
    is_done_with,
)

from ._attention import Attention, Memories

LINGER_S = 0.05
"""How long a run with nothing to do stays in memory, so that a child's quick answer finds it awake."""
STOP_GRACE_S = 5.0
"""How long a closed scope waits for what it cancelled."""
MOST_ENTRIES = 50_000
"""Entries of a run in memory: those that recovery would have to load."""
MOST_WRITTEN = 1_000_000
"""Entries of a run in all, so that a loop that never ends does not fill the disk."""
SWEEP_AFTER = 1024
DETACHED: Mapping[str, Json] = {"awaited": False}
"""`why` of the entry of a child that nobody waits for: it outlives the scope that began it, though not a cancel."""


class Ending(Enum):
    """Why a walk is being taken apart."""

    EVICTED = auto()
    """Asleep in the store; woken by a timer or a message."""
    STOPPED = auto()
    """This process stops, or may no longer touch the run. Nothing more is written."""
    CANCELLED = auto()
    """Somebody asked the run to stop."""


class WalkStopped(BaseException):
    """Unwinds a walk that cannot go on. Not an Exception, so that no function can mistake it for its own failure."""


@dataclass(slots=True, eq=False)
class Scope:
    """A part of a run that can close: a branch, or what runs against a deadline. A closed one never executes again."""

    parent: "Scope | None" = None
    closed: bool = False

    @property
    def open(self) -> bool:
        scope: Scope | None = self
        while scope is not None:
            if scope.closed:
                return False
            scope = scope.parent
        return True


class Walk:
    """The engine's memory of one run while it advances."""

    def __init__(
        self,
        history: History,
        *,
        journal: Journal,
        clock: Clock,
        on_write: Callable[[Run, Sequence[Write]], None],
        engage: Callable[[str, Run], None],
        lifecycle: bool = False,
    ) -> None:
        self.run = history.run
        self.run_name = f"{history.run.namespace}/{history.run.workflow}"
        self.journal = journal
        self.clock = clock
        self.entries: dict[str, Entry] = dict(history.entries)
        self.finished: dict[str, Finished] = {
            entry.key: said
            for entry in self.entries.values()
            if entry.kind is EntryKind.SCOPE and (said := Finished.from_json(entry.input)) is not None
        }
        self._sweep_at = SWEEP_AFTER
        self._written = history.written
        """Entries of the run in all: what is finished leaves memory, and stays in the journal."""
        self.inbox: dict[str, Message] = {}
        self.told: dict[str, deque[Message]] = {}
        """Events this run was told of and has not looked at yet, by listener."""
        for message in history.messages:
            if message.kind == "event":
                self.told.setdefault(message.key, deque()).append(message)
            else:
                self.inbox[message.key] = message
        self.attentions: dict[str, Attention] = {}
        self.seen_seq = max((message.seq for message in history.messages), default=history.run.inbox_seq)
        self.root = Scope()
        self.live = 1
        self.ending: Ending | None = None
        self.failure: OrchestrionError | None = None
        self.cancelled_by = history.run.cancel_requested_by
        self.wakes: dict[object, float] = {}
        self.wake_at: float | None = None
        """When an evicted run wants to be woken."""
        self.main: asyncio.Task[Run] | None = None
        self._parked: dict[str, asyncio.Future[Message | None]] = {}
        self._pending: list[Write] = []
        self._on_write = on_write
        self.engage = engage
        """Take up another run that this one waits for, if nobody has."""
        self.lifecycle = lifecycle
        """Whether the run tells of its beginning and end as events."""
        self._linger: asyncio.TimerHandle | None = None
        self._resting: asyncio.Task[None] | None = None
        self._news_came = False

    @cached_property
    def memories(self) -> Memories:
        return Memories(self)

    # --- writing ---

    def attach(self, *writes: Write) -> None:
        """These become durable with the run's next write; whoever reads one of them reads all before it."""
        self._note(writes)
        self._pending.extend(writes)

    def post(self, *writes: Write) -> None:
        """Queue a transaction without waiting for it."""
        future, batch = self._queue(writes)
        future.add_done_callback(lambda _: self._posted(future, batch))

    async def commit(self, *writes: Write) -> None:
        """One transaction, durable when this returns, also for a task cancelled meanwhile. Raises: WalkStopped when it cannot be."""
        future, batch = self._queue(writes)
        try:
            await future
        except OrchestrionError as error:
            raise self.stop(error) from error
        except asyncio.CancelledError:
            self._posted(future, batch)
            raise
        self._lighten(future.kept)
        self._on_write(self.run, batch)

    def _queue(self, writes: Sequence[Write]) -> tuple[Written, Sequence[Write]]:
        if self.ending is Ending.STOPPED:
            raise WalkStopped
        self._note(writes)
        batch = [*self._pending, *writes]
        self._pending.clear()
        return self.journal.write(self.run.id, self.run.epoch, batch), batch

    async def require_lead(self) -> None:
        """Nothing is done outside unless this process is certain to be the one that may. Raises: WalkStopped."""
        if not self.journal.leading() and not await self.journal.regain():
            raise self.stop(Fenced(self.run.id))

    async def flush(self) -> None:
        if self._pending:
            await self.commit()

    def _note(self, writes: Sequence[Write]) -> None:
        entries = self.entries
        for write in writes:
            if isinstance(write, Put):
                key = write.entry.key
                if key not in entries:
                    self._written += 1
                entries[key] = write.entry
        if len(entries) >= self._sweep_at:
            self._sweep()
        if self.main is not None and (len(entries) > MOST_ENTRIES or self._written > MOST_WRITTEN):
            raise Faulted(_too_long())

    def _lighten(self, kept: Sequence[Entry]) -> None:
        """Large values that the store has now need no place in memory."""
        for entry in kept:
            held = self.entries.get(entry.key)
            if held is not None and (held.status, held.ended_at) == (entry.status, entry.ended_at):
                self.entries[entry.key] = entry

    def _sweep(self) -> None:
        """Forget what no walk of the run asks for any more: finished iterations, branches and attempts."""
        finished = FinishedPlaces(self.finished)
        for key in [
            key for key, entry in self.entries.items() if is_done_with(entry.kind, entry.status) and key in finished
        ]:
            del self.entries[key]
            self.finished.pop(key, None)
        self._sweep_at = max(SWEEP_AFTER, 2 * len(self.entries))

    @property
    def complete(self) -> bool:
        """Whether all entries of the run are in memory."""
        return self._written == len(self.entries)

    def _posted(self, future: Written, batch: Sequence[Write]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._lighten(future.kept)
            self._on_write(self.run, batch)
        elif isinstance(error, OrchestrionError):
            self.stop(error)

    def heard(self, writes: Sequence[Write]) -> None:
        """The engine learns of writes that were made without this walk's doing."""
        self._on_write(self.run, writes)

    def stop(self, error: OrchestrionError) -> WalkStopped:
        """The walk cannot go on: everything in it is unwound, and nothing more is written."""
        if self.failure is None:
            self.failure = error
        self.end(Ending.STOPPED)
        return WalkStopped()

    def end(self, ending: Ending) -> None:
        """Begin to take the walk apart."""
        if self.ending is None or ending is Ending.STOPPED:
            self.ending = ending
        self.root.closed = True
        if self.main is not None and self.main is not asyncio.current_task():
            self.main.cancel()

    # --- waiting ---

    async def park(self, key: str | None, wake_at: float | None) -> Message | None:
        """Wait for a message addressed to `key`, or until `wake_at`; None when the time came first."""
        if key is not None and key in self.inbox:
            return self.inbox[key]
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message | None] = loop.create_future()
        timer = loop.call_later(max(0.0, wake_at - self.clock.now()), self._ring, future) if wake_at else None
        if key is not None:
            self._parked[key] = future
        if wake_at is not None:
            self.wakes[future] = wake_at
        self.fewer()
        try:
            return await future
        finally:
            if future.cancelled():
                self.more()
            self.wakes.pop(future, None)
            if key is not None:
                self._parked.pop(key, None)
            if timer is not None:
                timer.cancel()

    def _ring(self, future: "asyncio.Future[Message | None]") -> None:
        if self._resting is not None:
            self._resting.add_done_callback(lambda _: self._ring(future))
        else:
            self._wake(future, None)

    def _wake(self, future: "asyncio.Future[Message | None]", message: Message | None) -> None:
        """A strand counts as busy from here on: until its turn comes, the run must not be put to rest."""
        if not future.done():
            self.more()
            future.set_result(message)

    async def awake(self) -> None:
        """Wait out an attempt to rest: while it is undecided, nothing may move."""
        while self._resting is not None:
            await asyncio.wait([self._resting])

    def more(self, strands: int = 1) -> None:
        self.live += strands
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def fewer(self, strands: int = 1) -> None:
        self.live -= strands
        self._linger_if_idle()

    def _linger_if_idle(self) -> None:
        if self.live == 0 and self.ending is None and self._linger is None and self._resting is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self._rest_soon)

    def _rest_soon(self) -> None:
        self._linger = None
        if self.live == 0 and self.ending is None and self._resting is None:
            self._resting = asyncio.ensure_future(self._rest())

    async def _rest(self) -> None:
        try:
            if self.live:  # a strand whose end was on its way when the timer rang, which some loops put first
                return
            await self.flush()
            self._news_came = False
            self.wake_at = min(self.wakes.values(), default=None)
            asleep = await self.journal.rest(self.run.id, self.run.epoch, seen_seq=self.seen_seq, wake_at=self.wake_at)
            if not asleep:
                await self._take_news(resting=True)
                return
            if self._news_came:
                self.wake_at = 0.0
            self.end(Ending.EVICTED)
        except OrchestrionError as error:
            self.stop(error)
        except WalkStopped:
            pass
        finally:
            self._resting = None
            self._linger_if_idle()

    async def refresh(self) -> None:
        """Take in what arrived: messages, and a request to cancel. While the run tries to rest, that is decided first."""
        if not self.rests_first():
            await self._take_news()

    def rests_first(self) -> bool:
        """Whether news has to wait until it is decided if the run rests, which it then does for a moment only.

        It is said at once, not by a task that reads the news: the store may have decided, and the run be gone before its turn.
        """
        if self._resting is not None:
            self._news_came = True
        return self._resting is not None

    async def _take_news(self, *, resting: bool = False) -> None:
        """What arrived, read and acted upon. When the run has begun to rest while it was read, it is left for then."""
        messages = await self.journal.inbox(self.run.id, self.seen_seq)
        if self._must_wait(resting=resting):
            return
        for message in messages:
            if message.seq > self.seen_seq:
                self._hear(message)
        row = await self.journal.run(self.run.id)
        if self._must_wait(resting=resting):
            return
        if row is not None and row.cancel_requested_by is not None and self.ending is None:
            self.cancelled_by = row.cancel_requested_by
            self.end(Ending.CANCELLED)

    def _must_wait(self, *, resting: bool) -> bool:
        """Whether it is being decided if the run rests, by another than the one who asks."""
        if self._resting is None or resting:
            return False
        self._news_came = True
        return True

    def _hear(self, message: Message) -> None:
        self.seen_seq = message.seq
        if message.kind == "event":
            self.told.setdefault(message.key, deque()).append(message)
        else:
            self.inbox.setdefault(message.key, message)
        if (parked := self._parked.get(message.key)) is not None:
            self._wake(parked, message)

    # --- closing ---

    def cancelling_writes(self) -> list[Write]:
        """A cancel reaches also the children that were begun without waiting for them."""
        return [
            CancelRun(cast("dict[str, str]", entry.output)["run"], self.cancelled_by or "unknown")
            for entry in self.entries.values()
            if entry.kind is EntryKind.CHILD and entry.why == DETACHED
        ]

    def closing_writes(self, prefixes: Sequence[str]) -> list[Write]:
        """What remains open at or below the prefixes, ended: intents abandoned, requests withdrawn, children cancelled, listeners gone."""
        writes: list[Write] = []
        for entry in list(self.entries.values()):
            if entry.status is not EntryStatus.INTENT or not any(at_or_below(entry.key, prefix) for prefix in prefixes):
                continue
            match entry.kind:
                case EntryKind.LEAF:
                    writes.append(Put(_abandoned(entry, self.clock.now())))
                case EntryKind.REQUEST:
                    writes.append(CloseRequests(entry.key, RequestStatus.WITHDRAWN))
                    writes.append(Put(_abandoned(entry, self.clock.now())))
                case EntryKind.CHILD:
                    child = cast("dict[str, str]", entry.output)["run"]
                    writes.append(CancelRun(child, self.cancelled_by or "a closed scope"))
                    writes.append(Put(_abandoned(entry, self.clock.now())))
                case EntryKind.LISTEN:
                    writes.append(Unsubscribe(entry.key))
                    writes.append(Put(_abandoned(entry, self.clock.now())))
                case _:
                    pass
        return writes


def _too_long() -> Problem:
    return Problem(
        type="urn:orchestrion:problem:run-too-long",
        status=507,
        title="Run too long",
        detail=f"This run has more than {MOST_ENTRIES:,} entries outside finished iterations, or {MOST_WRITTEN:,} in all.",
        code="run-too-long",
        hint="Split the work into child workflows.",
    )


def _abandoned(entry: Entry, now: float) -> Entry:
    problem: Json = {"type": "urn:orchestrion:problem:abandoned", "status": 499, "title": "Its scope closed first"}
    return replace(entry, status=EntryStatus.ABANDONED, problem=problem, ended_at=now)
