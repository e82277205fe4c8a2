"""One project asks another one, over MCP and over A2A, with nothing else between them."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, open_app
from orchestrion.core import Answer, Datum, RequestStatus, Run, RunFilter, RunStatus
from orchestrion.testing import World, served

pytestmark = pytest.mark.anyio

SETTINGS = """
name: caller
egress: { allow: ['127.0.0.1'] }
secrets: { bank: { file: secrets/bank.json } }
mcp:
  bank: { url: BANK/mcp, authentication: { bearer: { use: bank } }, trust: true }
"""
TOOL = """
document: { dsl: '1.0.3', namespace: test, name: tool, version: '1.0.0' }
do: [{ greet: { call: 'mcp:1.0.0@default', with: { server: bank, method: tools/call, parameters: { name: examples_hello, arguments: { name: Ana } } } } }]
"""
LOOK = """
document: { dsl: '1.0.3', namespace: test, name: look, version: '1.0.0' }
do: [{ look: { call: 'mcp:1.0.0@default', with: { server: bank, method: resources/list } } }]
"""
AGENT = """
name: desk
input: { type: object, required: [message], properties: { message: { type: string } } }
tools: [{ mcp: { server: bank, include: [examples_hello] } }]
playbook:
  rules:
    - { name: greet, when: { says: Ana }, call: examples_hello, arguments: { name: Ana } }
    - { name: say, when: { done: examples_hello }, answer: { reply: 'They say: {tools.examples_hello.greeting}' } }
    - { name: rest, answer: { reply: Sorry. } }
"""
TASK = """
document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0' }}
use: {{ secrets: [bank] }}
do:
  - send:
      call: a2a
      with:
        method: {method}
        agentCard:
          endpoint: {{ uri: 'BANK/a2a/examples/{whom}', authentication: {{ bearer: {{ use: bank }} }} }}
        parameters: {{ message: {{ role: user, parts: [{{ data: {{ name: Ana }} }}] }} }}
"""
ANSWER = """
document: { dsl: '1.0.3', namespace: test, name: answer, version: '1.0.0' }
use: { secrets: [bank], authentications: { bank: { bearer: { use: bank } } } }
do:
  - send:
      try:
        - ask:
            call: a2a
            with:
              method: message/send
              agentCard: { endpoint: { uri: 'BANK/a2a/examples/ask', authentication: { bearer: { use: bank } } } }
              parameters: { message: { role: user, parts: [{ data: {} }] } }
      catch:
        as: asked
        do:
          - reply:
              call: a2a
              with:
                method: message/send
                agentCard: { endpoint: { uri: 'BANK/a2a/examples/ask', authentication: { bearer: { use: bank } } } }
                parameters:
                  message:
                    role: user
                    taskId: '${ $asked.taskId }'
                    contextId: '${ $asked.contextId }'
                    parts: [{ data: { count: 3 } }]
"""
FILES = {
    "orchestrion.yaml": SETTINGS,
    "workflows/tool.yaml": TOOL,
    "workflows/look.yaml": LOOK,
    "workflows/sent.yaml": TASK.format(name="sent", method="message/send", whom="hello"),
    "workflows/streamed.yaml": TASK.format(name="streamed", method="message/stream", whom="hello"),
    "workflows/waits.yaml": TASK.format(name="waits", method="message/send", whom="ask"),
    "workflows/answer.yaml": ANSWER,
    "agents/desk.yaml": AGENT,
    "policies/all.cedar": "permit (principal, action, resource);\n",
}


@asynccontextmanager
async def two(folder: Path, role: str = "admin") -> AsyncGenerator[tuple[App, World]]:
    """A project that calls, and the one it calls."""
    async with served(folder / "bank") as bank:
        secret = json.dumps({"token": bank.tokens[role]})
        for name, text in {**FILES, "secrets/bank.json": secret}.items():
            path = folder / "caller" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("BANK", bank.url))
        async with open_app(folder / "caller") as app:
            yield app, bank


async def ran(app: App, name: str, value: Any = None) -> Run:
    run = await app.start(app.checked.shelf.named(name), value or {})
    return await app.engine.settle(run.id)


async def test_workflows_and_agents_use_the_tools_of_another_project(tmp_path: Path) -> None:
    async with two(tmp_path) as (app, bank):
        run = await ran(app, "tool")
        assert run.status is RunStatus.COMPLETED, run.problem
        assert cast("Any", run.output)["structuredContent"] == {"greeting": "Hello, Ana."}
        talk = await ran(app, "agents/desk", {"input": {"message": "Greet Ana"}})
        assert (talk.status, talk.output) == (RunStatus.COMPLETED, {"reply": "They say: Hello, Ana."})
        there = await bank.app.journal.runs(RunFilter())
        assert [(each.workflow, each.subject) for each in there] == [("hello", "admin")] * 2
        looked = await ran(app, "look")
        assert {each["uri"] for each in cast("Any", looked.output)["resources"]} == {
            f"orchestrion://runs/{each.id}" for each in there
        }


async def test_a_right_that_is_missing_there_is_a_failure_here(tmp_path: Path) -> None:
    async with two(tmp_path, "viewer") as (app, bank):
        for name, code in (("tool", "unknown-tool"), ("sent", "a2a-unauthorized"), ("streamed", "a2a-unauthorized")):
            run = await ran(app, name)
            assert cast("Any", run.problem)["code"] == code
        assert await bank.app.journal.runs(RunFilter()) == []


@pytest.mark.parametrize("name", ["sent", "streamed"])
async def test_a_workflow_gives_work_to_another_project(tmp_path: Path, name: str) -> None:
    async with two(tmp_path) as (app, bank):
        run = await ran(app, name)
        assert run.status is RunStatus.COMPLETED, run.problem
        (there,) = await bank.app.journal.runs(RunFilter())
        task = cast("Any", run.output)
        assert (task["kind"], task["id"]) == ("task", there.id)
        assert task["artifacts"][0]["parts"] == [{"data": {"greeting": "Hello, Ana."}}]


async def test_a_question_of_another_project_is_answered(tmp_path: Path) -> None:
    async with two(tmp_path) as (app, bank):
        run = await ran(app, "answer")
        assert run.status is RunStatus.COMPLETED, run.problem
        (there,) = await bank.app.journal.runs(RunFilter())
        assert (there.status, there.output) == (RunStatus.COMPLETED, {"counted": 3})


async def test_work_that_waits_for_a_person_there_says_so_here(tmp_path: Path) -> None:
    async with two(tmp_path, "operator") as (app, bank):
        run = await ran(app, "waits")
        problem = cast("Any", run.problem)
        assert (problem["code"], problem["state"]) == ("a2a-input-required", "auth-required")
        assert problem["said"] == "How many?"
        (request,) = await bank.app.journal.requests(status=RequestStatus.OPEN)
        assert problem["taskId"] == request.run_id
        said = Answer(verdict="answered", by="lea", at=bank.app.clock.now(), value=Datum({"count": 2}))
        await bank.app.answer(request, said)
        assert await bank.settled(request.run_id) == "completed"


def test_a_server_begins_without_what_the_protocols_bring() -> None:
    program = (
        "import sys; import orchestrion.server; "
        "print([name for name in ('a2a', 'google.protobuf', 'mcp', 'mcp_types', 'sse_starlette') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
