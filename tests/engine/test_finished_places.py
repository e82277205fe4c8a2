"""What is finished is not loaded again, whatever a workflow is made of: the same ending for every moment of death."""

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.core import (
    Cost,
    Datum,
    EntryKind,
    Finished,
    FinishedPlaces,
    Json,
    LeafContext,
    Outcome,
    Run,
    RunStatus,
    SystemClock,
    dump,
)
from orchestrion.engine import Engine, Interpret
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.testing import CrashingJournal, Moment, Scripted, Stage, interpreting, read_document, run_of

HEAD: Mapping[str, Json] = {"dsl": "1.0.3", "namespace": "test", "name": "nested", "version": "1.0.0"}


def call(what: str) -> Json:
    return {"call": "act:1.0.0@default", "with": {"what": what}}


def wrapped(kind: str, number: int, inner: Json) -> Json:
    """A task of a kind around another."""
    name = f"{kind}{number}"
    match kind:
        case "for":
            return {
                "for": {"each": "item", "in": "${ [1, 2] }"},
                "do": [{f"{name}-in": inner}, {f"{name}-then": call(name)}],
            }
        case "fork":
            return {"fork": {"branches": [{f"{name}-left": inner}, {f"{name}-right": call(name)}]}}
        case "try":
            return {
                "try": [{f"{name}-in": inner}, {f"{name}-more": call(name)}],
                "catch": {"retry": {"delay": {"milliseconds": 1}, "limit": {"attempt": {"count": 3}}}},
            }
        case "jump":
            again: Json = {"when": "${ .n < 2 }", "then": f"{name}-body"}
            count = {"set": {"n": '${ ((.n // 0) | if type == "number" then . else 0 end) + 1 }'}}
            body = [
                {f"{name}-body": inner},
                {f"{name}-count": {**count, "input": {"from": "${ $context // {} }"}, "export": {"as": "${ . }"}}},
                {f"{name}-again": {"switch": [{"more": again}]}},
            ]
            return {"do": body}
        case _:
            return {"do": [{f"{name}-first": call(name)}, {f"{name}-in": inner}], "timeout": {"after": {"minutes": 5}}}


IN_FLIGHT = 2
"""Calls that a death may find without an outcome: one in each branch."""
WHOLE = {"usd_micros": 500, "input_tokens": 100, "output_tokens": 0}
KINDS = st.lists(st.sampled_from(["for", "fork", "try", "jump", "do"]), min_size=1, max_size=3)


class World:
    """What was done, by the key under which it is idempotent."""

    def __init__(self) -> None:
        self.keys: dict[str, set[str]] = {}
        self.calls = 0

    async def act(self, arguments: Mapping[str, Json], context: LeafContext) -> Outcome:
        what = str(arguments["what"])
        self.calls += 1
        self.keys.setdefault(what, set()).add(context.idempotency_key)
        return Outcome(output=Datum({"n": 0, "what": what}))

    def stage(self) -> Stage:
        return Stage(functions=(Scripted(name="act", act=self.act, effect="write"),))


async def ended(engine: Engine, run: Run) -> Run:
    return await engine.settle((await engine.start(run)).id)


async def play(interpret: Interpret, run: Run, at: int, moment: Moment) -> tuple[Run, World, MemoryJournal, bool]:
    world, memory = World(), MemoryJournal(SystemClock())
    dying = CrashingJournal(memory, at=at, moment=moment)
    async with world.stage().engine(dying.journal, interpret) as engine:
        playing = asyncio.ensure_future(ended(engine, run))
        crash = asyncio.ensure_future(dying.crashed.wait())
        await asyncio.wait([playing, crash], return_when=asyncio.FIRST_COMPLETED)
        if not dying.crashed.is_set():
            crash.cancel()
            return await playing, world, memory, False
        playing.cancel()
        await dying.bury(engine)
    async with world.stage().engine(memory, interpret) as engine:
        return await asyncio.wait_for(ended(engine, run), 10), world, memory, True


