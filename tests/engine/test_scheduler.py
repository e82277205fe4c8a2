"""Schedules over a journal: each firing once, whatever happens to clocks and processes; missed ones as the author wants."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrion.core import Clock, Datum, Effects, Journal, Run, RunFilter, RunStatus, ScheduleState, SystemClock
from orchestrion.engine import LOOK_S, Fired, Planned
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.spec import After, Cron, Every, Missed, Schedule
from orchestrion.store import Store
from orchestrion.testing import Almanac, Crash, MortalJournal, Stage
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
HOURLY = Schedule(timing=Cron("0 * * * *"))


@asynccontextmanager
async def durable(path: Path, clock: Clock) -> AsyncGenerator[Journal]:
    store = Store.open(path, mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    try:
        yield journal
    finally:
        await journal.close()
        store.close()


def planned(schedule: Schedule, name: str = "test/report", digest: str = "d1") -> Planned:
    return Planned(workflow=name, digest=digest, schedule=schedule)


def almanac(*schedules: Planned, clock: HandClock, journal: Journal | None = None) -> Almanac:
    return Almanac(planned=schedules, journal=journal or MemoryJournal(clock), clock=clock)


def times(a: Almanac) -> list[str]:
    """The planned times of what was fired, without the date where it is the first of June."""
    found = [run.input["scheduledAt"] for run in a.fired if isinstance(run.input, dict)]
    return [str(at).removeprefix("2026-06-01T").removesuffix(":00Z") for at in found]


async def the_run(journal: Journal, run_id: str) -> Run:
    run = await journal.run(run_id)
    assert run is not None
    return run


async def the_state(journal: Journal) -> ScheduleState:
    [state] = await journal.schedules()
    return state


async def test_a_firing_is_due_at_its_time_and_only_then() -> None:
    clock = HandClock(NOON + 60)
    a = almanac(planned(HOURLY), clock=clock)
    scheduler = a.scheduler()
    assert await scheduler.tend() == NOON + 3600
    clock.at = NOON + 3599.9
    assert await scheduler.tend() == NOON + 3600
    assert times(a) == []
    clock.at = NOON + 3600
    assert await scheduler.tend() == NOON + 7200
    assert times(a) == ["13:00"]
    assert await scheduler.tend() == NOON + 7200
    [run] = await a.journal.runs(RunFilter())
    assert run.start_key == "schedule:d1:2026-06-01T13:00:00.000Z"
    assert (await the_state(a.journal)).last_run_id == run.id


@pytest.mark.parametrize(
    ("missed", "late_s", "expected"),
    [
        ("skip", 30, ["16:00"]),
        ("skip", 61, []),
        ("once", 61, ["16:00"]),
        ("all", 61, ["13:00", "14:00", "15:00", "16:00"]),
        ("all", 30, ["13:00", "14:00", "15:00", "16:00"]),
    ],
)
async def test_missed_firings_are_made_up_for_as_the_author_wants(
    missed: Missed, late_s: float, expected: list[str]
) -> None:
    clock = HandClock(NOON)
    a = almanac(planned(replace(HOURLY, missed=missed)), clock=clock)
    await a.scheduler().tend()
    clock.at = NOON + 4 * 3600 + late_s
    assert await a.scheduler().tend() == NOON + 5 * 3600
    assert times(a) == expected


async def test_all_that_was_missed_is_bounded_and_said() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(Schedule(timing=Every(60), missed="all")), clock=clock)
    await a.scheduler().tend()
    clock.pass_s(86_400)
    await a.scheduler().tend()
    assert len(a.fired) == 1000
    assert times(a)[-1] == "2026-06-02T12:00"


async def test_a_clock_that_is_put_back_repeats_nothing() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(HOURLY), clock=clock)
    scheduler = a.scheduler()
    for at in (0, 3600, 1800, 3600, 3599, 3601, -7200, 0, 3600, 7200):
        clock.at = NOON + at
        await scheduler.tend()
    assert times(a) == ["13:00", "12:00", "14:00"]
    assert len(await a.journal.runs(RunFilter())) == 3


async def test_a_clock_that_ran_ahead_for_a_while_leaves_nothing_out_afterwards() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(HOURLY), clock=clock)
    scheduler = a.scheduler()
    await scheduler.tend()
    clock.at = NOON + 1000 * 3600
    await scheduler.tend()
    for hour in range(1, 4):
        clock.at = NOON + hour * 3600 - 5
        await scheduler.tend()
        clock.pass_s(10)
        await scheduler.tend()
    assert times(a)[1:] == ["13:00", "14:00", "15:00"]


async def test_a_machine_that_starts_in_1970_makes_up_only_for_its_absence() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(replace(HOURLY, missed="all")), clock=clock)
    await a.scheduler().tend()
    clock.pass_s(3600)
    await a.scheduler().tend()
    clock.at = 60.0
    scheduler = a.scheduler()
    await scheduler.tend()
    clock.at = NOON + 3 * 3600
    await scheduler.tend()
    assert times(a) == ["13:00", "14:00", "15:00"]


async def test_after_waits_for_the_end_of_the_run() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(Schedule(timing=After(600))), clock=clock)
    assert await a.scheduler().tend() is None
    [first] = a.fired
    clock.pass_s(5000)
    assert await a.scheduler().tend() is None
    await a.end(first)
    clock.pass_s(60)
    assert await a.scheduler().tend() == NOON + 5600
    clock.pass_s(3600)
    await a.scheduler().tend()
    assert len(a.fired) == 2
    assert (await the_state(a.journal)).last_at == NOON + 5600


async def test_after_goes_on_when_a_waiting_run_was_ended_by_others() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(Schedule(timing=After(600))), clock=clock)
    await a.scheduler().tend()
    await a.end(a.fired[0])
    clock.at = NOON - 86_400
    assert await a.scheduler().tend() == NOON - 86_400 + 600


async def test_a_changed_schedule_goes_on_from_now_and_a_removed_one_stops() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(replace(HOURLY, missed="all")), clock=clock)
    await a.scheduler().tend()
    clock.pass_s(3 * 3600 + 1)
    a.planned = [planned(Schedule(timing=Cron("30 * * * *"), missed="all"), digest="d2")]
    assert await a.scheduler().tend() == NOON + 3.5 * 3600
    a.planned = []
    assert await a.scheduler().tend() is None
    clock.pass_s(86_400)
    assert await a.scheduler().tend() is None
    assert a.fired == []
    a.planned = [planned(replace(HOURLY, missed="all"))]
    await a.scheduler().tend()
    assert a.fired == []


async def test_a_paused_schedule_does_not_fire_and_makes_nothing_up() -> None:
    clock = HandClock(NOON)
    a = almanac(planned(replace(HOURLY, missed="all")), clock=clock)
    scheduler = a.scheduler()
    await scheduler.tend()
    await a.journal.reschedule(replace(await the_state(a.journal), paused_by="ana"))
    clock.pass_s(3 * 3600)
    assert await scheduler.tend() is None
    await a.journal.reschedule(replace(await the_state(a.journal), paused_by=None, next_at=None))
    assert await scheduler.tend() == NOON + 4 * 3600
    assert a.fired == []


async def test_two_processes_fire_once(tmp_path: Path) -> None:
    clock = HandClock(NOON)
    async with durable(tmp_path / "journal.db", clock) as journal:
        both = [almanac(planned(replace(HOURLY, missed="all")), clock=clock, journal=journal) for _ in range(2)]
        schedulers = [a.scheduler() for a in both]
        for _ in range(50):
            await asyncio.gather(*(scheduler.tend() for scheduler in schedulers))
            clock.pass_s(3600)
        await asyncio.gather(*(scheduler.tend() for scheduler in schedulers))
        assert sorted(times(both[0]) + times(both[1])) == sorted(set(times(both[0]) + times(both[1])))
        assert await journal.count() == {RunStatus.PENDING: 50}


async def live(a: Almanac, clock: HandClock, *, hours: int) -> None:
    for _ in range(hours):
        await a.scheduler().tend()
        clock.pass_s(3600)


@pytest.mark.parametrize("durably", [False, True])
async def test_a_crash_in_a_firing_neither_loses_nor_repeats_it(durably: bool) -> None:
    clock = HandClock(NOON)
    journal = MemoryJournal(clock)
    for crash_at in range(1, 6):
        mortal = MortalJournal(journal, left=crash_at, durable=durably)
        a = almanac(planned(HOURLY), clock=clock, journal=mortal.journal)
        with pytest.raises(Crash):
            await live(a, clock, hours=6)
        await almanac(planned(HOURLY), clock=clock, journal=journal).scheduler().tend()
    first = NOON + 3600
    planned_times = {(run.start_key or "").rpartition("Z")[0][-24:] for run in await journal.runs(RunFilter(limit=99))}
    passed = int((clock.at - first) // 3600) + 1
    assert len(planned_times) == passed == sum((await journal.count()).values())


class WatchedJournal(MemoryJournal):
    """Counts how often somebody looks at the schedules, and says when three runs were started."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.looks = 0
        self.runs_left = 3
        self.three = asyncio.Event()

    async def schedules(self) -> Sequence[ScheduleState]:
        self.looks += 1
        return await super().schedules()

    async def reschedule(self, state: ScheduleState, runs: Sequence[Run] = ()) -> Sequence[Run] | None:
        self.runs_left -= len(runs)
        if self.runs_left <= 0:
            self.three.set()
        return await super().reschedule(state, runs)


