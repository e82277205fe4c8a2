"""The journal rules, one by one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from orchestrion.core import (
    Acting,
    Answer,
    BugError,
    ChildStart,
    Datum,
    Effects,
    Entry,
    EntryKind,
    EntryStatus,
    Faulted,
    History,
    Invocation,
    Journal,
    Json,
    LeafContext,
    Outcome,
    Problem,
    Put,
    Question,
    RequestStatus,
    Run,
    RunStatus,
    SystemClock,
    TransientError,
    UserError,
    Write,
    Written,
    derived_id,
)
from orchestrion.engine import Engine, Interpret, WalkStopped
from orchestrion.journal import MemoryJournal
from orchestrion.testing import CrashingJournal, Ledger, Scripted, Stage, new_run

pytestmark = pytest.mark.anyio


def call(key: str, function: str = "act", value: Json = None) -> Invocation:
    return Invocation(key=key, task=key, function=f"{function}:1.0.0", arguments=Datum({"value": value}))


def counting(ledger: Ledger, name: str = "act", **nature: bool | str) -> Scripted:
    async def act(arguments: Mapping[str, Json], context: LeafContext) -> Outcome:
        ledger.note(name, context)
        return Outcome(output=Datum(arguments["value"]))

    return replace(Scripted(name=name, act=act), **nature)


class MovableClock:
    """The machine's clock, set forward by a test."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return SystemClock().now() + self.ahead

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.ahead


async def finish(stage: Stage, journal: Journal, interpret: Interpret, run_id: str = "r1") -> Run:
    async with stage.engine(journal, interpret) as engine:
        run = await engine.start(new_run(run_id))
        return await asyncio.wait_for(engine.settle(run.id), 10)


async def until_crash(stage: Stage, dying: CrashingJournal, interpret: Interpret) -> None:
    """Run until the journal's process has died."""
    async with stage.engine(dying.journal, interpret) as engine:
        await engine.start(new_run("r1"))
        await asyncio.wait_for(dying.crashed.wait(), 10)
        await dying.bury(engine)


async def entry_at(journal: Journal, key: str) -> Entry:
    return next(entry for entry in await journal.entries("r1") if entry.key == key)


# --- rule 2 ---


async def test_another_call_at_a_key_stops_the_run_as_diverged_and_performs_nothing() -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())
    stage = Stage(functions=(counting(ledger, effect="write"),))

    async def first(_: Run, effects: Effects) -> Datum:
        await effects.invoke(call("/do/0/a#1", value=1))
        await effects.invoke(call("/do/1/b#1", value=1))
        return Datum()

    async def changed(_: Run, effects: Effects) -> Datum:
        await effects.invoke(call("/do/0/a#1", value=2))
        await effects.invoke(call("/do/1/b#1", value=2))
        return Datum()

    await until_crash(stage, CrashingJournal(journal, at=3), first)
    run = await finish(stage, journal, changed)
    assert run.status is RunStatus.DIVERGED
    assert cast("Mapping[str, str]", run.problem)["code"] == "diverged"
    assert ledger.calls == {"act": 1}


class Entered:
    """A composite that does nothing beyond being entered."""

    declaration = replace(counting(Ledger()).declaration, name="entered")

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        return Outcome(output=invocation.arguments)


async def test_an_agent_that_enters_a_composite_otherwise_than_before_stops_the_run() -> None:
    journal = MemoryJournal(SystemClock())
    stage = Stage(functions=(Entered(), counting(Ledger())))
    value = 1

    async def agent(_: Run, effects: Effects) -> Datum:
        acting = Acting(principal=("Agent", "a"), action="enter", arguments={"value": value})
        outcome = await effects.invoke(replace(call("/do/0/a#1", "entered", value), acting=acting))
        await effects.invoke(call("/do/1/b#1", value=0))
        return outcome.output

    await until_crash(stage, CrashingJournal(journal, at=2), agent)
    value = 2
    assert (await finish(stage, journal, agent)).status is RunStatus.DIVERGED


# --- rules 3 and 4 ---


