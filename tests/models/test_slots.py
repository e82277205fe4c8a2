"""Limits of models: one line for all processes on a store, first come, first served."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrion.core import SystemClock, TransientError
from orchestrion.journal import DurableJournal
from orchestrion.models import ModelLimits, Slots, in_line
from orchestrion.models._breaker import FAILURES, REST_S, Breaker
from orchestrion.store import Store
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
ONE = ModelLimits(concurrency=1, wait_s=30)

HOLDER = """
import asyncio, sys
from orchestrion.core import SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.models import ModelLimits, Slots, _line
from orchestrion.store import Store

_line.LEASE_S = 2.5

async def hold():
    clock = SystemClock()
    journal = DurableJournal(Store.open(sys.argv[1], mode="join", blobs=sys.argv[2]), clock)
    async with Slots(clock, journal).slot("m", ModelLimits(concurrency=1), "theirs"):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@asynccontextmanager
async def journal_at(url: str, folder: Path, *, own: bool = True) -> AsyncGenerator[DurableJournal]:
    store = Store.open(url, mode="own" if own else "join", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, CLOCK)
    try:
        yield journal
    finally:
        await journal.close()
        store.close()


async def in_line_are(journal: DurableJournal, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await journal.look(lambda connection: in_line(connection, CLOCK.now()))) < count:  # noqa: ASYNC110  in the store
            await asyncio.sleep(0.005)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    return str(request.getfixturevalue("postgresql"))


async def test_two_processes_share_one_limit_and_take_turns_in_order(url: str, tmp_path: Path) -> None:
    order: list[str] = []
    at_once = 0

    async def use(slots: Slots, name: str) -> None:
        nonlocal at_once
        async with slots.slot("m", ONE, name):
            at_once += 1
            assert at_once == 1
            order.append(name)
            await asyncio.sleep(0)
            at_once -= 1

    async with journal_at(url, tmp_path) as journal, journal_at(url, tmp_path, own=False) as other:
        ours, theirs = Slots(CLOCK, journal), Slots(CLOCK, other)
        async with ours.slot("m", ONE, "first"):
            waiting: list[asyncio.Task[None]] = []
            for number in range(6):
                slots = theirs if number % 2 else ours
                waiting.append(asyncio.create_task(use(slots, f"run-{number}")))
                await in_line_are(journal, number + 1)
            shown = await journal.look(lambda connection: in_line(connection, CLOCK.now()))
            assert [each.run_id for each in shown] == [f"run-{number}" for number in range(6)]
            assert order == []
        await asyncio.gather(*waiting)
        await ours.close()
        await theirs.close()
    assert order == [f"run-{number}" for number in range(6)]


async def test_what_a_killed_process_held_is_free_after_a_while(url: str, tmp_path: Path) -> None:
    async with journal_at(url, tmp_path) as journal:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, url, str(tmp_path / "blobs"), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        slots = Slots(CLOCK, journal)
        with pytest.raises(TransientError) as caught:
            async with slots.slot("m", ModelLimits(concurrency=1, wait_s=0.3), "ours"):
                pass
        assert caught.value.code == "model-busy"
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with slots.slot("m", ONE, "ours") as waited_s:
            assert waited_s < 20
        await slots.close()


async def test_requests_per_minute_are_counted_over_any_minute() -> None:
    clock = HandClock()
    slots, limits = Slots(clock), ModelLimits(requests_per_minute=2, wait_s=30)
    for _ in range(2):
        async with slots.slot("m", limits, "run"):
            pass
    third = asyncio.create_task(enter(slots, limits))
    await asyncio.sleep(0.3)
    assert not third.done()
    clock.at += 61
    await asyncio.wait_for(third, 10)
    await slots.close()


async def enter(slots: Slots, limits: ModelLimits) -> None:
    async with slots.slot("m", limits, "run"):
        pass


async def test_one_that_gives_up_or_fails_holds_nothing() -> None:
    slots = Slots(CLOCK)
    async with slots.slot("m", ONE, "a"):
        given_up = asyncio.create_task(enter(slots, ONE))
        await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    with pytest.raises(RuntimeError):
        async with slots.slot("m", ONE, "b"):
            raise RuntimeError
    await asyncio.wait_for(enter(slots, ONE), 5)
    await slots.close()


async def test_a_model_that_keeps_failing_is_left_alone_then_tried_by_one() -> None:
    clock = HandClock()
    breaker, down = Breaker(clock=clock), TransientError("model-unavailable", "It is down.")
    for _ in range(FAILURES):
        breaker.admit("m")
        breaker.ended(down)
    with pytest.raises(TransientError) as caught:
        breaker.admit("m")
    assert caught.value.code == "model-resting"
    clock.at += REST_S
    breaker.admit("m")
    with pytest.raises(TransientError):
        breaker.admit("m")
    breaker.ended(down)
    with pytest.raises(TransientError):
        breaker.admit("m")
    clock.at += REST_S
    breaker.admit("m")
    breaker.ended(None)
    breaker.admit("m")