async def test_it_sleeps_until_the_next_firing_and_wakes_by_itself() -> None:
    clock = SystemClock()
    journal = WatchedJournal(clock)
    a = Almanac(planned=[planned(Schedule(timing=Every(0.2), missed="all"))], journal=journal, clock=clock)
    running = asyncio.ensure_future(a.scheduler().run())
    await journal.three.wait()
    running.cancel()
    started = [float((run.start_key or "")[-7:-1]) for run in a.fired]
    assert [round((later - at) % 60, 3) for at, later in pairwise(started)] == [0.2] * (len(started) - 1)
    assert journal.looks < 20


async def test_the_end_of_a_run_is_noticed_at_once() -> None:
    clock = SystemClock()
    journal = MemoryJournal(clock)
    three = asyncio.Event()
    fired: list[Run] = []

    async def interpret(run: Run, effects: Effects) -> Datum:
        return Datum(run.input)

    def note(what: Fired) -> None:
        fired.extend(what.runs)
        if len(fired) == 3:
            three.set()

    async with Stage().engine(journal, interpret) as engine:
        a = Almanac(planned=[planned(Schedule(timing=After(0.02)))], journal=journal, clock=clock)
        scheduler = a.scheduler(advance=engine.advance, settle=engine.settle, on_fired=note)
        running = asyncio.ensure_future(scheduler.run())
        async with asyncio.timeout(LOOK_S):
            await three.wait()
        running.cancel()
    ended = [await the_run(journal, run.id) for run in fired[:2]]
    for before, after in zip(ended, fired[1:3], strict=True):
        assert before.ended_at is not None
        assert after.created_at >= before.ended_at + 0.02
