"""A process that dies between two journal writes, played within one process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, cast

from orchestrion.core import Event, Journal, Route, Woken, Write, Written
from orchestrion.engine import Engine

T = TypeVar("T")

Moment = Literal["before", "after"]
"""Whether the fatal write is lost, or durable without anyone having heard of it."""


class _Lost(Written):
    """A write of a dead process: whoever waits for it may be buried."""

    def cancel(self, msg: object = None) -> bool:
        return asyncio.Future[None].cancel(self, msg)


class CrashingJournal:
    """A journal whose process dies at its `at`-th write (counting from 1): from then on nothing returns.

    Wait for `crashed`, throw the engine away, and open another one on the journal within.
    """

    def __init__(self, inner: Journal, *, at: int, moment: Moment = "before") -> None:
        self.inner = inner
        self._at = at
        self.moment: Moment = moment
        self.writes = 0
        self.fatal: Sequence[Write] = ()
        """What was written when it died."""
        self.crashed = asyncio.Event()
        self._lost: list[_Lost] = []

    @property
    def journal(self) -> Journal:
        """This, as the journal it stands for."""
        return cast("Journal", self)

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        self.writes += 1
        if self.writes < self._at:
            return self.inner.write(run_id, epoch, writes)
        if self.writes == self._at:
            self.fatal = writes
            if self.moment == "after":
                self.inner.write(run_id, epoch, writes)
        self.crashed.set()
        lost = _Lost(loop=asyncio.get_running_loop())
        self._lost.append(lost)
        return lost

    def leading(self) -> bool:
        """Always: what a dead process is certain of does not matter."""
        return True

    async def receive(self, event: Event) -> bool:
        return await self._counted(lambda: self.inner.receive(event))

    async def deliver(self, routes: Sequence[Route]) -> Sequence[Woken]:
        return await self._counted(lambda: self.inner.deliver(routes))

    async def _counted(self, write: Callable[[], Awaitable[T]]) -> T:
        """A write that is no run's own."""
        self.writes += 1
        if self.writes >= self._at:
            if self.writes == self._at and self.moment == "after":
                await write()
            self.crashed.set()
            await _never()
        return await write()

    async def bury(self, engine: Engine) -> None:
        """End the tasks of the dead process where they stand. Whatever they still write is lost."""
        self.crashed.set()
        while tasks := engine.tasks():
            for lost in self._lost:
                lost.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.05)

    def __getattr__(self, name: str) -> Any:
        if self.crashed.is_set():
            return _never
        return getattr(self.inner, name)


async def _never(*_: object, **__: object) -> None:
    await cast("asyncio.Future[None]", asyncio.get_running_loop().create_future())
