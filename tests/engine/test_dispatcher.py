"""How the engine takes runs up, lets them sleep, limits them and lets go of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import pytest

from orchestrion.core import (
    Acting,
    Allow,
    Answer,
    Call,
    Datum,
    Decision,
    Deny,
    Effects,
    Evidence,
    Faulted,
    Invocation,
    Journal,
    Json,
    LeafContext,
    NeedsApproval,
    Outcome,
    Question,
    RequestStatus,
    Run,
    RunStatus,
    SystemClock,
    TransientError,
    UserError,
)
from orchestrion.engine import Engine, Limits
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Ledger, Scripted, Stage, new_run

pytestmark = pytest.mark.anyio


def call(key: str = "/do/0/a#1", function: str = "act") -> Invocation:
    return Invocation(key=key, task=key, function=f"{function}:1.0.0", arguments=Datum({"cents": 500}))


async def ask(_: Run, effects: Effects) -> Datum:
    answer = await effects.ask("/do/0/ask#1", "/do/0/ask", Question(kind="human", title="?"))
    return Datum(answer.by)


def answered(by: str = "ana") -> Answer:
    return Answer(verdict="answered", by=by, at=SystemClock().now())


async def test_no_more_runs_in_memory_than_allowed() -> None:
    inside, most, go = 0, 0, asyncio.Event()

    async def act(_: object, __: LeafContext) -> Outcome:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 3:
            go.set()
        await go.wait()
        inside -= 1
        return Outcome(output=Datum())

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call())).output

    stage = Stage(functions=(Scripted(name="act", act=act),), limits=Limits(concurrency=3))
    async with stage.engine(MemoryJournal(SystemClock()), one) as engine:
        runs = [await engine.start(new_run(f"r{i}")) for i in range(10)]
        ended = await asyncio.gather(*(engine.settle(run.id) for run in runs))
    assert {run.status for run in ended} == {RunStatus.COMPLETED}
    assert most == 3


async def test_a_full_backlog_refuses_clearly_and_keeps_nothing() -> None:
    journal = MemoryJournal(SystemClock())

    async def stuck(_: Run, __: Effects) -> Datum:
        await asyncio.Event().wait()
        return Datum()

    async with Stage(limits=Limits(concurrency=1, backlog=2)).engine(journal, stuck) as engine:
        for number in range(3):
            await engine.start(new_run(f"r{number}"))
        with pytest.raises(TransientError, match="waiting to begin") as refused:
            await engine.start(new_run("one too many"))
    assert refused.value.code == "backlog-full"
    assert await journal.run("one too many") is None


async def test_a_repeated_start_key_joins_the_run() -> None:
    journal = MemoryJournal(SystemClock())
    async with Stage().engine(journal, ask) as engine:
        first = await engine.start(replace(new_run("r1"), start_key="order 7"))
        again = await engine.start(replace(new_run("r2"), start_key="order 7"))
        assert again.id == first.id == "r1"
        await engine.settle("r1")
        assert await journal.run("r2") is None


async def test_a_waiting_run_leaves_memory_and_comes_back() -> None:
    journal = MemoryJournal(SystemClock())
    async with Stage().engine(journal, ask) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.WAITING
        assert not engine.tasks()
        (request,) = await journal.requests()
        await engine.answer(request.id, answered())
        assert (await engine.settle(run.id)).output == "ana"


async def test_cancel_reaches_a_run_in_mid_call_at_once() -> None:
    began = asyncio.Event()

    async def hang(_: object, __: LeafContext) -> Outcome:
        began.set()
        await asyncio.Event().wait()
        return Outcome(output=Datum())

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call())).output

    journal = MemoryJournal(SystemClock())
    async with Stage(functions=(Scripted(name="act", act=hang, effect="write"),)).engine(journal, one) as engine:
        run = await engine.start(new_run("r1"))
        await began.wait()
        await engine.cancel(run.id, "ana")
        ended = await asyncio.wait_for(engine.settle(run.id), 5)
    assert ended.status is RunStatus.CANCELLED
    cancel = next(entry for entry in await journal.entries("r1") if entry.key == "/cancel")
    assert (cancel.output, cancel.subject) == ({"by": "ana"}, "User::ana")


async def test_a_cancelled_run_can_do_nothing_more() -> None:
    journal, ledger, began = MemoryJournal(SystemClock()), Ledger(), asyncio.Event()

    async def act(_: object, context: LeafContext) -> Outcome:
        ledger.note("act", context)
        return Outcome(output=Datum())

    async def clinging(_: Run, effects: Effects) -> Datum:
        try:
            began.set()
            await effects.sleep("/do/0/nap#1", "/do/0/nap", 30)
        except asyncio.CancelledError:
            await effects.invoke(call("/do/1/act#1"))
        return Datum()

    async with Stage(functions=(Scripted(name="act", act=act),)).engine(journal, clinging) as engine:
        run = await engine.start(new_run("r1"))
        await began.wait()
        await engine.cancel(run.id, "ana")
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).status is RunStatus.CANCELLED
    assert not ledger.calls


async def test_an_answer_that_comes_while_a_run_falls_asleep_wakes_it() -> None:
    memory = MemoryJournal(SystemClock())

    class Drowsy:
        """Lets an answer arrive after the store has put the run to sleep, before the engine has heard of it."""

        async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
            asleep = await memory.rest(run_id, epoch, seen_seq=seen_seq, wake_at=wake_at)
            (request,) = await memory.requests(status=RequestStatus.OPEN)
            await engine.answer(request.id, answered())
            return asleep

        def __getattr__(self, name: str) -> object:
            return getattr(memory, name)

    async with Stage().engine(cast("Journal", Drowsy()), ask) as engine:
        run = await engine.start(new_run("r1"))
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).output == "ana"


async def test_follow_advances_whatever_can_be_advanced() -> None:
    """Runs another process left behind, answers that came meanwhile, timers that rang."""
    journal = MemoryJournal(SystemClock())
    async with Stage().engine(journal, ask) as engine:
        await engine.settle((await engine.start(new_run("r1"))).id)
    (request,) = await journal.requests()
    await journal.answer(request.id, answered())
    await journal.start(new_run("r2"))

    async def either(run: Run, effects: Effects) -> Datum:
        return Datum("new") if run.id == "r2" else await ask(run, effects)

    seen: dict[str, Json] = {}
    async with Stage().engine(journal, either) as engine:
        async for run in engine.follow(0.01):
            seen[run.id] = run.output
            if len(seen) == 2:
                break
    assert seen == {"r1": "ana", "r2": "new"}


async def test_what_another_process_left_behind_can_be_taken_up() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    inside, gate = asyncio.Event(), asyncio.Event()

    async def act(_: object, context: LeafContext) -> Outcome:
        ledger.note("act", context)
        inside.set()
        await gate.wait()
        return Outcome(output=Datum("done"))

    async def either(run: Run, effects: Effects) -> Datum:
        return await ask(run, effects) if run.id == "asks" else (await effects.invoke(call())).output

    stage = Stage(functions=(Scripted(name="act", act=act),))
    async with stage.engine(journal, either) as engine:
        await engine.settle((await engine.start(new_run("asks"))).id)
    await journal.start(new_run("accepted"))
    (request,) = await journal.requests()
    await journal.answer(request.id, answered())

    async with stage.engine(journal, either) as engine:
        await engine.take_up()
        calm = asyncio.ensure_future(engine.calm())
        await asyncio.wait_for(inside.wait(), 5)
        await engine.take_up()
        assert not calm.done(), "a run that was taken up is still moving"
        gate.set()
        await asyncio.wait_for(calm, 5)
        ended = {name: run.output for name in ("asks", "accepted") if (run := await journal.run(name))}
    assert ended == {"asks": "ana", "accepted": "done"}
    assert ledger.calls["act"] == 1


async def test_stopping_leaves_the_rest_for_the_next_start() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    gate = asyncio.Event()

    async def act(_: object, context: LeafContext) -> Outcome:
        ledger.note("act", context)
        await gate.wait()
        return Outcome(output=Datum("done"))

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call())).output

    stage = Stage(functions=(Scripted(name="act", act=act),), limits=Limits(concurrency=1))
    async with stage.engine(journal, one) as engine:
        for number in range(3):
            await engine.start(new_run(f"r{number}"))
    gate.set()
    async with stage.engine(journal, one) as engine:
        for number in range(3):
            run = await engine.start(new_run(f"r{number}"))
            assert (await engine.settle(run.id)).output == "done"


async def test_retry_does_again_what_failed_and_nothing_else() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    broken = True

    async def act(_: object, context: LeafContext) -> Outcome:
        ledger.note("act", context)
        if broken:
            raise TransientError("down", "The other side is down.")
        return Outcome(output=Datum("done"))

    async def before(_: object, context: LeafContext) -> Outcome:
        ledger.note("before", context)
        return Outcome(output=Datum())

    async def two(_: Run, effects: Effects) -> Datum:
        await effects.invoke(call("/do/0/before#1", "before"))
        return (await effects.invoke(call("/do/1/act#1"))).output

    stage = Stage(
        functions=(Scripted(name="act", act=act, effect="write"), Scripted(name="before", act=before, effect="write"))
    )
    async with stage.engine(journal, two) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.FAULTED
        broken = False
        await engine.retry(run.id, "ana")
        ended = await engine.settle(run.id)
    assert (ended.output, ended.attempt) == ("done", 2)
    assert ledger.calls == {"before": 1, "act": 2}
    assert len(ledger.keys["act"]) == 1, "a repeated operation has the same idempotency key"


# --- approvals ---


@dataclass
class LeadApproves:
    """Needs a lead's approval, under policies of a version that a test may change."""

    version: str = "1"
    lifetime_s: float = 1000.0

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        if evidence.approved_by_role == "lead":
            return Allow(policies=("lead",), version=self.version)
        return NeedsApproval(role="lead", reason="It is a lot.", version=self.version, expires_after_s=self.lifetime_s)


