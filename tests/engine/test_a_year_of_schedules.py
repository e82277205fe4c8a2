"""A year of fifty schedules, with both changes of the clock in it, and a process that dies two hundred times."""

import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrion.core import Journal, Run, RunFilter
from orchestrion.engine import Planned
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.spec import MISSED, After, Cron, Every, Schedule
from orchestrion.store import Store
from orchestrion.testing import Almanac, Crash, MortalJournal
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

DAY_S = 86_400.0
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata", "UTC")
CRONS = (
    "30 2 * * *",
    "0 2 * * *",
    "15,45 1,2 * * 0",
    "0 9 * * 1-5",
    "0 0 L * *",
    "30 1 1 * *",
    "0 */6 * * *",
    "0 3 * * 6#1",
)


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


YEAR = (utc("2026-01-01"), utc("2027-01-01"))
HALF = (utc("2026-01-01"), utc("2026-07-01"))
SPRING = (utc("2026-03-26"), utc("2026-04-07"))
AUTUMN = (utc("2026-10-21"), utc("2026-11-04"))


def fifty(chance: random.Random) -> list[Planned]:
    """Every expression of `CRONS` under some zones and policies, intervals, and pauses between runs."""
    schedules = [
        Schedule(timing=Cron(CRONS[i % len(CRONS)]), timezone=ZONES[i % len(ZONES)], missed=MISSED[i % 3])
        for i in range(40)
    ]
    schedules += [
        Schedule(timing=Every(chance.choice([12, 24, 36]) * 3600 + i), missed=MISSED[i % 3]) for i in range(6)
    ]
    schedules += [Schedule(timing=After(chance.choice([1, 3, 10]) * DAY_S)) for _ in range(4)]
    return [Planned(workflow=f"test/w{i:02}", digest=f"d{i:02}", schedule=each) for i, each in enumerate(schedules)]


@dataclass(slots=True, kw_only=True)
class Life:
    """What a simulated process goes through between `start` and `end`."""

    planned: Sequence[Planned]
    journal: Journal
    clock: HandClock
    chance: random.Random
    end: float
    whole_looks: list[float] = field(default_factory=list[float])
    """When a process looked at all schedules and lived on."""
    going: list[tuple[float, Run]] = field(default_factory=list[tuple[float, Run]])
    """Runs of schedules that wait for their end, and when each ends."""

    async def lead(self, deaths: int) -> None:
        span = (self.end - self.clock.at) / deaths
        for _ in range(deaths):
            await self.one_process(until=min(self.end, self.clock.at + self.chance.uniform(0, 1.9 * span)))
            self.clock.pass_s(self.chance.choice([0.0, 0.5, 45.0, 3600.0, self.chance.uniform(0, 2 * DAY_S)]))
        await self.one_process(until=self.end)

    async def one_process(self, *, until: float) -> None:
        """Works until then, and dies in the middle of one of its next writes."""
        mortal = MortalJournal(self.journal)
        a = Almanac(planned=self.planned, journal=mortal.journal, clock=self.clock)
        scheduler = a.scheduler()
        with suppress(Crash):
            while True:
                if self.clock.at >= until and until < self.end and mortal.left < 0:
                    mortal.left, mortal.durable = self.chance.randint(1, 8), self.chance.random() < 0.5
                await self.end_runs(a)
                due_at = await scheduler.tend()
                self.whole_looks.append(self.clock.at)
                self.follow(a)
                nearest = min([at for at, _ in self.going], default=self.end)
                if self.clock.at >= self.end:
                    return
                self.clock.at = max(self.clock.at, min(due_at or self.end, nearest, self.end))
        self.follow(a)

    def follow(self, a: Almanac) -> None:
        waiting = {each.workflow for each in self.planned if isinstance(each.schedule.timing, After)}
        for run in a.fired:
            if run.workflow in waiting:
                self.going.append((self.clock.at + self.chance.uniform(1, 2 * DAY_S), run))
        a.fired.clear()

    async def end_runs(self, a: Almanac) -> None:
        for at, run in [each for each in self.going if each[0] <= self.clock.at]:
            await a.end(run)
            self.going.remove((at, run))


