"""The conversation of a customer with a team: it goes on over several runs, whoever answers, and belongs to one run at a time."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.agents import Sessions, SessionTurn
from orchestrion.app import App, open_app
from orchestrion.core import Answer, Entry, RequestStatus, Run, RunStatus, SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.testing.openai_server import Calls, OpenAIServer, Says

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": "roles: [lead]\negress: { allow: ['127.0.0.1'] }\nmodels: { writer: { provider: openai:test, base_url: URL } }\n",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do:
  - ask:
      call: team:1.0.0@default
      with: { team: service, session: '${ .customer }', input: { message: '${ .message }', card: '4111' } }
""",
    "workflows/pay.yaml": """
document: { dsl: '1.0.3', namespace: test, name: pay, version: '1.0.0' }
do:
  - paid: { set: { paid: true } }
""",
    "teams/service.yaml": "name: service\npattern: handoff\nlead: triage\nmembers: [billing, writer]\n",
    "agents/triage.yaml": """
name: triage
input: { type: object, properties: { message: { type: string } } }
playbook:
  rules:
    - { name: money, when: { says: refund }, engage: billing }
    - { name: letters, when: { says: letter }, engage: writer }
    - { name: rest, answer: Hello. }
""",
    "agents/billing.yaml": """
name: billing
asks: true
input: { type: object, properties: { message: { type: string }, card: { type: string } } }
tools:
  - { name: pay, description: Pays., workflow: { namespace: test, name: pay, version: '1.0.0' } }
playbook:
  rules:
    - { name: which, when: { not: { says: [hotel, train] } }, ask: 'Which charge, the hotel or the train?' }
    - { name: pay, call: pay }
    - { name: paid, when: { done: pay }, answer: Paid. }
    - { name: rest, answer: Not paid. }
""",
    "agents/writer.yaml": """
name: writer
model: writer
input: { type: object, properties: { message: { type: string } } }
""",
    "policies/all.cedar": """
permit (principal is Workflow, action, resource);
permit (principal is Agent, action in [Action::"model", Action::"session", Action::"engage"], resource);
permit (principal == Agent::"billing", action == Action::"pay", resource) when { context has approval };
""",
}


@asynccontextmanager
async def opened(folder: Path, url: str = "http://127.0.0.1:1") -> AsyncGenerator[App]:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("URL", url))
    async with open_app(folder) as app:
        yield app


async def ask(app: App, message: str, customer: str = "C-1") -> Run:
    run = await app.start(app.checked.shelf.named("ask"), {"message": message, "customer": customer})
    return await app.engine.settle(run.id)


async def approve(app: App, run: Run) -> Run:
    (request,) = await app.journal.requests(status=RequestStatus.OPEN)
    await app.engine.answer(request.id, Answer(verdict="approved", by="ana", at=SystemClock().now()))
    return await app.engine.settle(run.id)


def told(run: Run) -> tuple[str, str]:
    """Who answered, and what."""
    assert run.status is RunStatus.COMPLETED, run.problem
    output = cast("Mapping[str, Any]", run.output)
    return output["by"], output["result"]["reply"]


def sessions(app: App) -> Sessions:
    found = Sessions()
    found.open(cast("DurableJournal", app.journal), SystemClock())
    return found


def said(turn: SessionTurn) -> str:
    return json.dumps(list(turn.messages))


async def test_it_goes_on_over_runs_and_restarts_whoever_answers(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        assert told(await ask(app, "I want a refund")) == ("billing", "Which charge, the hotel or the train?")
    async with opened(tmp_path) as app:
        waiting = await ask(app, "the hotel")
        assert waiting.status is RunStatus.WAITING
        assert told(await approve(app, waiting)) == ("billing", "Paid.")
        assert told(await ask(app, "the hotel")) == ("triage", "Hello.")
        assert told(await ask(app, "the hotel", "C-2")) == ("triage", "Hello.")
        turns = await sessions(app).shown("C-1")
        assert [(turn.agent, turn.number) for turn in turns] == [("service", 1), ("service", 2), ("service", 3)]
        assert [each.held_by for each in await sessions(app).listed(9)] == [None, None]


async def test_a_member_sees_of_it_what_its_own_file_declares_and_none_of_the_others_tools(tmp_path: Path) -> None:
    async with OpenAIServer([Says("Dear Ana.")]) as server, opened(tmp_path, server.base_url) as app:
        await approve(app, await ask(app, "refund the hotel"))
        run = await ask(app, "now write a letter")
        assert told(run) == ("writer", "Dear Ana.")
        entries = await app.journal.entries(run.id)
        (turn, _) = await sessions(app).shown("C-1")
    sent = cast("list[Mapping[str, Any]]", server.requests[0]["messages"])
    assert [each["role"] for each in sent] == ["user", "assistant", "user"]
    assert ("refund the hotel" in str(sent[0]), "Paid." in str(sent[1])) == (True, True)
    assert "4111" in said(turn)
    assert "4111" not in json.dumps(sent)
    assert steps(entries, "begin") == ["Agent::triage", "Agent::writer"]
    assert steps(entries, "end") == ["Agent::writer"]
    assert "4111" not in str([entry.output for entry in entries if entry.key.endswith("/session/begin")])


def steps(entries: Sequence[Entry], step: str) -> list[str | None]:
    """Who took that step of the session."""
    return [entry.subject for entry in entries if entry.key.endswith(f"/session/{step}")]


async def test_a_second_message_while_a_person_is_asked_says_so_at_once_and_is_not_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        first = await ask(app, "refund the train")
        assert first.status is RunStatus.WAITING
        second = await ask(app, "and a refund for the hotel")
        problem = cast("Mapping[str, Any]", second.problem)
        assert (second.status, problem["code"]) == (RunStatus.FAULTED, "session-busy")
        assert f"in use by the run {first.id}, which is waiting" in problem["detail"]
        assert f"orchestrion runs retry {second.id}" in problem["hint"]
        assert told(await ask(app, "hello", "C-2")) == ("triage", "Hello.")
    async with opened(tmp_path) as app:
        assert told(await approve(app, first)) == ("billing", "Paid.")
        again = await app.engine.settle((await app.engine.retry(second.id, "ana")).id)
        assert told(await approve(app, again)) == ("billing", "Paid.")
        turns = await sessions(app).shown("C-1")
        assert ["train" in said(turn) for turn in turns] == [True, False]
        assert "for the hotel" in said(turns[1])


async def test_what_is_deleted_is_forgotten_by_every_member(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        await ask(app, "I want a refund")
        assert await sessions(app).deleted("C-1") == 1
        assert told(await ask(app, "the hotel")) == ("triage", "Hello.")
        assert len(await sessions(app).shown("C-1")) == 1


async def test_a_hand_over_that_fails_leaves_the_conversation_to_whoever_had_the_task(tmp_path: Path) -> None:
    calls = [Calls([("nothing", {})])] * 6
    async with OpenAIServer(calls) as server, opened(tmp_path, server.base_url) as app:
        run = await ask(app, "write a letter")
        assert told(run) == ("triage", "Hello.")
        entries = await app.journal.entries(run.id)
        assert (steps(entries, "end"), steps(entries, "give-up")) == (["Agent::triage"], [])
        (turn,) = await sessions(app).shown("C-1")
        assert "Hello." in said(turn)
        assert [each.held_by for each in await sessions(app).listed(9)] == [None]
