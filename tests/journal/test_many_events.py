"""A great many events: duplicates are dropped by an index, not by memory."""

import asyncio
import gc
from pathlib import Path

import pytest

from orchestrion.core import Event, EventQuery, Route, SystemClock
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.store import Store

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def events(first: int, count: int) -> list[Event]:
    return [
        Event(source="/s", id=str(n), type="tick", body={"data": n}, received_at=CLOCK.now())
        for n in range(first, first + count)
    ]


async def receive_twice(journal: DurableJournal, first: int, count: int) -> None:
    batch = events(first, count)
    new = await asyncio.gather(*(journal.receive(event) for event in [*batch, *batch]))
    assert new == [True] * count + [False] * count


@pytest.mark.parametrize("thousands", [3, pytest.param(1000, marks=pytest.mark.soak)])
async def test_memory_does_not_grow_with_the_events_received(thousands: int, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db", mode="own", clock=CLOCK)
    journal = DurableJournal(store, CLOCK)
    try:
        warm = thousands // 3
        for number in range(warm):
            await receive_twice(journal, number * 1000, 1000)
        gc.collect()
        before = resident_mb()
        for number in range(warm, thousands):
            await receive_twice(journal, number * 1000, 1000)
        gc.collect()
        assert resident_mb() - before < 30
        (last,) = await journal.events(EventQuery(limit=1))
        assert last.id == str(thousands * 1000 - 1)
    finally:
        await journal.close()
        store.close()


async def test_the_journal_in_memory_forgets_the_oldest_that_were_routed() -> None:
    journal = MemoryJournal(CLOCK)
    for event in events(0, 100_000):
        assert await journal.receive(event)
    assert not await journal.receive(events(0, 1)[0])
    while unrouted := await journal.unrouted(10_000):
        await journal.deliver([Route(event=event) for event in unrouted])
    for event in events(100_000, 3):
        assert await journal.receive(event)
    assert await journal.event("/s", "2") is None
    assert await journal.event("/s", "3") is not None
    assert len(await journal.events(EventQuery(limit=1_000_000))) == 100_000
