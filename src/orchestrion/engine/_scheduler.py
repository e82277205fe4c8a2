"""The scheduler: starts runs by the calendar, each firing once, whatever clocks and processes do."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from orchestrion.core import Clock, Journal, Run, ScheduleState, TransientError, derived_id, iso
from orchestrion.spec import After, Schedule

log = logging.getLogger(__name__)

LOOK_S = 15.0
"""Longest sleep. Timers run by a clock that neither jumps nor counts a suspended machine's sleep; the calendar does not."""
PUNCTUAL_S = 60.0
"""A firing that is later than this counts as missed."""
MOST_MISSED = 1000
"""Firings that are made up for at once; older ones are left out, and the log says how many."""
RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A workflow of the project that runs by the calendar."""

    workflow: str
    """`namespace/name`"""
    digest: str
    schedule: Schedule


Pin = Callable[[Planned, str, float], Awaitable[Run]]
"""Makes a pending run of the planned version, with this id, for the firing at this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What came of a schedule that was due."""

    planned: Planned
    runs: Sequence[Run]
    left_out: bool = False
    """Whether firings were missed that policy or number leave out."""


class Scheduler:
    """Fires the schedules of a project. One a store, in the process that owns it.

    What it knows stands in the journal: a firing and the move to the next are one transaction, which only succeeds for whoever
    saw the latest state, and its run has a start key made of version and time. So neither a crash, nor a clock put back, nor a
    second process makes one happen twice. What is `planned` is asked at every look: a version that is deployed may have another calendar.
    """

    def __init__(
        self,
        planned: Callable[[], Awaitable[Sequence[Planned]]],
        *,
        journal: Journal,
        clock: Clock,
        pin: Pin,
        advance: Callable[[Run], None],
        settle: Callable[[str], Awaitable[Run]],
        on_fired: Callable[[Fired], None] = lambda _: None,
    ) -> None:
        self._planned = planned
        self._journal = journal
        self._clock = clock
        self._pin = pin
        self._advance = advance
        self._settle = settle
        self._on_fired = on_fired
        self._prompt = asyncio.Event()
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._looked_at = float("inf")
        """When it last looked, by the clock; the first time, nothing that was kept is trusted."""

    async def run(self) -> None:
        """Fire whatever falls due, for ever."""
        try:
            while True:
                self._prompt.clear()
                await self._sleep(await self._look())
        finally:
            for task in self._watching.values():
                task.cancel()

    async def _look(self) -> float | None:
        try:
            return await self.tend()
        except TransientError as error:
            log.warning("Schedules wait for the store: %s", error)
            return self._clock.now() + RETRY_S

    async def _sleep(self, until: float | None) -> None:
        delay = LOOK_S if until is None else min(max(0.0, until - self._clock.now()), LOOK_S)
        try:
            await asyncio.wait_for(self._prompt.wait(), delay)
        except TimeoutError:
            return

    async def tend(self) -> float | None:
        """Fire what is due now; when the next firing is, as far as that is known."""
        planned = {each.workflow: each for each in await self._planned()}
        states = {state.workflow: state for state in await self._journal.schedules()}
        for name, state in states.items():
            if state.digest and name not in planned:
                await self._journal.reschedule(replace(state, digest="", next_at=None, updated_at=self._clock.now()))
        upcoming = [await self._tend(each, states.get(name)) for name, each in planned.items()]
        self._looked_at = self._clock.now()
        return min((at for at in upcoming if at is not None), default=None)

    async def _tend(self, planned: Planned, state: ScheduleState | None) -> float | None:
        """Bring one schedule up to date: adopted, its next firing known, fired if due. When it fires next."""
        while True:
            current = await self._current(planned, state)
            if current is None:
                state = await self._reread(planned.workflow)
                continue
            if current.paused_by is not None or current.next_at is None:
                return None
            if current.next_at > self._clock.now():
                return current.next_at
            state = await self._fire(planned, current, current.next_at) or await self._reread(planned.workflow)

    async def _reread(self, workflow: str) -> ScheduleState | None:
        return next((state for state in await self._journal.schedules() if state.workflow == workflow), None)

    async def _current(self, planned: Planned, state: ScheduleState | None) -> ScheduleState | None:
        """The state as it should be, kept; None if somebody else changed it meanwhile."""
        now = self._clock.now()
        if state is None:
            state = ScheduleState(workflow=planned.workflow, digest="", updated_at=now)
        if state.digest == planned.digest and state.next_at is not None and now >= self._looked_at:
            return state
        wanted = replace(state, digest=planned.digest, next_at=await self._next_at(planned, state, now))
        if wanted == state:
            return state
        wanted = replace(wanted, updated_at=now)
        if await self._journal.reschedule(wanted) is None:
            return None
        return replace(wanted, revision=wanted.revision + 1)

    async def _next_at(self, planned: Planned, state: ScheduleState, now: float) -> float | None:
        """When it fires next. Never later than it would if it were new: a clock that had run ahead does not keep it waiting."""
        known = state.next_at if state.digest == planned.digest else None
        if not isinstance(planned.schedule.timing, After):
            fresh = planned.schedule.next_after(now)
            return fresh if known is None else min(known, fresh)
        if known is not None:
            return min(known, planned.schedule.next_after(now))
        last = await self._journal.run(state.last_run_id) if state.last_run_id is not None else None
        if last is None:
            return now
        if not last.status.ended:
            self._watch(last.id)
            return None
        return min(
            planned.schedule.next_after(now if last.ended_at is None else last.ended_at),
            planned.schedule.next_after(now),
        )

    def _watch(self, run_id: str) -> None:
        """Look again as soon as the run has ended, as far as it ends without waiting for anybody."""
        if run_id not in self._watching:
            self._watching[run_id] = asyncio.ensure_future(self._until_settled(run_id))

    async def _until_settled(self, run_id: str) -> None:
        try:
            if (await self._settle(run_id)).status.ended:
                self._prompt.set()
        finally:
            self._watching.pop(run_id, None)

    async def _fire(self, planned: Planned, state: ScheduleState, due_at: float) -> ScheduleState | None:
        """Start the runs of what is due, and move on; None if somebody else changed the state meanwhile."""
        now = self._clock.now()
        times, left_out = firings(planned.schedule, due_at, now, state.last_at)
        runs = [await self._pinned(planned, at) for at in times]
        moved = replace(state, next_at=self._following(planned.schedule, now), updated_at=now)
        if runs:
            moved = replace(moved, last_at=times[-1], last_run_id=runs[-1].id)
        accepted = await self._journal.reschedule(moved, runs)
        if accepted is None:
            return None
        new = [run for run, given in zip(runs, accepted, strict=True) if given is run]
        for run in new:
            self._advance(run)
        if new or left_out:
            self._on_fired(Fired(planned=planned, runs=new, left_out=left_out))
        return replace(moved, revision=moved.revision + 1)

    async def _pinned(self, planned: Planned, at: float) -> Run:
        key = start_key(planned.digest, at)
        return replace(await self._pin(planned, derived_id(key), at), start_key=key)

    @staticmethod
    def _following(schedule: Schedule, now: float) -> float | None:
        return None if isinstance(schedule.timing, After) else schedule.next_after(now)


def start_key(digest: str, at: float) -> str:
    """What makes a firing happen once, whoever fires it."""
    return f"schedule:{digest}:{iso(at)}"


def firings(schedule: Schedule, due_at: float, now: float, last_at: float | None) -> tuple[Sequence[float], bool]:
    """The times to fire for, oldest first, of all from `due_at` until `now`; and whether any are left out.

    The latest one is missed only if it is late; those before it are missed whenever there are any. What lies before `last_at`, the
    latest firing so far, is past: a machine that starts in 1970 and is then told the time has missed nothing since.
    """
    if isinstance(schedule.timing, After):
        return [due_at], False
    if last_at is not None and last_at <= now:
        due_at = max(due_at, schedule.next_after(last_at))
    most = MOST_MISSED if schedule.missed == "all" else 1
    times = schedule.latest(due_at, now, most)
    left_out = bool(times) and times[0] > due_at
    if schedule.missed == "skip" and times and now - times[-1] > PUNCTUAL_S:
        return [], True
    return times, left_out


def upcoming(schedule: Schedule, state: ScheduleState | None, now: float, count: int) -> list[float]:
    """The next firings. Of one that counts from the end of a run, only the first is known, and that not while the run goes on."""
    if isinstance(schedule.timing, After):
        return [state.next_at] if state is not None and state.next_at is not None else []
    times: list[float] = []
    while len(times) < count:
        times.append(schedule.next_after(times[-1] if times else now))
    return times
