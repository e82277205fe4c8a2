"""An event loop without a machine below it: time is a number, and nothing happens that a seed did not choose."""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_S = 1_800_000_000.0
"""What the simulated wall clock shows when the simulation begins."""
LONGEST_STEP_S = 60e-6
"""No callback takes the simulated processor longer than this."""


class Died(BaseException):
    """The simulated process was killed: nothing of it runs any more."""


class SimulatedTime:
    """The time of one simulation, for all processes that live in it one after the other. Implements `Clock`."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> float:
        return EPOCH_S + self.elapsed_s

    def monotonic(self) -> float:
        return self.elapsed_s


class SimulatedLoop(asyncio.AbstractEventLoop):
    """One process's event loop.

    What asyncio promises holds: callbacks run in the order in which they were put in, timers in the order of their times. What
    it leaves open is when something arrives from outside between two callbacks; here every callback takes a moment chosen by
    the seed, and what falls due within it comes next. When nothing is ready, time jumps to the next timer.
    """

    def __init__(self, time: SimulatedTime, random: Random, *, dies_after: int | None = None) -> None:
        self._time = time
        self._random = random
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self._tasks: list[tuple[asyncio.Task[Any], contextvars.Context]] = []
        self._closed = False
        self.steps = 0
        self.dies_after = dies_after
        """The number of callbacks after which the process is killed."""
        self.failures: list[str] = []
        """What nobody handled: exceptions in callbacks."""

    # --- running ---

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run until the coroutine returns. Raises: Died."""
        asyncio._set_running_loop(self)
        try:
            main = self.create_task(coroutine)
            while not main.done():
                self._step()
            return main.result()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        timers, time = self._timers, self._time
        if not self._ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers:
                raise RuntimeError("Nothing is left to happen, and the simulation has not ended.")
            time.elapsed_s = max(time.elapsed_s, timers[0][0])
        while timers and timers[0][0] <= time.elapsed_s:
            self._ready.append(heapq.heappop(timers)[2])
        handle = self._ready.popleft()
        if handle.cancelled():
            return
        if self.dies_after is not None and self.steps >= self.dies_after:
            raise Died
        self.steps += 1
        time.elapsed_s += self._random.random() * LONGEST_STEP_S
        handle._run()

    def unnoticed(self) -> list[str]:
        """Failures of tasks that nobody ever looked at, which asyncio would print to the terminal."""
        return [
            f"nobody noticed that a task failed: {task.exception()!r}"
            for task, _ in self._tasks
            if task.done() and not task.cancelled() and task._log_traceback
        ]

    def bury(self) -> None:
        """Take the tasks of a dead process apart, so that nothing of them is heard of again."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()
        asyncio._set_running_loop(self)
        try:
            for task, context in self._tasks:
                if not task.done():
                    context.run(_close, task)
        finally:
            asyncio._set_running_loop(None)
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()

    # --- what asyncio asks of a loop ---

    def time(self) -> float:
        return self._time.elapsed_s

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time.elapsed_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            self._timer_count += 1
            heapq.heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are skipped when their time comes."""

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # pyright: ignore[reportIncompatibleMethodOverride] generators are no longer tasks
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **_: Any,
    ) -> "asyncio.Task[T]":
        context = contextvars.copy_context() if context is None else context
        task = asyncio.Task(coro, loop=self, name=name or "task", context=context)
        self._tasks.append((task, context))
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._closed:
            return
        error = context.get("exception")
        self.failures.append(f"{context.get('message')}: {type(error).__name__}: {error}")


def _close(task: "asyncio.Task[Any]") -> None:
    """Unwind a task that will never run again. Its `finally` blocks run, in a world that no longer listens."""
    task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue] asyncio itself sets it for whom nobody waits
    coroutine = task.get_coro()
    for _ in range(10):
        try:
            coroutine.close()
        except RuntimeError:
            continue  # it awaits something in a `finally`: again
        except BaseException:  # noqa: S110  a dead process has nobody to tell
            pass
        return