async def test_a_recorded_winner_stays_the_winner_when_the_race_would_now_end_otherwise() -> None:
    journal = MemoryJournal(SystemClock())
    slow_first = True

    def racer(number: int) -> Scripted:
        async def act(_: object, context: LeafContext) -> Outcome:
            if (number == 0) == slow_first:
                await asyncio.Event().wait()
            return Outcome(output=Datum(number))

        return Scripted(name=f"racer{number}", act=act)

    stage = Stage(functions=(racer(0), racer(1), counting(Ledger())))

    async def race(_: Run, effects: Effects) -> Datum:
        async def branch(number: int, inner: Effects) -> Json:
            return (await inner.invoke(call(f"/do/0/race#1/{number}/x#1", f"racer{number}"))).output.value

        won = await effects.race("/do/0/race#1", "/do/0/race", [lambda e: branch(0, e), lambda e: branch(1, e)])
        await effects.invoke(call("/do/1/after#1", value=won))
        return Datum(won)

    await until_crash(stage, CrashingJournal(journal, at=3), race)
    choice = await entry_at(journal, "/do/0/race#1/join")
    assert (choice.kind, choice.output) == (EntryKind.CHOICE, {"winner": 1})
    slow_first = False
    assert (await finish(stage, journal, race)).output == 1


async def test_a_losing_intent_is_abandoned_and_its_late_outcome_kept_as_a_note() -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())
    begun, release = asyncio.Event(), asyncio.Event()

    async def stubborn(_: object, context: LeafContext) -> Outcome:
        ledger.note("stubborn", context)
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            release.set()
        return Outcome(output=Datum("too late"))

    async def quick(_: object, context: LeafContext) -> Outcome:
        await begun.wait()
        return Outcome(output=Datum("quick"))

    stage = Stage(
        functions=(Scripted(name="stubborn", act=stubborn, effect="write"), Scripted(name="quick", act=quick))
    )

    async def race(_: Run, effects: Effects) -> Datum:
        async def branch(number: int, name: str, inner: Effects) -> Outcome:
            return await inner.invoke(call(f"/do/0/race#1/{number}/x#1", name))

        won = await effects.race(
            "/do/0/race#1", "/do/0/race", [lambda e: branch(0, "stubborn", e), lambda e: branch(1, "quick", e)]
        )
        return won.output

    run = await finish(stage, journal, race)
    assert (run.output, release.is_set()) == ("quick", True)
    assert (await entry_at(journal, "/do/0/race#1/0/x#1")).status is EntryStatus.ABANDONED
    late = await entry_at(journal, "/do/0/race#1/0/x#1!late")
    assert (late.kind, late.output) == (EntryKind.NOTE, "too late")
    assert ledger.calls == {"stubborn": 1}


async def test_a_closed_scope_refuses_to_act() -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())
    stage = Stage(functions=(counting(ledger),))
    escaped: list[Effects] = []

    async def body(inner: Effects) -> None:
        escaped.append(inner)
        await inner.sleep("/do/0/x#1/nap#1", "/do/0/x", 30)

    async def leak(_: Run, effects: Effects) -> Datum:
        with pytest.raises(Faulted, match="longer than"):
            await effects.within("/do/0/x#1", "/do/0/x", 0.01, body)
        with pytest.raises(WalkStopped):
            await escaped[0].invoke(call("/do/0/x#1/again#1"))
        return Datum("went on")

    assert (await finish(stage, journal, leak)).output == "went on"
    assert not ledger.calls


# --- rule 5 ---


async def test_time_spent_down_counts_against_a_deadline() -> None:
    clock = MovableClock()
    journal, ledger = MemoryJournal(clock), Ledger()
    stage = Stage(functions=(counting(ledger),), clock=clock)

    async def nap(_: Run, effects: Effects) -> Datum:
        await effects.sleep("/do/0/nap#1", "/do/0/nap", 3600)
        return Datum("rested")

    async with stage.engine(journal, nap) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.WAITING
    clock.ahead = 3600
    async with stage.engine(journal, nap) as engine:
        engine.advance(run)
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).output == "rested"