async def same_for_every_death(kinds: list[str], moment: Moment) -> None:
    task: Json = call("innermost")
    for number, kind in enumerate(kinds):
        task = wrapped(kind, number, task)
    document = read_document(dump({"document": HEAD, "do": [{"outer": task}, {"last": call("last")}]}))
    run = run_of(document, {}, "r1")
    async with Expressions() as expressions:
        interpret = interpreting({document.digest: document}, expressions)
        reference, expected, memory, _ = await play(interpret, run, 1_000_000, moment)
        assert reference.status is RunStatus.COMPLETED, reference.problem
        traced = {entry.key for entry in await memory.entries("r1") if entry.kind is not EntryKind.NOTE}
        at, crashed = 1, True
        while crashed:
            found, world, memory, crashed = await play(interpret, run, at, moment)
            assert (found.status, found.output) == (RunStatus.COMPLETED, reference.output), f"{kinds}, write {at}"
            assert world.keys == expected.keys, f"{kinds}, write {at}"
            assert world.calls <= expected.calls + IN_FLIGHT, f"{kinds}, write {at}"
            assert {entry.key for entry in await memory.entries("r1") if entry.kind is not EntryKind.NOTE} == traced
            at += 1


@pytest.fixture(autouse=True)
def _forget_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.engine._walk.SWEEP_AFTER", 1)


@pytest.mark.parametrize("kind", ["for", "fork", "try", "jump", "do"])
@pytest.mark.anyio
async def test_the_same_ending_for_every_moment_of_death(kind: str) -> None:
    await same_for_every_death([kind, "for"], "before")


@pytest.mark.soak
@settings(max_examples=60, deadline=None)
@given(kinds=KINDS, moment=st.sampled_from(["before", "after"]))
def test_whatever_stands_in_whatever(kinds: list[str], moment: Moment) -> None:
    asyncio.run(same_for_every_death(kinds, moment))


STEPS = st.sampled_from(["/do", "/0/a#1", "/0/a#2", "/1/b#1", "/for", "/10", "/1", "~1", "!late", "/done"])
KEYS = st.lists(STEPS, min_size=1, max_size=5).map("".join)


@given(
    keys=st.lists(KEYS, max_size=30),
    said=st.dictionaries(KEYS, st.tuples(st.lists(KEYS, max_size=2), st.lists(KEYS, max_size=2)), max_size=4),
)
def test_the_order_of_questions_changes_no_answer(
    keys: list[str], said: dict[str, tuple[list[str], list[str]]]
) -> None:
    """What is remembered from the key before is only a short cut."""
    finished = {scope: Finished(under=under, live=live) for scope, (under, live) in said.items()}
    together = FinishedPlaces(finished)
    for key in sorted([*keys, *said]):
        assert (key in together) == (key in FinishedPlaces(finished)), key


@pytest.mark.anyio
async def test_the_cost_of_what_left_memory_still_counts() -> None:
    """Also after a death, when only the journal knows it."""
    document = read_document(
        dump(
            {
                "document": HEAD,
                "do": [{"all": {"for": {"each": "n", "in": "${ .items }"}, "do": [{"ask": call("model")}]}}],
            }
        )
    )

    async def act(_: Mapping[str, Json], __: LeafContext) -> Outcome:
        return Outcome(output=Datum(1), cost=Cost(usd_micros=10, input_tokens=2))

    stage = Stage(functions=(Scripted(name="act", act=act, effect="write"),))
    async with Expressions() as expressions:
        interpret = interpreting({document.digest: document}, expressions)
        for at in (1_000_000, 60):
            memory = MemoryJournal(SystemClock())
            dying = CrashingJournal(memory, at=at)
            run = run_of(document, {"items": list(range(50))}, "r1")
            async with stage.engine(dying.journal, interpret) as engine:
                await engine.start(run)
                if at == 60:
                    await dying.crashed.wait()
                    await dying.bury(engine)
                else:
                    assert (await engine.settle("r1")).cost == WHOLE
            async with stage.engine(memory, interpret) as engine:
                assert (await ended(engine, run)).cost == WHOLE
