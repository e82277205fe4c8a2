"""What arrives just after a run was put to rest wakes it, though the process that rested it did not know yet."""

import asyncio
from collections.abc import Sequence

import anyio
import pytest

from orchestrion.core import ChildStart, Datum, Effects, Run, RunStatus, SystemClock, Tell, Write, Written
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Stage, new_run

pytestmark = pytest.mark.anyio


class Slow(MemoryJournal):
    """Says that a run rests only when its child's end has been written: in the turn of the loop before anybody acts on that."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.resting, self.told = asyncio.Event(), asyncio.Event()

    async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
        asleep = await super().rest(run_id, epoch, seen_seq=seen_seq, wake_at=wake_at)
        self.resting.set()
        await self.told.wait()
        return asleep

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        written = super().write(run_id, epoch, writes)
        if any(isinstance(each, Tell) for each in writes):
            self.told.set()
        return written


async def test_a_child_that_ends_while_its_parent_is_put_to_rest_wakes_it() -> None:
    journal = Slow()

    async def interpret(run: Run, effects: Effects) -> Datum:
        if run.workflow == "child":
            await journal.resting.wait()
            return Datum("done")
        start = ChildStart(namespace="test", name="child", version="1.0.0", input=Datum())
        return await effects.child("/do/0/child#1", "/do/0/child", start)

    async with Stage(children=frozenset({"child"})).engine(journal, interpret) as engine:
        with anyio.fail_after(10):
            started = await engine.start(new_run("parent"))
            ended = await engine.settle(started.id)

    assert (ended.status, ended.output) == (RunStatus.COMPLETED, "done")