@dataclass(frozen=True, slots=True)
class Firing:
    at: float
    handled_at: float


async def firings(journal: Journal) -> Mapping[str, list[Firing]]:
    found: dict[str, list[Firing]] = defaultdict(list)
    for run in await journal.runs(RunFilter(limit=1_000_000)):
        assert run.start_key is not None
        planned_at = datetime.fromisoformat(run.start_key.partition(":")[2].partition(":")[2]).timestamp()
        found[run.workflow].append(Firing(planned_at, run.created_at))
    return {name: sorted(each, key=lambda firing: firing.at) for name, each in found.items()}


def check(planned: Planned, found: Sequence[Firing], start: float, looks: Sequence[float]) -> None:
    """Each firing once, and those left out were missed, and left out by policy."""
    schedule, fired = planned.schedule, {firing.at: firing.handled_at for firing in found}
    assert len(fired) == len(found), f"{planned.workflow} fired twice for one time"
    if isinstance(schedule.timing, After):
        assert found, planned.workflow
        for before, after in pairwise(found):
            assert after.at >= before.handled_at + schedule.timing.seconds
        return
    calendar = [schedule.next_after(start)]
    while calendar[-1] <= looks[-1]:
        calendar.append(schedule.next_after(calendar[-1]))
    assert set(fired) <= set(calendar), f"{planned.workflow} fired at a time that is not its own"
    for at, following in pairwise(calendar):
        handled_at = fired.get(at)
        if schedule.missed == "all":
            assert handled_at is not None, f"{planned.workflow} left {at} out"
        elif handled_at is not None:
            assert at <= handled_at < following
            assert schedule.missed == "once" or handled_at - at <= 60
        else:
            seen_at = looks[bisect_left(looks, at)]
            assert seen_at >= following or (schedule.missed == "skip" and seen_at - at > 60), f"{planned.workflow} {at}"


async def simulate(journal: Journal, clock: HandClock, seed: int, end: float, deaths: int) -> int:
    """How many firings there were."""
    chance = random.Random(seed)
    planned, start = fifty(chance), clock.at
    life = Life(planned=planned, journal=journal, clock=clock, chance=chance, end=end)
    await life.lead(deaths)
    found = await firings(journal)
    for each in planned:
        check(each, found.get(each.workflow, []), start, life.whole_looks)
    return sum(map(len, found.values()))


async def simulate_on_disk(path: Path, seed: int, span: tuple[float, float], deaths: int) -> int:
    clock = HandClock(span[0])
    store = Store.open(path, mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    try:
        return await simulate(journal, clock, seed, span[1], deaths)
    finally:
        await journal.close()
        store.close()


async def test_half_a_year_in_memory() -> None:
    clock = HandClock(HALF[0])
    assert await simulate(MemoryJournal(clock), clock, 2026, HALF[1], 100) > 2500


@pytest.mark.parametrize("span", [SPRING, AUTUMN])
async def test_both_changes_of_the_clock_on_disk(span: tuple[float, float], tmp_path: Path) -> None:
    assert await simulate_on_disk(tmp_path / "journal.db", 7, span, 20) > 200


@pytest.mark.soak
@pytest.mark.parametrize("seed", [*range(20), 2026])
async def test_many_years_in_memory(seed: int) -> None:
    clock = HandClock(YEAR[0])
    assert await simulate(MemoryJournal(clock), clock, seed, YEAR[1], 200) > 5000


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
async def test_a_year_on_disk(seed: int, tmp_path: Path) -> None:
    assert await simulate_on_disk(tmp_path / "journal.db", seed, YEAR, 200) > 5000