async def test_a_deadline_that_passed_while_down_is_a_timeout() -> None:
    clock = MovableClock()
    journal = MemoryJournal(clock)
    stage = Stage(clock=clock)

    async def bounded(_: Run, effects: Effects) -> Datum:
        async def body(inner: Effects) -> str:
            return (await inner.ask("/do/0/x#1/ask#1", "/do/0/x", Question(kind="human", title="?"))).by

        return Datum(await effects.within("/do/0/x#1", "/do/0/x", 1000, body))

    async with stage.engine(journal, bounded) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).wake_at is not None
    clock.ahead = 1001
    async with stage.engine(journal, bounded) as engine:
        engine.advance(run)
        run = await asyncio.wait_for(engine.settle(run.id), 5)
    assert (run.status, cast("Mapping[str, Json]", run.problem)["code"]) == (RunStatus.FAULTED, "timed-out")
    (request,) = await journal.requests(run_id="r1")
    assert request.status is RequestStatus.WITHDRAWN


# --- rule 6 ---


class SlowJournal:
    """Makes a write durable only when the test says so."""

    def __init__(self, inner: Journal, slow_key: str) -> None:
        self._inner = inner
        self._slow_key = slow_key
        self.queued = asyncio.Event()
        self.go = asyncio.Event()

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        if not any(isinstance(write, Put) and write.entry.key == self._slow_key for write in writes):
            return self._inner.write(run_id, epoch, writes)
        self.queued.set()
        written = Written(loop=asyncio.get_running_loop())

        async def later() -> None:
            await self.go.wait()
            await self._inner.write(run_id, epoch, writes)
            written.set_result(None)

        self.writing = asyncio.ensure_future(later())
        return written

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_a_cancel_waits_for_the_queued_outcome() -> None:
    ledger, memory = Ledger(), MemoryJournal(SystemClock())
    slow = SlowJournal(memory, "/do/0/a#1")
    stage = Stage(functions=(counting(ledger),))

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call("/do/0/a#1", value=7))).output

    async with stage.engine(cast("Journal", slow), one) as engine:
        run = await engine.start(new_run("r1"))
        await slow.queued.wait()
        await engine.cancel(run.id, "ana")
        for _ in range(50):
            await asyncio.sleep(0)
        keys = [entry.key for entry in await memory.entries("r1")]
        assert "/cancel" not in keys, "the cancel waits for the outcome that is being written"
        slow.go.set()
        run = await asyncio.wait_for(engine.settle(run.id), 5)
    assert run.status is RunStatus.CANCELLED
    assert (await entry_at(memory, "/do/0/a#1")).status is EntryStatus.COMPLETED


async def test_a_row_that_cannot_be_stored_fails_only_its_run() -> None:
    journal = MemoryJournal(SystemClock())

    async def odd(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        return Outcome(output=Datum(float("nan") if arguments["value"] == "bad" else "fine"))

    stage = Stage(functions=(Scripted(name="act", act=odd),))

    async def one(run: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call("/do/0/a#1", value=run.id))).output

    async with stage.engine(journal, one) as engine:
        for run_id in ("bad", "good"):
            await engine.start(new_run(run_id))
        bad, good = [await asyncio.wait_for(engine.settle(run_id), 5) for run_id in ("bad", "good")]
    assert (bad.status, cast("Mapping[str, Json]", bad.problem)["code"]) == (RunStatus.FAULTED, "not-json")
    assert (good.status, good.output) == (RunStatus.COMPLETED, "fine")


async def test_a_dead_writer_fails_whoever_waits() -> None:
    memory = MemoryJournal(SystemClock())

    class Dead(SlowJournal):
        def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
            failed = Written(loop=asyncio.get_running_loop())
            failed.set_exception(BugError("journal-stopped", "The writer died."))
            return failed

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call("/do/0/a#1"))).output

    stage = Stage(functions=(counting(Ledger()),))
    async with stage.engine(cast("Journal", Dead(memory, "")), one) as engine:
        run = await engine.start(new_run("r1"))
        with pytest.raises(BugError, match="writer died"):
            await asyncio.wait_for(engine.settle(run.id), 5)


