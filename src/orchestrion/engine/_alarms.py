"""When sleeping runs want to be woken, by the trees of runs they belong to."""

import asyncio
import heapq
from collections.abc import Callable

from orchestrion.core import Clock

LONGEST_S = 3600.0
"""A timer is set anew after this time, in case the clock was moved."""


class Alarms:
    """One timer for the next of all sleepers of a process; 100,000 of them cost a few hundred bytes each."""

    def __init__(self, clock: Clock, ring: Callable[[str, str], None]) -> None:
        self._clock = clock
        self._tell = ring
        self._heap: list[tuple[float, str, str]] = []
        self._asleep: dict[str, dict[str, float]] = {}
        """Root → runs of its tree that are asleep, and when each wants to be woken."""
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def set(self, run_id: str, root: str, wake_at: float) -> None:
        heapq.heappush(self._heap, (wake_at, run_id, root))
        self._asleep.setdefault(root, {})[run_id] = wake_at
        self._set_timer()

    def has(self, run_id: str, root: str) -> bool:
        return run_id in self._asleep.get(root, ())

    def before(self, root: str, at: float) -> bool:
        """Whether a run of the tree will be woken by then."""
        return any(wake_at <= at for wake_at in self._asleep.get(root, {}).values())

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and not self._stopped:
            delay = max(0.0, self._heap[0][0] - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(min(delay, LONGEST_S), self._ring)

    def _ring(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            _, run_id, root = heapq.heappop(self._heap)
            asleep = self._asleep.get(root, {})
            asleep.pop(run_id, None)
            if not asleep:
                self._asleep.pop(root, None)
            self._tell(run_id, root)
        self._set_timer()
