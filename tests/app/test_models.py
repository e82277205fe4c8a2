"""A project whose agents ask language models over the network: limits, costs, sessions, and every trouble a model makes."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, costs, open_app, open_rooms, try_model, waiting_for_models
from orchestrion.core import Json, Run, RunStatus, SystemClock
from orchestrion.testing.openai_server import (
    Behaviour,
    Calls,
    Dribbles,
    Drops,
    Hangs,
    OpenAIServer,
    Raw,
    Refuses,
    Says,
    Silent,
    Status,
)

pytestmark = pytest.mark.anyio

SETTINGS = """
egress: { allow: ['127.0.0.1'] }
models:
  desk:
    provider: openai:test
    base_url: URL
    timeout: 0.5
    region: eu
    price: { input: 1, output: 2 }
    limits: { concurrency: 1, requests_per_minute: 1000 }
"""
WORKFLOW = """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do:
  - ask:
      call: agent:1.0.0@default
      with: { agent: desk, session: '${ .customer }', input: { message: '${ .message }' } }
"""
AGENT = """
name: desk
model: MODEL
limits: { turns: 4 }
tools:
  - name: look
    description: Looks something up.
    parameters: { type: object, required: [day], properties: { day: { type: string } }, additionalProperties: false }
    workflow: { namespace: test, name: look, version: '1.0.0' }
playbook: { rules: [{ name: always, answer: By rule. }] }
"""
LOOK = """
document: { dsl: '1.0.3', namespace: test, name: look, version: '1.0.0' }
do:
  - found: { set: { found: true } }