async def test_a_write_that_fails_for_want_of_space_is_made_good_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.engine._engine.RETRY_STORE_S", 0.01)
    ledger, memory = Ledger(), MemoryJournal(SystemClock())
    full = [True, True]

    class Full(SlowJournal):
        def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
            if not full:
                return memory.write(run_id, epoch, writes)
            full.pop()
            failed = Written(loop=asyncio.get_running_loop())
            failed.set_exception(TransientError("disk-full", "There is no space left."))
            return failed

    async def one(_: Run, effects: Effects) -> Datum:
        return (await effects.invoke(call("/do/0/a#1", value="kept"))).output

    run = await finish(Stage(functions=(counting(ledger),)), cast("Journal", Full(memory, "")), one)
    assert (run.status, run.output) == (RunStatus.COMPLETED, "kept")


# --- rule 7 ---


async def test_a_failure_is_an_outcome_and_is_not_tried_again_on_recovery() -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())

    async def fail(_: object, context: LeafContext) -> Outcome:
        ledger.note("fail", context)
        raise UserError("no-such-invoice", "There is no such invoice.")

    stage = Stage(functions=(Scripted(name="fail", act=fail), counting(ledger)))

    async def careful(_: Run, effects: Effects) -> Datum:
        try:
            await effects.invoke(call("/do/0/a#1", "fail"))
        except Faulted as error:
            return (await effects.invoke(call("/do/1/b#1", value=error.problem.code))).output
        return Datum()

    await until_crash(stage, CrashingJournal(journal, at=2), careful)
    assert (await finish(stage, journal, careful)).output == "no-such-invoice"
    assert ledger.calls["fail"] == 1


# --- rule 8 ---


async def test_a_run_that_is_too_long_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.engine._walk.MOST_ENTRIES", 20)

    async def endless(_: Run, effects: Effects) -> Datum:
        for visit in range(100):
            await effects.now(f"/do/0/x#{visit}", "/do/0/x")
        return Datum()

    run = await finish(Stage(), MemoryJournal(SystemClock()), endless)
    assert cast("Mapping[str, Json]", run.problem)["code"] == "run-too-long"


# --- rule 9 ---


async def test_a_pure_task_that_gives_another_result_is_a_divergence() -> None:
    journal = MemoryJournal(SystemClock())
    stage = Stage(functions=(counting(Ledger()),))
    result = "one"

    async def pure(_: Run, effects: Effects) -> Datum:
        effects.trace("/do/0/set#1", "/do/0/set", "set", Datum(result))
        await effects.invoke(call("/do/1/a#1"))
        await effects.invoke(call("/do/2/b#1"))
        return Datum()

    await until_crash(stage, CrashingJournal(journal, at=2), pure)
    assert (await entry_at(journal, "/do/0/set#1")).kind is EntryKind.TRACE
    result = "another"
    assert (await finish(stage, journal, pure)).status is RunStatus.DIVERGED


# --- rule 10 ---


async def test_open_runs_of_unknown_semantics_are_named_and_nothing_starts() -> None:
    journal = MemoryJournal(SystemClock())
    for number in range(7):
        await journal.start(replace(new_run(f"r-old-{number}"), semantics=99))
    with pytest.raises(UserError) as refused:
        async with Stage().engine(journal, cast("Interpret", None)):
            pytest.fail("it started")
    assert "7 begun under semantics 99 (test/test r-old-0, " in refused.value.message
    assert refused.value.message.endswith("test/test r-old-4, ...).")
    assert refused.value.hint is not None
    assert "orchestrion runs cancel" in refused.value.hint


async def test_a_run_of_unknown_semantics_can_be_given_up() -> None:
    """It is not walked for that, so any release may close it."""
    journal = MemoryJournal(SystemClock())
    await journal.start(replace(new_run("r-old"), semantics=99))
    await journal.cancel("r-old", "ana")
    async with Stage().engine(journal, cast("Interpret", None)) as engine:
        engine.advance(replace(new_run("r-old"), semantics=99))
        assert (await asyncio.wait_for(engine.settle("r-old"), 10)).status is RunStatus.CANCELLED


# --- rule 11 ---


