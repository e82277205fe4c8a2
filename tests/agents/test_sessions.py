"""Sessions: what was said comes back in a later run, once, whole, and only until it is deleted."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from orchestrion.agents import AgentDefinition, Session, Sessions, run_agent
from orchestrion.agents._history import kept, loaded, stored, trimmed
from orchestrion.agents._sessions import TURNS, Place, Turn
from orchestrion.core import Datum, Invocation, Json, LeafContext, Outcome, SystemClock, TransientError, UserError, dump
from orchestrion.journal import DurableJournal
from orchestrion.models import Models, ModelSettings, parse_playbook
from orchestrion.store import Store
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets, ProcessDied
from orchestrion.testing.journal_suite import HandClock, a_run
from orchestrion.testing.openai_server import Behaviour, Calls, OpenAIServer, Says

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
AT = Invocation(key="/do/0/help#1~1", task="/do/0/help", function="agent:1.0.0", arguments=Datum({}))
LOOK: Json = {"name": "look", "labels": ["pii"], "query": {"connection": "bank", "statement": "select 1"}}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'runs.db'}"
    return str(request.getfixturevalue("postgresql"))


@asynccontextmanager
async def kept_at(url: str, folder: Path) -> AsyncGenerator[tuple[Sessions, DurableJournal]]:
    store = Store.open(url, mode="own", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, CLOCK)
    sessions = Sessions()
    sessions.open(journal, CLOCK)
    try:
        yield sessions, journal
    finally:
        await journal.close()
        store.close()


def place(run_id: str = "run-1", key: str = "/do/0/help#1~1") -> Place:
    return Place(name="C-1042", agent="desk", run_id=run_id, key=key)


def said(text: str) -> Turn:
    messages = stored([ModelRequest(parts=[UserPromptPart(text)]), ModelResponse(parts=[TextPart("yes")])])
    return Turn(messages=messages, labels=frozenset({"pii"}))


async def test_what_was_said_is_added_once_and_bounded(url: str, tmp_path: Path) -> None:
    async with kept_at(url, tmp_path) as (sessions, _):
        for number in range(TURNS + 3):
            at = place(f"run-{number}")
            found = await sessions.begin(at)
            assert await sessions.begin(at) == found
            await sessions.end(at, said(f"message {number}"))
            await sessions.end(at, said("the same, again"))
        found = await sessions.begin(place("last"))
        assert len(found) == TURNS
        assert "message 3" in str(found[0].messages)
        assert found[0].labels == {"pii"}
        assert "again" not in str(found)
        [listed] = await sessions.listed(10)
        assert (listed.name, listed.turns, listed.held_by) == ("C-1042", TURNS, "last")


async def test_it_belongs_to_one_engagement_at_a_time(url: str, tmp_path: Path) -> None:
    async with kept_at(url, tmp_path) as (sessions, journal):
        run = a_run("run-1", HandClock())
        await journal.start(run)
        await sessions.begin(place(run.id))
        with pytest.raises(TransientError) as caught:
            await sessions.begin(place("another"))
        assert caught.value.code == "session-busy"
        assert run.id in caught.value.message
        await sessions.end(place(run.id), None)
        assert await sessions.begin(place("another")) == []


async def test_an_attempt_takes_over_from_one_whose_time_was_up(url: str, tmp_path: Path) -> None:
    async with kept_at(url, tmp_path) as (sessions, journal):
        run = a_run("run-1", HandClock())
        await journal.start(run)
        await sessions.begin(place(run.id, "/do/0/help#1~1"))
        assert await sessions.begin(place(run.id, "/do/0/help#1~2")) == []
        await sessions.end(place(run.id, "/do/0/help#1~2"), said("the second attempt"))
        [turn] = await sessions.begin(place("another"))
        assert "second" in str(turn.messages)


async def test_a_run_that_is_gone_holds_nothing(url: str, tmp_path: Path) -> None:
    async with kept_at(url, tmp_path) as (sessions, _):
        await sessions.begin(place("never stored"))
        assert await sessions.begin(place("another")) == []


async def test_what_is_deleted_does_not_come_back(url: str, tmp_path: Path) -> None:
    async with kept_at(url, tmp_path) as (sessions, _):
        await sessions.begin(place("one"))
        await sessions.end(place("one"), said("forget me"))
        await sessions.begin(place("two"))
        assert await sessions.deleted("C-1042") == 1
        await sessions.end(place("two"), said("too late"))
        assert await sessions.shown("C-1042") == []
        assert await sessions.begin(place("three")) == []


async def test_nothing_is_continued_where_nothing_is_kept() -> None:
    with pytest.raises(UserError) as caught:
        await Sessions().begin(place())
    assert caught.value.code == "session-unkept"


# --- an agent in a session ---


async def bank(invocation: Invocation, context: LeafContext) -> Outcome:
    return Outcome(output=Datum({"rows": []}))


async def engage(
    server: OpenAIServer, sessions: Sessions, effects: FakeEffects, message: str, *, at: Invocation = AT
) -> Outcome:
    definition = AgentDefinition.model_validate({"name": "desk", "model": ["m"], "tools": [LOOK]})
    async with httpx2.AsyncClient(timeout=10) as client:
        models = Models(
            {"m": ModelSettings(provider="openai:gpt-4o-mini", base_url=server.base_url)},
            http=lambda: client,
            secrets=NoSecrets(),
            playbooks={},
        )
        given: Json = {"message": message}
        session = Session(name="C-1042", sessions=sessions)
        return await run_agent(definition, Datum(given), at, effects, models=models, clock=CLOCK, session=session)


def at(number: int) -> Invocation:
    return AT.at(f"/do/0/help#{number}~1")


SCRIPT: list[Behaviour] = [
    Calls([("look", {})]),
    Says("Your card is blocked."),
    Calls([("look", {})]),
    Says("Since May."),
]


async def test_an_agent_remembers_with_labels_and_unique_ids(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    async with OpenAIServer(SCRIPT) as server:
        async with kept_at(url, tmp_path) as (sessions, _):
            await engage(server, sessions, FakeEffects(leaves={"query:1.0.0": bank}), "What is it?", at=at(1))
        async with kept_at(url, tmp_path) as (sessions, _):
            effects = FakeEffects(leaves={"query:1.0.0": bank})
            outcome = await engage(server, sessions, effects, "Since when?", at=at(2))
            [turn, _] = await sessions.shown("C-1042")
    assert outcome.output.value == {"reply": "Since May."}
    assert "pii" in outcome.output.labels[""]
    assert turn.labels == ["pii"]
    sent = cast("list[dict[str, Any]]", server.requests[3]["messages"])
    assert [message["role"] for message in sent] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]
    ids = [call["id"] for message in sent for call in message.get("tool_calls") or ()]
    assert len(set(ids)) == 2
    assert "What is it?" in json.dumps(sent)


async def test_killed_after_each_write_it_is_remembered_once(tmp_path: Path) -> None:
    died = 0
    for death in range(1, 10):
        folder = tmp_path / str(death)
        folder.mkdir()
        url = f"sqlite:///{folder / 'runs.db'}"
        async with OpenAIServer(SCRIPT[:2]) as server, kept_at(url, folder) as (sessions, _):
            effects = FakeEffects(leaves={"query:1.0.0": bank}, die_after=death)
            try:
                await engage(server, sessions, effects, "What is it?")
            except ProcessDied:
                died += 1
                await engage(server, sessions, effects.next_life(), "What is it?")
            assert len(await sessions.shown("C-1042")) == 1
            assert len(server.requests) == 2
            assert [each.held_by for each in await sessions.listed(1)] == [None]
    assert died >= 4


async def test_rules_see_the_last_turn_alone(tmp_path: Path) -> None:
    rules = {"rules": [{"name": "a", "when": {"says": "card"}, "answer": "Card."}, {"name": "b", "answer": "What?"}]}
    definition = AgentDefinition.model_validate({"name": "desk", "playbook": parse_playbook(rules, name="desk")})
    models = Models({}, http=cast("Any", None), secrets=NoSecrets(), playbooks={})
    async with kept_at(f"sqlite:///{tmp_path / 'runs.db'}", tmp_path) as (sessions, _):
        answers: list[Json] = []
        for number, message in enumerate(["my card", "thanks"]):
            session = Session(name="C-1042", sessions=sessions)
            given: Json = {"message": message}
            outcome = await run_agent(
                definition, Datum(given), at(number), FakeEffects(), models=models, clock=CLOCK, session=session
            )
            answers.append(outcome.output.value)
    assert answers == [{"reply": "Card."}, {"reply": "What?"}]


# --- trimming ---


@st.composite
def turns(draw: st.DrawFn) -> list[ModelMessage]:
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(draw(st.text(max_size=200)))])]
    for step in range(draw(st.integers(0, 4))):
        names = [f"{step}-{number}-{draw(st.integers(0, 9))}" for number in range(draw(st.integers(1, 3)))]
        messages.append(ModelResponse(parts=[ToolCallPart("look", {}, tool_call_id=name) for name in names]))
        results = [ToolReturnPart("look", draw(st.text(max_size=200)), tool_call_id=name) for name in names]
        messages.append(ModelRequest(parts=list(results)))
    messages.append(ModelResponse(parts=[TextPart(draw(st.text(min_size=1, max_size=200)))]))
    return messages


@given(st.lists(turns(), max_size=6), st.integers(0, 6000), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_trimming_never_parts_a_call_from_its_result(
    conversation: list[list[ModelMessage]], characters: int, count: int
) -> None:
    rows = [kept(turn, "answer", characters) for turn in conversation]
    shown = trimmed(rows, characters, count)
    assert len(dump(shown)) <= characters + 2 or shown == []
    waiting: list[str] = []
    for message in loaded(shown):
        if isinstance(message, ModelResponse):
            assert not waiting
            waiting = [part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)]
        else:
            returned = [part.tool_call_id for part in message.parts if isinstance(part, ToolReturnPart)]
            assert returned == waiting
            waiting = []
    assert not waiting
    if shown:
        assert isinstance(loaded(shown)[0], ModelRequest)
        assert rows[-1] == shown[-len(rows[-1]) :]
