"""A run must not be put to sleep while the end of one of its strands is on its way, however busy the process is."""

import asyncio
import time

import anyio
import pytest

from orchestrion.core import Datum, Effects, Run, RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Stage, new_run

pytest.importorskip("uvloop", reason="asyncio's own loop rings timers after what is ready already")


def _busy(_: object) -> None:
    """Everybody else's work, in the same turn of the loop: longer than a run lingers before it is put to rest."""
    until = time.perf_counter() + 0.1
    while time.perf_counter() < until:
        pass


async def _ends_in_a_busy_turn(_: Effects) -> str:
    task = asyncio.current_task()
    assert task is not None
    task.add_done_callback(_busy)
    return "done"


async def _in_time(run: Run, effects: Effects) -> Datum:
    return Datum(await effects.within("/do/0/slow#1", "/do/0/slow", 3600.0, _ends_in_a_busy_turn))


def test_a_strand_that_ends_in_a_busy_turn_keeps_its_run_awake() -> None:
    async def main() -> Run:
        async with Stage().engine(MemoryJournal(SystemClock()), _in_time) as engine:
            run = await engine.start(new_run("busy"))
            return await engine.settle(run.id)

    ended = anyio.run(main, backend_options={"use_uvloop": True})

    assert (ended.status, ended.output) == (RunStatus.COMPLETED, "done")
