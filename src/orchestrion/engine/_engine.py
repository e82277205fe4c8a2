"""The engine: takes runs in, advances them as asyncio tasks, lets the waiting ones sleep, and stops cleanly."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from orchestrion.core import (
    Answer,
    Begin,
    BugError,
    CancelRun,
    Clock,
    Event,
    Fenced,
    History,
    Journal,
    OrchestrionError,
    Publish,
    Request,
    Run,
    RunStatus,
    Tell,
    TransientError,
    UserError,
    Woken,
    Write,
)

from ._advance import Interpret, OutsideOf, advance
from ._alarms import Alarms
from ._effects import Outside
from ._mocks import DryRuns
from ._router import Rounds, Router, Routing
from ._semantics import foreign_semantics
from ._walk import Ending, Walk, WalkStopped

log = logging.getLogger(__name__)

Observe = Callable[[Run, Sequence[Write]], None]
"""Told of everything that a run has written, once it is durable. It must be quick, and must not raise."""

Moved = Callable[[str], None]
"""Told the id of a run that was accepted or taken up, or came to rest or to its end. As `Observe`."""

NEAR_S = 60.0
"""A sleeper that wakes within this time is waited for; a later one is left asleep."""
NEWS_S = 0.02
"""How often a process that follows asks whether another one has written: an answer takes its run up within this time."""
RETRY_STORE_S = 1.0
GRACE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    concurrency: int = 50
    """Runs in memory at once."""
    backlog: int = 10_000
    """Runs accepted and not yet begun."""


def deposed() -> UserError:
    """Why an engine does nothing more."""
    return UserError(
        "no-longer-leading",
        "Another process advances the runs now; this one lost its lease.",
        hint="The runs go on there. `orchestrion work` stands by for the next time.",
    )


class Engine:
    """Advances the runs it is asked to, and those they start. One engine a store.

    `async with Engine(...)`: leaving stops it; runs in progress go on when an engine next advances them. With `dry` it
    performs nothing: see there.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        interpret: Interpret,
        outside: Outside | OutsideOf,
        clock: Clock,
        semantics: int,
        limits: Limits,
        observe: Observe | None = None,
        moved: Moved = lambda _: None,
        routing: Routing | None = None,
        dry: DryRuns | None = None,
        lifecycle: bool = False,
    ) -> None:
        self._journal = journal
        self._interpret = interpret
        self._outside = outside
        self._clock = clock
        self._semantics = semantics
        self._limits = limits
        self._observe = observe
        self._moved = moved
        self._dry = dry
        self._lifecycle = lifecycle
        self._walks: dict[str, Walk] = {}
        self._hosts: set[asyncio.Task[None]] = set()
        self._refreshing: set[asyncio.Task[None]] = set()
        """Runs in memory that are looking at their news. They are no hosts: they take up no place."""
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._in_hand: set[str] = set()
        """Runs that are being claimed or walked; no run is taken twice at once."""
        self._again: set[str] = set()
        self._roots: dict[str, str] = {}
        self._busy: Counter[str] = Counter()
        self._alarms = Alarms(clock, self._wake)
        self._watchers: dict[str, list[asyncio.Future[None]]] = {}
        self._ends: dict[str, Run] = {}
        self._watched: Counter[str] = Counter()
        self._reserved = 0
        """Places promised to runs that are being accepted."""
        router = Router(journal, routing, self._spread) if routing is not None else None
        self._rounds = Rounds(router, broke=self._break, done=lambda: self._tell_watchers(list(self._watchers)))
        self._stirred: set[str] = set()
        """Roots of the trees that move because of an event, or were taken up."""
        self._reached: list[str] = []
        """Runs that an event started or woke, for `follow`."""
        self._stopping = False
        self.broken: OrchestrionError | None = None

    async def __aenter__(self) -> "Engine":
        """Raises: UserError `semantics-unknown` when the store holds runs that this release would walk otherwise."""
        foreign = await foreign_semantics(self._journal, self._semantics)
        if foreign is not None:
            raise foreign
        await self._journal.release()
        self._journal.when_deposed(self._deposed)
        self._rounds.soon()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- what others ask of it ---

    async def start(self, run: Run) -> Run:
        """Accept a run: it is durable when this returns, and advances. A used start key gives the run that used it.

        Raises: TransientError `backlog-full`; UserError `no-longer-leading`.
        """
        if len(self._ready) >= self._limits.backlog:
            raise TransientError(
                "backlog-full",
                f"{len(self._ready):,} runs are waiting to begin, and no more are accepted.",
                hint="Try again when some have begun, or raise limits.backlog in orchestrion.yaml.",
            )
        if self._ready or len(self._hosts) + self._reserved >= self._limits.concurrency:
            accepted = await self._accepted(run)
        else:
            run = replace(run, status=RunStatus.RUNNING, epoch=1, started_at=self._clock.now())
            self._reserved += 1
            try:
                accepted = await self._accepted(run)
            finally:
                self._reserved -= 1
            if accepted is run:
                self._begin(run)
                return run
        if not accepted.status.ended:
            self.advance(accepted)
        return accepted

    async def _accepted(self, run: Run) -> Run:
        try:
            accepted = await self._journal.start(run)
        except Fenced:
            raise deposed() from None
        self._moved(accepted.id)
        return accepted

    def _begin(self, run: Run) -> None:
        """Take up a new run: it was inserted as running, and has no history to be read."""
        if not self._stopping:
            self._roots[run.id] = root = run.root_id or run.id
            self._busy[root] += 1
            self._take(run.id, History(run=run, entries={}, messages=()))

    def advance(self, run: Run) -> None:
        """Take the run up, unless it is in hand already."""
        self._wake(run.id, run.root_id or run.id)

    async def receive(self, event: Event) -> bool:
        """Take in an event from outside; False when it is known already. Who wants it hears of it soon."""
        new = await self._journal.receive(event)
        self._rounds.soon()
        return new

    async def routed(self) -> None:
        """Wait until it is decided about every event received so far who hears of it."""
        while self._rounds.task is not None and self.broken is None:
            await asyncio.wait([self._rounds.task])

    async def take_up(self) -> bool:
        """Go on with runs of the store that can be advanced and that nobody has in hand: the oldest, as many as fit in memory.

        They are what a process left behind that was killed, and sleepers with news or whose time has come. False: there were none.
        """
        found = False
        for run_id in await self._journal.runnable(self._clock.now(), self._limits.concurrency):
            if run_id in self._in_hand or run_id in self._queued:
                continue
            run = await self._required(run_id)
            self.advance(run)
            self._stir(run.root_id or run_id)
            found = True
        return found

    async def calm(self) -> None:
        """Wait until nothing moves any more because of an event, or because it was taken up."""
        while self.broken is None and not self._stopping and (self._rounds.task is not None or self._stirred):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.setdefault("", []).append(future)
            await future

    async def settle(self, run_id: str, *, events: bool = False) -> Run:
        """Wait until the run has ended, or it and what it started wait for somebody or for a distant time.

        `events`: wait as well for whatever moves because of an event.
        """
        self._watched[run_id] += 1
        try:
            root = self._roots.get(run_id, run_id)
            while not self.broken and run_id not in self._ends and self._moving(root, events=events):
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._watchers.setdefault(root, []).append(future)
                await future
            if self.broken:
                raise self.broken
            return self._ends.get(run_id) or await self._required(run_id)
        finally:
            self._watched[run_id] -= 1
            if not self._watched[run_id]:
                del self._watched[run_id]
                self._ends.pop(run_id, None)

    async def follow(self, poll_s: float) -> AsyncGenerator[Run]:
        """Advance every run of the store that can be advanced, for ever; each run as it comes to rest or ends.

        What other processes write is noticed at once, and timers ring in time; all else is looked for every `poll_s` seconds.
        """
        following: dict[str, asyncio.Task[Run]] = {}
        while self.broken is None:
            try:
                await self.notice()
                for run_id in await self._journal.runnable(self._clock.now(), 2 * self._limits.concurrency):
                    if run_id not in following:
                        self.advance(await self._required(run_id))
                        following[run_id] = asyncio.ensure_future(self.settle(run_id))
                for run_id in self._reached:
                    if run_id not in following:
                        following[run_id] = asyncio.ensure_future(self.settle(run_id))
                self._reached.clear()
                until = await self._next_look(poll_s)
            except TransientError as error:
                log.warning("News cannot be looked for: %s", error)
                until = self._clock.now() + poll_s
            await self._something_new(following.values(), until)
            for task in [following.pop(run_id) for run_id, task in list(following.items()) if task.done()]:
                if not isinstance(task.exception(), TransientError):
                    yield task.result()
        raise self.broken

    async def _next_look(self, poll_s: float) -> float:
        """When the next sleeper is due, and at the latest in `poll_s`."""
        now, next_wake = self._clock.now(), await self._journal.next_wake()
        return now + poll_s if next_wake is None else min(now + poll_s, max(next_wake, now + NEWS_S))

    async def _something_new(self, following: Collection[asyncio.Task[Run]], until: float) -> None:
        """Wait until a run came to rest or another process wrote, and at most until then."""
        while (left := until - self._clock.now()) > 0:
            pause = min(left, NEWS_S)
            if following:
                done, _ = await asyncio.wait(following, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return
            else:
                await asyncio.sleep(pause)
            with suppress(TransientError):
                if await self.notice() or self._reached:
                    return

    async def cancel(self, run_id: str, by: str) -> Run:
        """Ask a run to stop, at once. Raises: UserError `unknown-run`, `run-ended`."""
        run = await self._journal.cancel(run_id, by)
        await self._news(run)
        return run

    async def answer(self, request_id: str, answer: Answer) -> Request:
        """Decide a request, and take its run up again."""
        request = await self._journal.answer(request_id, answer)
        await self._news(await self._required(request.run_id))
        return request

    async def retry(self, run_id: str, by: str) -> Run:
        """Set a faulted run going again."""
        run = await self._journal.retry(run_id, by)
        self.advance(run)
        return run

    async def notice(self) -> bool:
        """Look for what other processes wrote: events, answers and cancels. Whether any has written at all."""
        changed = await self._journal.foreign_change()
        if changed:
            self._rounds.soon()
            for walk in list(self._walks.values()):
                await walk.refresh()
        return changed

    async def stop(self) -> None:
        """Begin nothing new, let calls in flight finish for a moment, and leave the rest for the next start."""
        self._stopping = True
        self._ready.clear()
        self._queued.clear()
        await self._rounds.stop(GRACE_S)
        self._alarms.stop()
        for walk in self._walks.values():
            walk.root.closed = True
        if busy := [*self._hosts, *self._refreshing]:
            await asyncio.wait(busy, timeout=0.5)
        for walk in list(self._walks.values()):
            walk.end(Ending.STOPPED)
        if busy := [*self._hosts, *self._refreshing]:
            await asyncio.wait(busy, timeout=GRACE_S)
        self._tell_watchers(list(self._watchers))

    def tasks(self) -> set["asyncio.Task[Any]"]:
        """What runs on its behalf right now."""
        walking = {walk.main for walk in self._walks.values() if walk.main is not None}
        routing = [self._rounds.task] if self._rounds.task is not None else []
        return {task for task in [*self._hosts, *self._refreshing, *walking, *routing] if not task.done()}

    # --- taking runs up ---

    async def _required(self, run_id: str) -> Run:
        run = await self._journal.run(run_id)
        if run is None:
            raise UserError("unknown-run", f"There is no run {run_id!r}.")
        return run

    async def _news(self, run: Run) -> None:
        walk = self._walks.get(run.id)
        if walk is not None and walk.ending is None:
            await walk.refresh()
        else:
            self.advance(run)

    def _wake(self, run_id: str, root: str) -> None:
        self._roots[run_id] = root
        if run_id in self._in_hand:
            self._again.add(run_id)
        elif run_id not in self._queued and not self._stopping:
            self._queued.add(run_id)
            self._ready.append(run_id)
            self._busy[root] += 1
            self._pump()

    def _pump(self) -> None:
        while self._ready and len(self._hosts) < self._limits.concurrency and not self._stopping:
            self._take(self._ready.popleft())

    def _take(self, run_id: str, begun: History | None = None) -> None:
        self._in_hand.add(run_id)
        host = asyncio.ensure_future(self._host(run_id, begun))
        self._hosts.add(host)
        host.add_done_callback(lambda task: self._hosted(task, run_id))

    def _hosted(self, task: asyncio.Task[None], run_id: str) -> None:
        self._hosts.discard(task)
        self._in_hand.discard(run_id)
        self._moved(run_id)
        root = self._roots.get(run_id, run_id)
        self._busy[root] -= 1
        if not self._busy[root]:
            del self._busy[root]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The engine lost run %s", run_id, exc_info=error)
            self._break(BugError("engine-broke", f"The engine failed on run {run_id}: {type(error).__name__}."))
        if run_id in self._again:
            self._again.discard(run_id)
            self._wake(run_id, root)
        elif not self._alarms.has(run_id, root):
            self._roots.pop(run_id, None)
        if root not in self._busy:
            self._unstir(root)
        self._pump()
        self._tell_watchers([root])

    def _deposed(self) -> None:
        """Another process advances the runs now: those in hand are let go as they are."""
        self._stopping = True
        self._ready.clear()
        self._queued.clear()
        for walk in list(self._walks.values()):
            walk.stop(Fenced(walk.run.id))
        self._break(deposed())

    def _break(self, error: OrchestrionError) -> None:
        self.broken = self.broken or error
        self._tell_watchers(list(self._watchers))

    async def _host(self, run_id: str, begun: History | None) -> None:
        """One run in memory, from claim to end or sleep."""
        self._queued.discard(run_id)
        history = begun or await self._claimed(run_id)
        if history is None:
            return
        if begun is None:
            self._moved(run_id)
        walk = Walk(
            history,
            journal=self._journal,
            clock=self._clock,
            on_write=self._overhear,
            engage=self._engage,
            lifecycle=self._lifecycle,
        )
        self._walks[run_id] = walk
        try:
            if run_id in self._again:  # news came while the run was being claimed
                self._again.discard(run_id)
                await walk.refresh()
            walked = advance(
                walk, self._outside, self._interpret, dry=self._dry, clock=self._clock, stopping=lambda: self._stopping
            )
            walk.main = asyncio.ensure_future(walked)
            ended = await walk.main
            if ended.status.ended and run_id in self._watched:
                self._ends[run_id] = ended
        except (WalkStopped, asyncio.CancelledError):
            await self._after_stop(walk)
        except OrchestrionError as error:
            walk.stop(error)
            await self._after_stop(walk)
        finally:
            del self._walks[run_id]

    async def _claimed(self, run_id: str) -> History | None:
        try:
            return await self._journal.claim(run_id)
        except TransientError as error:
            log.warning("Run %s cannot be taken up yet: %s", run_id, error)
            self._alarms.set(run_id, self._roots.get(run_id, run_id), self._clock.now() + RETRY_STORE_S)
        except Fenced:
            log.warning("Run %s is left to another process", run_id)
        except OrchestrionError as error:
            self._break(error)
        return None

    async def _after_stop(self, walk: Walk) -> None:
        """What remains to be done for a run that was taken apart: wake it in time, or say why it stopped."""
        if walk.ending is Ending.EVICTED:
            if walk.wake_at is not None:
                self._alarms.set(walk.run.id, walk.run.root_id or walk.run.id, walk.wake_at)
        elif isinstance(walk.failure, Fenced):
            log.warning("%s", walk.failure)
        elif isinstance(walk.failure, TransientError):
            log.warning("Run %s stops for now: %s", walk.run.id, walk.failure)
            await self._take_up_later(walk.run.id)
        elif walk.failure is not None and walk.failure.code == "journal-stopped":
            self._break(walk.failure)

    async def _take_up_later(self, run_id: str) -> None:
        """The store could not take a write, for a reason that may pass: the run is begun again from what it did take."""
        while not self._stopping:
            await asyncio.sleep(RETRY_STORE_S)
            try:
                await self._journal.release(run_id)
            except TransientError:
                continue
            except Fenced:
                return
            except OrchestrionError as error:
                self._break(error)
            self._again.add(run_id)
            return

    # --- waking ---

    def _overhear(self, run: Run, writes: Sequence[Write]) -> None:
        """Take up at once what a run's write concerns: its children, its parent."""
        if self._observe is not None:
            self._observe(run, writes)
        root = run.root_id or run.id
        for write in writes:
            match write:
                case Begin(run=child):
                    self._after_commit(child.id, root)
                case Tell(run_id=other) | CancelRun(run_id=other):
                    self._after_commit(other, root)
                case Publish():
                    self._rounds.soon()
                case _:
                    pass

    def _spread(self, woken: Sequence[Woken]) -> None:
        """Take up the runs that an event started or woke; what is too much for now waits in the store."""
        for each in woken:
            if len(self._ready) < self._limits.backlog:
                self._after_commit(each.run_id, each.root_id)
                self._stir(each.root_id)
            if len(self._reached) < self._limits.backlog:
                self._reached.append(each.run_id)

    def _stir(self, root: str) -> None:
        if root in self._busy:
            self._stirred.add(root)

    def _unstir(self, root: str) -> None:
        if root in self._stirred:
            self._stirred.discard(root)
            if not self._stirred:
                self._tell_watchers(list(self._watchers))

    def _engage(self, run_id: str, by: Run) -> None:
        if run_id not in self._in_hand:
            self._wake(run_id, by.root_id or by.id)

    def _after_commit(self, run_id: str, root: str) -> None:
        walk = self._walks.get(run_id)
        if walk is not None and walk.ending is None:
            if walk.rests_first():
                return
            refreshing = asyncio.ensure_future(self._refresh(walk))
            self._refreshing.add(refreshing)
            refreshing.add_done_callback(self._refreshing.discard)
        else:
            self._wake(run_id, root)

    async def _refresh(self, walk: Walk) -> None:
        try:
            await walk.refresh()
        except OrchestrionError as error:
            walk.stop(error)

    def _moving(self, root: str, *, events: bool) -> bool:
        """Whether something of this tree of runs will happen soon without anybody's doing."""
        if self._stopping:
            return False
        soon = self._clock.now() + NEAR_S
        if events and (self._rounds.task is not None or self._stirred):
            return True
        return root in self._busy or self._alarms.before(root, soon)

    def _tell_watchers(self, roots: Iterable[str]) -> None:
        for root in roots:
            for future in self._watchers.pop(root, []):
                if not future.done():
                    future.set_result(None)
