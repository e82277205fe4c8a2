"""Kill the process between every pair of writes: the ending is the same, and effects happen once."""

import asyncio

import pytest

from orchestrion.core import (
    Answer,
    Datum,
    Effects,
    Invocation,
    Journal,
    LeafContext,
    Outcome,
    Question,
    RequestStatus,
    Run,
    RunStatus,
    SystemClock,
)
from orchestrion.engine import Engine
from orchestrion.journal import MemoryJournal
from orchestrion.testing import CrashingJournal, Ledger, Moment, Scripted, Stage, new_run

pytestmark = pytest.mark.anyio


def call(key: str, function: str, value: object = None) -> Invocation:
    return Invocation(key=key, task=key, function=f"{function}:1.0.0", arguments=Datum({"value": value}))  # pyright: ignore[reportArgumentType] tests pass JSON


async def desk(run: Run, effects: Effects) -> Datum:
    """Look up, ask, refund: in two branches, against a deadline, with a child."""
    found = await effects.invoke(call("/do/0/lookup#1", "lookup"))

    async def branch(number: int, inner: Effects) -> str:
        await inner.invoke(call(f"/do/1/both#1/{number}/refund#1", "refund", number))
        return f"branch {number}"

    done = await effects.fork("/do/1/both#1", "/do/1/both", [lambda e: branch(0, e), lambda e: branch(1, e)])
    answer = await effects.ask("/do/2/ask#1", "/do/2/ask", Question(kind="human", title="Really?"))

    async def bounded(inner: Effects) -> str:
        await inner.sleep("/do/3/wait#1/nap#1", "/do/3/wait", 0.02)
        return "slept"

    slept = await effects.within("/do/3/wait#1", "/do/3/wait", 60, bounded)
    refund = await effects.invoke(call("/do/4/refund#1", "refund", "last"))
    return Datum(
        {"found": found.output.value, "done": done, "by": answer.by, "slept": slept, "refund": refund.output.value}
    )


def stage(ledger: Ledger) -> Stage:
    async def lookup(_: object, context: LeafContext) -> Outcome:
        ledger.note("lookup", context)
        return Outcome(output=Datum("an invoice"))

    async def refund(_: object, context: LeafContext) -> Outcome:
        ledger.note("refund", context)
        return Outcome(output=Datum("paid"))

    return Stage(
        functions=(
            Scripted(name="lookup", act=lookup, effect="read"),
            Scripted(name="refund", act=refund, effect="write"),
        )
    )


async def play(engine: Engine, journal: Journal) -> Run:
    """Start or continue the run, answering whatever is asked, until it ends."""
    run = await engine.start(new_run("r1"))
    while True:
        run = await engine.settle(run.id)
        if run.status.ended:
            return run
        for request in await journal.requests(run_id=run.id, status=RequestStatus.OPEN):
            await engine.answer(request.id, Answer(verdict="answered", by="ana", at=SystemClock().now()))


async def play_with_crash(at: int, moment: Moment) -> tuple[Run, Ledger, bool]:
    ledger, memory = Ledger(), MemoryJournal(SystemClock())
    dying = CrashingJournal(memory, at=at, moment=moment)
    first = stage(ledger)
    async with first.engine(dying.journal, desk) as engine:
        playing = asyncio.ensure_future(play(engine, dying.journal))
        crash = asyncio.ensure_future(dying.crashed.wait())
        await asyncio.wait([playing, crash], return_when=asyncio.FIRST_COMPLETED)
        crashed = dying.crashed.is_set()
        if not crashed:
            crash.cancel()
            return await playing, ledger, False
        playing.cancel()
        await dying.bury(engine)
    async with stage(ledger).engine(memory, desk) as engine:
        return await asyncio.wait_for(play(engine, memory), 10), ledger, True


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_same_ending_wherever_it_dies(moment: Moment) -> None:
    reference, ledger, _ = await play_with_crash(10_000, "before")
    assert reference.status is RunStatus.COMPLETED
    assert ledger.calls == {"lookup": 1, "refund": 3}
    at, crashed = 1, True
    while crashed:
        run, ledger, crashed = await play_with_crash(at, moment)
        assert (run.status, run.output) == (RunStatus.COMPLETED, reference.output), f"killed {moment} write {at}"
        assert len(ledger.keys["refund"]) == 3, "an idempotent effect may be asked for again, but only under its key"
        assert ledger.calls["lookup"] <= 2
        at += 1
    assert at > 12
