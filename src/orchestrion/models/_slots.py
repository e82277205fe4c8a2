"""Turns at models that have limits: first come, first served, whichever process on the store asks."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from orchestrion.core import Clock, TransientError, new_id

from ._line import Line, OwnLine, Ticket, advance
from ._settings import ModelLimits

log = logging.getLogger(__name__)

CLOSE_S = 5.0


@dataclass(slots=True, kw_only=True)
class _Queue:
    """What this process wants of one model."""

    model: str
    limits: ModelLimits
    waiting: dict[str, tuple[Ticket, "asyncio.Future[None]"]] = field(
        default_factory=dict[str, tuple[Ticket, "asyncio.Future[None]"]]
    )
    held: set[str] = field(default_factory=set[str])
    released: set[str] = field(default_factory=set[str])
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.held or self.released)


class Slots:
    """This process's part in the lines before models. One task a model moves its line on, while anybody waits or is answered."""

    def __init__(self, clock: Clock, line: Line | None = None) -> None:
        self._clock = clock
        self._own = OwnLine()
        self._line: Line = line or self._own
        self._holder = new_id()
        self._queues: dict[str, _Queue] = {}

    @asynccontextmanager
    async def slot(self, model: str, limits: ModelLimits | None, run_id: str) -> AsyncGenerator[float]:
        """A turn at the model, and how long it was waited for, in seconds. Raises: TransientError `model-busy`; what the store says."""
        if limits is None or (limits.concurrency is None and limits.requests_per_minute is None):
            yield 0.0
            return
        queue = self._queues.setdefault(model, _Queue(model=model, limits=limits))
        ticket = Ticket(name=new_id(), run_id=run_id, asked_at=self._clock.now())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting[ticket.name] = (ticket, turn)
        self._move(queue)
        began = self._clock.monotonic()
        try:
            await _wait(model, limits, turn)
            yield self._clock.monotonic() - began
        finally:
            queue.waiting.pop(ticket.name, None)
            queue.held.discard(ticket.name)
            queue.released.add(ticket.name)
            self._move(queue)

    async def close(self) -> None:
        """Give back what is held, so that others need not wait until it expires."""
        for queue in self._queues.values():
            if queue.task is not None:
                queue.wake.set()
                await asyncio.wait([queue.task], timeout=CLOSE_S)
        self._own.close()

    def _move(self, queue: _Queue) -> None:
        queue.wake.set()
        if queue.task is None or queue.task.done():
            queue.task = asyncio.create_task(self._moving(queue), name=f"slots of {queue.model}")

    async def _moving(self, queue: _Queue) -> None:
        while queue.busy:
            queue.wake.clear()
            again_s = await self._step(queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(again_s if queue.busy else 0):
                    await queue.wake.wait()

    async def _step(self, queue: _Queue) -> float:
        waiting, released = [ticket for ticket, _ in queue.waiting.values()], list(queue.released)
        step = partial(
            advance,
            model=queue.model,
            limits=queue.limits,
            holder=self._holder,
            waiting=waiting,
            released=released,
            now=self._clock.now(),
        )
        try:
            granted, again_s = await self._line.change(step)
        except Exception as error:
            log.warning("The line before the model %s could not be moved: %s", queue.model, error)
            for _, turn in queue.waiting.values():
                if not turn.done():
                    turn.set_exception(error)
            queue.waiting.clear()
            queue.released.clear()  # what cannot be given back expires
            queue.held.clear()
            return 0.0
        queue.released.difference_update(released)
        for name in granted:
            _, turn = queue.waiting.pop(name, (None, None))
            if turn is None or turn.done():
                queue.released.add(name)
            else:
                queue.held.add(name)
                turn.set_result(None)
        return 0.0 if queue.released else again_s


async def _wait(model: str, limits: ModelLimits, turn: "asyncio.Future[None]") -> None:
    try:
        async with asyncio.timeout(limits.wait_s):
            await turn
    except TimeoutError:
        raise TransientError(
            "model-busy",
            f"The model {model!r} had no free slot within {limits.wait_s:g} s.",
            hint=f"Raise `limits` of models.{model}, or name a `fallback`.",
        ) from None