async def parent_and_child(run: Run, effects: Effects) -> Datum:
    if run.workflow == "child":
        answer = await effects.ask("/do/0/ask#1", "/do/0/ask", Question(kind="human", title="?"))
        return Datum(f"child of {answer.by}")
    start = ChildStart(namespace="test", name="child", version="1.0.0", input=Datum())
    return await effects.child("/do/0/sub#1", "/do/0/sub", start)


async def test_a_child_has_an_id_of_its_place_and_its_end_wakes_the_parent() -> None:
    journal = MemoryJournal(SystemClock())
    async with Stage(children=frozenset({"child"})).engine(journal, parent_and_child) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.WAITING
        child = derived_id("r1", "/do/0/sub#1")
        (request,) = await journal.requests(status=RequestStatus.OPEN)
        assert request.run_id == child
        await engine.answer(request.id, Answer(verdict="answered", by="ana", at=0))
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).output == "child of ana"
    assert (await entry_at(journal, "/do/0/sub#1")).versions == {"document": "child"}


async def test_cancel_travels_down() -> None:
    journal = MemoryJournal(SystemClock())
    async with Stage(children=frozenset({"child"})).engine(journal, parent_and_child) as engine:
        run = await engine.start(new_run("r1"))
        await engine.settle(run.id)
        await engine.cancel(run.id, "ana")
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).status is RunStatus.CANCELLED
        child = await asyncio.wait_for(engine.settle(derived_id("r1", "/do/0/sub#1")), 5)
    assert child.status is RunStatus.CANCELLED
    (request,) = await journal.requests()
    assert request.status is RequestStatus.WITHDRAWN


async def leaving_a_child(run: Run, effects: Effects) -> Datum:
    if run.workflow == "child":
        return Datum(
            f"child of {(await effects.ask('/do/0/ask#1', '/do/0/ask', Question(kind='human', title='?'))).by}"
        )
    start = ChildStart(namespace="test", name="child", version="1.0.0", input=Datum(), awaited=False)
    await effects.child("/do/0/sub#1", "/do/0/sub", start)
    if run.input == "wait":
        await effects.sleep("/do/1/nap#1", "/do/1/nap", 3600)
    return Datum("done")


async def test_a_child_that_nobody_waits_for_goes_on_when_its_parent_has_ended() -> None:
    journal, child = MemoryJournal(SystemClock()), derived_id("r1", "/do/0/sub#1")
    async with Stage(children=frozenset({"child"})).engine(journal, leaving_a_child) as engine:
        run = await engine.start(new_run("r1"))
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).output == "done"
        assert (await asyncio.wait_for(engine.settle(child), 5)).status is RunStatus.WAITING
        (request,) = await journal.requests(status=RequestStatus.OPEN)
        await engine.answer(request.id, Answer(verdict="answered", by="ana", at=0))
        assert (await asyncio.wait_for(engine.settle(child), 5)).output == "child of ana"


async def test_a_cancel_reaches_the_children_that_nobody_waits_for() -> None:
    journal = MemoryJournal(SystemClock())
    async with Stage(children=frozenset({"child"})).engine(journal, leaving_a_child) as engine:
        run = await engine.start(new_run("r1", value="wait"))
        await engine.settle(run.id)
        await engine.cancel(run.id, "ana")
        assert (await asyncio.wait_for(engine.settle(run.id), 5)).status is RunStatus.CANCELLED
        child = await asyncio.wait_for(engine.settle(derived_id("r1", "/do/0/sub#1")), 5)
    assert child.status is RunStatus.CANCELLED


