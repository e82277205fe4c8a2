"""A journal whose writes become durable a moment later, together with others, or not at all."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar, cast

from orchestrion.core import (
    Journal,
    Run,
    TransientError,
    Write,
    Written,
)

from ._loop import SimulatedLoop

T = TypeVar("T")

READS = frozenset(
    {
        "document",
        "inbox",
        "runnable",
        "next_wake",
        "open_semantics",
        "run",
        "runs",
        "find",
        "count",
        "entries",
        "requests",
    }
    | {"request", "quarantined", "late_outcomes", "unrouted", "interests", "gathered", "earlier", "numbered", "event"}
    | {"events", "reached", "schedules"}
)
"""The methods of a journal that only look."""
Heard = Callable[[str, Sequence[Write]], None]


@dataclass(slots=True)
class _Job:
    """A transaction that waits for its commit."""

    future: Written
    work: Callable[[], object]
    committed: Callable[[], None]
    fence: tuple[str, int] | None = None
    """The run it writes about, and the epoch; None for what reads before it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How a journal's disk behaves."""

    slowest_commit_s: float = 0.02
    slowest_read_s: float = 0.005
    look_s: float = 0.0
    """How long it takes to find out what other processes wrote. An engine asks all the time, and hours must pass quickly."""
    failing: float = 0.0
    """The probability that a commit fails, for a reason that passes."""


class SimulatedJournal:
    """One process's way to a journal in memory, which outlives the process and stands for the disk.

    Writes queue up as they do at the writer's thread of the durable journal: what is queued is committed together, in order, and
    acknowledged in order, a little later. A process that dies in between has lost what was queued; what was committed is
    durable, acknowledged or not. A commit that fails takes all its transactions with it, and what the same runs
    have queued behind them.
    """

    def __init__(
        self,
        disk: Journal,
        loop: SimulatedLoop,
        random: Random,
        *,
        weather: Weather,
        heard: Heard,
        tried_again: Callable[[], None],
        refused: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._disk = disk
        self._loop = loop
        self._random = random
        self._weather = weather
        self._heard = heard
        self._tried_again = tried_again
        self._refused = refused
        self._tell = tell
        self._queue: list[_Job] = []
        self._spoilt: set[tuple[str, int]] = set()
        self._committing = False
        self._acknowledged_at = 0.0
        self.changed_by_others = False
        self.dead = False

    @property
    def journal(self) -> Journal:
        """This, as the journal it stands for."""
        return cast("Journal", self)

    # --- the writer ---

    def _submit(
        self,
        work: Callable[[], object],
        committed: Callable[[], None] = lambda: None,
        fence: tuple[str, int] | None = None,
    ) -> Written:
        future = Written(loop=self._loop)
        future.add_done_callback(_noticed)
        if not self.dead:
            self._queue.append(_Job(future, work, committed, fence))
            if not self._committing:
                self._committing = True
                self._loop.call_later(self._moment(self._weather.slowest_commit_s), self._commit)
        return future

    def _moment(self, longest_s: float) -> float:
        """Mostly short, sometimes as long as it gets."""
        return longest_s * self._random.random() ** 3

    def _commit(self) -> None:
        batch, self._queue = self._queue, []
        failed = self._weather.failing and self._random.random() < self._weather.failing
        self._tell(f"commit of {len(batch)} fails" if failed else f"commit of {len(batch)}")
        if failed:
            self._refused()
        outcomes: list[tuple[Written, object, BaseException | None]] = []
        for job in batch:
            if failed or job.fence in self._spoilt:
                if job.fence is not None:
                    self._spoilt.add(job.fence)
                outcomes.append((job.future, None, TransientError("store-busy", "The store is busy.")))
                continue
            try:
                outcomes.append((job.future, job.work(), None))
                job.committed()
            except Exception as error:
                outcomes.append((job.future, None, error))
        at = max(self._loop.time(), self._acknowledged_at) + self._moment(self._weather.slowest_commit_s)
        self._acknowledged_at = at
        self._loop.call_at(at, _settle, outcomes)
        self._committing = bool(self._queue)
        if self._committing:
            self._loop.call_later(self._moment(self._weather.slowest_commit_s), self._commit)

    async def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return cast("T", await asyncio.shield(self._submit(lambda: at_once(work()))))

    async def _read(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._pause()
        found = at_once(work())
        await self._pause()
        return found

    async def _pause(self) -> None:
        future = self._loop.create_future()
        if not self.dead:
            self._loop.call_later(self._moment(self._weather.slowest_read_s), _ring, future)
        await future

    # --- writes ---

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        def work() -> object:
            done = self._disk.write(run_id, epoch, writes)
            return done.result()

        return self._submit(work, lambda: self._heard(run_id, writes), (run_id, epoch))

    async def retry(self, run_id: str, by: str) -> Run:
        future = self._submit(lambda: at_once(self._disk.retry(run_id, by)), self._tried_again)
        return cast("Run", await asyncio.shield(future))

    async def foreign_change(self) -> bool:
        await asyncio.sleep(self._weather.look_s)
        changed, self.changed_by_others = self.changed_by_others, False
        return changed

    def __getattr__(self, name: str) -> Any:
        """All other methods: those that only look read the disk, the rest are queued behind the writes."""
        method = getattr(self._disk, name)
        if not inspect.iscoroutinefunction(method):
            return method
        through = self._read if name in READS else self._do

        async def call(*args: Any, **named: Any) -> Any:
            return await through(lambda: method(*args, **named))

        return call

    async def close(self) -> None:
        return None


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits, as those of the journal in memory."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    coroutine.close()
    raise AssertionError("the journal in memory does not wait")


def _noticed(future: "asyncio.Future[None]") -> None:
    """Whoever waited may have been cancelled meanwhile, and then nobody looks at a failure, which asyncio would print."""
    if not future.cancelled():
        future.exception()


def _ring(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _settle(outcomes: Sequence[tuple[Written, object, BaseException | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)  # pyright: ignore[reportArgumentType] as the writer's thread does it
        else:
            future.set_exception(error)