"""
POLICY = """
permit (principal is Workflow, action, resource);
permit (principal is Agent, action == Action::"model", resource);
forbid (principal, action == Action::"model", resource)
when { context.arguments has region && context.arguments.region != "eu" };
permit (principal is Agent, action in [Action::"session", Action::"look"], resource);
"""


def write(folder: Path, url: str, model: str = "desk", settings: str = SETTINGS) -> None:
    files = {
        "orchestrion.yaml": settings.replace("URL", url),
        "workflows/ask.yaml": WORKFLOW,
        "workflows/look.yaml": LOOK,
        "agents/desk.yaml": AGENT.replace("MODEL", model),
        "policies/all.cedar": POLICY,
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@asynccontextmanager
async def project(
    folder: Path, script: Sequence[Behaviour], model: str = "desk"
) -> AsyncGenerator[tuple[App, OpenAIServer]]:
    async with OpenAIServer(script) as server:
        write(folder, server.base_url, model)
        async with open_app(folder) as app:
            yield app, server


async def start(app: App, message: str = "hello", customer: str = "C-1") -> Run:
    document = next(each for each in app.checked.shelf.documents if each.name == "ask")
    return await app.start(document, {"message": message, "customer": customer}, subject="ana")


async def ask(app: App, message: str = "hello", customer: str = "C-1") -> Run:
    return await app.engine.settle((await start(app, message, customer)).id)


TROUBLES: Mapping[str, tuple[Behaviour, str]] = {
    "wrong arguments": (Calls([("look", {"week": 5})]), "agent-gave-up"),
    "unknown tool": (Calls([("fly", {})]), "agent-gave-up"),
    "endless tools": (Calls([("look", {"day": "monday"})], same_id=True), "limit-turns"),
    "empty": (Silent(), "agent-gave-up"),
    "refusal": (Refuses(), "model-refused"),
    "slow stream": (Dribbles("slow", pause_s=0.05), "model-timeout"),
    "dropped": (Drops(), "connection-failed"),
    "rate limited": (Status(429, retry_after=3600), "model-rate-limited"),
    "404": (Status(404), "model-not-found"),
    "410": (Status(410), "model-retired"),
    "not json": (Raw(b"<html>"), "model-"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_every_trouble_ends_in_a_clear_problem(trouble: str, tmp_path: Path) -> None:
    behaviour, code = TROUBLES[trouble]
    async with project(tmp_path, [behaviour]) as (app, _):
        run = await asyncio.wait_for(ask(app), 30)
    assert run.status is RunStatus.FAULTED
    assert str(cast("Mapping[str, Any]", run.problem)["code"]).startswith(code)


@pytest.mark.parametrize(
    "trouble",
    [
        name
        for name, (_, code) in TROUBLES.items()
        if not code.startswith(("agent-", "limit-")) and name != "slow stream"
    ],
)
async def test_where_a_fallback_is_named_it_answers_and_the_record_says_why(trouble: str, tmp_path: Path) -> None:
    behaviour, code = TROUBLES[trouble]
    async with project(tmp_path, [behaviour], "[desk, playbook]") as (app, _):
        run = await asyncio.wait_for(ask(app), 30)
        entries = await app.journal.entries(run.id)
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"reply": "By rule."})
    [answered] = [entry for entry in entries if entry.function == "model:1.0.0" and entry.model == "playbook"]
    [tried] = cast("Mapping[str, Any]", answered.why)["failed"]
    assert tried["model"] == "desk"
    assert tried["problem"].startswith(code)


async def test_a_huge_answer_is_kept_whole(tmp_path: Path) -> None:
    async with project(tmp_path, [Says("x" * 3_000_000)]) as (app, _):
        run = await ask(app)
    assert len(cast("Mapping[str, str]", run.output)["reply"]) == 3_000_000


async def test_a_run_whose_process_ends_while_a_model_is_silent_goes_on(tmp_path: Path) -> None:
    async with OpenAIServer([Calls([("look", {"day": "monday"})]), Hangs(), Says("Here I am.")]) as server:
        write(tmp_path, server.base_url)
        async with open_app(tmp_path) as app:
            run = await start(app)
            async with asyncio.timeout(20):
                while len(server.requests) < 2:  # noqa: ASYNC110  it is another's
                    await asyncio.sleep(0.01)
        async with open_app(tmp_path) as app:
            found = await app.journal.run(run.id)
            assert found is not None
            app.engine.advance(found)
            ended = await app.engine.settle(run.id)
        assert (ended.status, ended.output) == (RunStatus.COMPLETED, {"reply": "Here I am."})
        assert len(server.requests) == 3


async def test_a_customer_is_remembered_by_another_process(tmp_path: Path) -> None:
    async with OpenAIServer([Says("Good day, Ana.")]) as server:
        write(tmp_path, server.base_url)
        for message, customer in [("I am Ana", "C-1"), ("Who am I?", "C-1"), ("Who am I?", "C-2")]:
            async with open_app(tmp_path) as app:
                assert (await ask(app, message, customer)).status is RunStatus.COMPLETED
    contents = [[message["content"] for message in request["messages"]] for request in server.requests]
    assert [len(each) for each in contents] == [1, 3, 1]
    assert "I am Ana" in contents[1][0]


async def test_a_run_shows_that_it_waits_for_a_slot(tmp_path: Path) -> None:
    async with project(tmp_path, [Hangs()], "[desk, playbook]") as (app, server):
        runs = [await start(app, customer=f"C-{number}") for number in range(2)]
        async with asyncio.timeout(20):
            while not (waiting := await waiting_for_models(app.project)):  # noqa: ASYNC110  it is in the store
                await asyncio.sleep(0.01)
        [in_line] = waiting
        assert in_line.model == "desk"
        assert in_line.run_id in {run.id for run in runs}
        assert len(server.requests) <= 1


async def test_costs_are_added_up_at_the_projects_own_price(tmp_path: Path) -> None:
    async with project(tmp_path, [Calls([("look", {"day": "monday"})]), Says("Done.")]) as (app, _):
        run = await ask(app)
        by = {
            group: [each.to_json() for each in await costs(app.project, group, since=0)]
            for group in ("run", "agent", "user", "model", "workflow")
        }
    spent: dict[str, Json] = {
        "requests": 2,
        "input_tokens": 2000,
        "output_tokens": 200,
        "usd": 0.0024,
        "unpriced": 0,
    }
    names = {"run": run.id, "agent": "Agent::desk", "user": "ana", "model": "desk", "workflow": "test/ask"}
    assert by == {group: [{"name": name, **spent}] for group, name in names.items()}


async def test_a_model_is_tried_for_what_it_can_do(tmp_path: Path) -> None:
    able = [Says("ready"), Calls([("look_up_stock", {"article": "A-7"})]), Calls([("final_result", {"sum": 42})])]
    for script, expected in ((able, (True, True, None)), ([Says("ready")], (False, False, None))):
        async with OpenAIServer(script) as server:
            write(tmp_path, server.base_url)
            async with open_rooms(tmp_path) as rooms:
                trial = await try_model(rooms, "desk", SystemClock())
        assert (trial.answer, trial.tools, trial.structured, trial.problem) == ("ready", *expected)
    async with OpenAIServer([Status(401)]) as server:
        write(tmp_path, server.base_url)
        async with open_rooms(tmp_path) as rooms:
            trial = await try_model(rooms, "desk", SystemClock())
    assert trial.problem is not None
    assert trial.problem.code == "model-key-refused"


@pytest.mark.parametrize(
    ("retires", "more", "found"),
    [
        ("2020-01-01", "", [("error", "model-retired")]),
        ("2020-01-01", "\n    fallback: [playbook]", [("warning", "model-retired")]),
        ("2999-01-01", "", []),
    ],
)
async def test_a_day_of_retirement_is_a_finding(
    retires: str, more: str, found: list[tuple[str, str]], tmp_path: Path
) -> None:
    settings = f"{SETTINGS.rstrip()}\n    retires: {retires}{more}\n"
    write(tmp_path, "http://127.0.0.1:9/v1", "[desk, playbook]", settings)
    expected = [
        (severity, code, settings.splitlines().index(f"    retires: {retires}") + 1) for severity, code in found
    ]
    async with open_rooms(tmp_path) as rooms:
        said = [each for each in rooms.checked.findings if each.code.startswith("model-")]
    assert [(each.severity, each.code, each.line) for each in said] == expected