class SlowClaims:
    """A journal whose claims take until `go` is set."""

    def __init__(self, inner: Journal) -> None:
        self._inner = inner
        self.claims = 0
        self.go = asyncio.Event()
        self.claiming = asyncio.Event()

    async def claim(self, run_id: str) -> History | None:
        self.claims += 1
        self.claiming.set()
        await self.go.wait()
        return await self._inner.claim(run_id)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_a_run_that_is_woken_while_it_is_being_claimed_is_taken_once() -> None:
    """Taken twice, its tree counted as busy for ever, and whoever waited for it waited in vain."""
    slow = SlowClaims(cast("Journal", MemoryJournal(SystemClock())))
    slow.go.set()
    async with Stage(children=frozenset({"child"})).engine(cast("Journal", slow), parent_and_child) as engine:
        await engine.settle((await engine.start(new_run("r1"))).id)
        child = await engine.settle(derived_id("r1", "/do/0/sub#1"))
        slow.go.clear()
        slow.claiming.clear()
        before = slow.claims
        engine.advance(child)
        await slow.claiming.wait()
        engine.advance(child)
        await asyncio.sleep(0)
        assert slow.claims == before + 1
        slow.go.set()
        assert (await asyncio.wait_for(engine.settle("r1"), 5)).status is RunStatus.WAITING


# --- intents without outcome ---


def risky(ledger: Ledger) -> Stage:
    return Stage(functions=(counting(ledger, effect="write", idempotent=False),))


async def letter(_: Run, effects: Effects) -> Datum:
    return (await effects.invoke(call("/do/0/letter#1", value="dear"))).output


@pytest.mark.parametrize(
    ("verdict", "output", "performed"), [("again", "dear", 2), ("performed", "said ana", 1), ("failed", None, 1)]
)
async def test_an_interrupted_effect_is_a_persons_decision(verdict: str, output: Json, performed: int) -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())
    await until_crash(risky(ledger), CrashingJournal(journal, at=2), letter)
    assert ledger.calls["act"] == 1
    async with risky(ledger).engine(journal, letter) as engine:
        run = await engine.start(new_run("r1"))
        assert (await engine.settle(run.id)).status is RunStatus.WAITING
        (request,) = await journal.requests(status=RequestStatus.OPEN)
        assert (request.question.kind, ledger.calls["act"]) == ("interrupted", 1)
        answer = Answer(verdict=verdict, by="ana", at=0, value=Datum("said ana"))  # pyright: ignore[reportArgumentType] parametrised
        await engine.answer(request.id, answer)
        run = await asyncio.wait_for(engine.settle(run.id), 5)
    assert (run.output, ledger.calls["act"]) == (output, performed)
    assert run.status is (RunStatus.FAULTED if verdict == "failed" else RunStatus.COMPLETED)


async def test_an_interrupted_effect_may_be_caught() -> None:
    ledger, journal = Ledger(), MemoryJournal(SystemClock())

    async def catching(_: Run, effects: Effects) -> Datum:
        try:
            return (await effects.invoke(replace(call("/do/0/letter#1"), catches_interrupted=True))).output
        except Faulted as error:
            return Datum(error.problem.code)

    await until_crash(risky(ledger), CrashingJournal(journal, at=2), catching)
    assert (await finish(risky(ledger), journal, catching)).output == "interrupted"
    assert ledger.calls["act"] == 1


async def test_again_counts_for_one_interruption_only() -> None:
    """Killed a second time while repeating: the first "again" does not permit a third performance."""
    ledger, journal = Ledger(), MemoryJournal(SystemClock())
    await until_crash(risky(ledger), CrashingJournal(journal, at=2), letter)

    async def answer_again(engine: Engine, on: Journal) -> None:
        await engine.start(new_run("r1"))
        await engine.settle("r1")
        (request,) = await on.requests(status=RequestStatus.OPEN)
        await engine.answer(request.id, Answer(verdict="again", by="ana", at=0))

    dying = CrashingJournal(journal, at=3)
    async with risky(ledger).engine(dying.journal, letter) as engine:
        await answer_again(engine, dying.journal)
        await asyncio.wait_for(dying.crashed.wait(), 5)
        await dying.bury(engine)
    assert ledger.calls["act"] == 2
    async with risky(ledger).engine(journal, letter) as engine:
        await engine.start(new_run("r1"))
        assert (await engine.settle("r1")).status is RunStatus.WAITING
        (request,) = await journal.requests(status=RequestStatus.OPEN)
    assert (request.question.kind, ledger.calls["act"]) == ("interrupted", 2)


def test_problems_survive_a_json_round_trip() -> None:
    problem = UserError("x", "what", hint="how").problem
    assert Problem.model_validate(problem.to_json()) == problem