def paying(ledger: Ledger, gate: LeadApproves) -> Stage:
    async def act(_: object, context: LeafContext) -> Outcome:
        ledger.note("act", context)
        return Outcome(output=Datum("paid"))

    return Stage(functions=(Scripted(name="act", act=act, effect="write"),), gate=gate)


async def pay(_: Run, effects: Effects) -> Datum:
    acting = Acting(principal=("Agent", "billing"), action="refund", arguments={"cents": 500}, version="v1")
    try:
        return (await effects.invoke(replace(call(), acting=acting))).output
    except Faulted as error:
        return Datum(error.problem.detail)


async def decide_once(engine: Engine, journal: MemoryJournal, verdict: str) -> None:
    (request,) = await journal.requests(status=RequestStatus.OPEN)
    answer = Answer(verdict=verdict, by="lea", at=SystemClock().now(), reason="because")  # pyright: ignore[reportArgumentType] a test's shorthand
    await engine.answer(request.id, answer)


async def test_an_approved_call_is_performed_once_and_says_who_approved() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    async with paying(ledger, LeadApproves()).engine(journal, pay) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.WAITING
        assert not ledger.calls
        await decide_once(engine, journal, "approved")
        assert (await engine.settle(run.id)).output == "paid"
        (request,) = await journal.requests()
        with pytest.raises(UserError, match="decided already"):
            await engine.answer(request.id, answered())
    entry = next(entry for entry in await journal.entries("r1") if entry.key == "/do/0/a#1")
    assert cast("Mapping[str, Json]", entry.decision)["approved_by"] == "lea"
    assert ledger.calls == {"act": 1}


async def test_a_rejected_call_is_not_performed() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    async with paying(ledger, LeadApproves()).engine(journal, pay) as engine:
        run = await engine.start(new_run("r1"))
        await engine.settle(run.id)
        await decide_once(engine, journal, "rejected")
        assert (await engine.settle(run.id)).output == "lea rejected it: because"
    assert not ledger.calls


async def test_an_approval_under_other_policies_does_not_count() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    gate = LeadApproves()
    async with paying(ledger, gate).engine(journal, pay) as engine:
        run = await engine.start(new_run("r1"))
        await engine.settle(run.id)
        gate.version = "2"
        await decide_once(engine, journal, "approved")
        assert (await engine.settle(run.id)).status is RunStatus.WAITING, "asked again, under the new policies"
        assert not ledger.calls
        await decide_once(engine, journal, "approved")
        assert (await engine.settle(run.id)).output == "paid"


async def test_an_approval_that_expires_is_a_refusal() -> None:
    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    async with paying(ledger, LeadApproves(lifetime_s=0.02)).engine(journal, pay) as engine:
        run = await engine.start(new_run("r1"))
        ended = await asyncio.wait_for(engine.settle(run.id), 5)
    assert "Nobody approved in time" in cast("str", ended.output)
    assert not ledger.calls


async def test_what_policy_denies_is_recorded_and_not_performed() -> None:
    class No:
        version = "1"

        def decide(self, call: Call, evidence: Evidence) -> Decision:
            return Deny(reason="Policy 'never' forbids it.", policies=("never",), version="1")

    journal, ledger = MemoryJournal(SystemClock()), Ledger()
    async with replace(paying(ledger, LeadApproves()), gate=No()).engine(journal, pay) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).output == "Policy 'never' forbids it."
    entry = next(entry for entry in await journal.entries("r1") if entry.key == "/do/0/a#1")
    assert cast("Mapping[str, Json]", entry.decision)["policies"] == ["never"]
    assert not ledger.calls
