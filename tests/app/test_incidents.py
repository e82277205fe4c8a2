"""A model that is suddenly gone, or out: its fallback answers at once, within policy, and one incident tells it all."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from orchestrion.app import App, open_app
from orchestrion.core import Json, Run, RunStatus
from orchestrion.journal import DurableJournal
from orchestrion.models import ModelTests
from orchestrion.registry import Incident, IncidentKind, Incidents
from orchestrion.testing.journal_suite import HandClock
from orchestrion.testing.openai_server import OpenAIServer, Says, Status

pytestmark = pytest.mark.anyio

SETTINGS = """
egress: {{ allow: ['127.0.0.1'] }}
models:
  desk: {{ provider: 'openai:first', base_url: '{first}', region: eu, fallback: [{fallback}] }}
  second: {{ provider: 'openai:second', base_url: '{second}', region: {region} }}
"""
AGENT = """
name: desk
model: desk
playbook: { rules: [{ name: always, answer: By rule. }] }
"""
TASKS = {
    "agent": "{ call: 'agent:1.0.0@default', with: { agent: desk, input: { message: hello } } }",
    "infer": "{ call: 'infer:1.0.0@default', with: { model: desk, prompt: Answer. } }",
}
WORKFLOW = """
document: {{ dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }}
do:
  - say: {task}
"""
POLICY = """
permit (principal, action, resource);
forbid (principal, action == Action::"model", resource)
when { context.arguments has region && context.arguments.region != "eu" };
"""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A project whose model has a second one behind it."""

    folder: Path
    first: OpenAIServer
    second: OpenAIServer
    clock: HandClock


@asynccontextmanager
async def desk(
    folder: Path, *, fallback: str = "second", region: str = "eu", asked_by: str = "agent"
) -> AsyncGenerator[Desk]:
    async with OpenAIServer([Says("first")]) as first, OpenAIServer([Says("second")]) as second:
        for name, text in {
            "orchestrion.yaml": SETTINGS.format(
                first=first.base_url, second=second.base_url, fallback=fallback, region=region
            ),
            "workflows/greet.yaml": WORKFLOW.format(task=TASKS[asked_by]),
            "agents/desk.yaml": AGENT,
            "policies/all.cedar": POLICY,
        }.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        yield Desk(folder=folder, first=first, second=second, clock=HandClock())


async def run(app: App) -> Run:
    chosen = await app.versions.choose("greet", "ana")
    return await app.engine.settle((await app.start(chosen, {}, subject="ana")).id)


def reply(ended: Run) -> Json:
    assert ended.status is RunStatus.COMPLETED, ended.problem
    return cast("Mapping[str, Json]", ended.output)["reply"]


def code(ended: Run) -> Json:
    return cast("Mapping[str, Json]", ended.problem)["code"]


def incidents_of(app: App) -> Incidents:
    assert isinstance(app.journal, DurableJournal)
    return Incidents(app.journal, app.clock)


async def story(app: App, incident: Incident) -> list[str]:
    return [step.what for step in await incidents_of(app).steps(incident.id)]


@pytest.mark.parametrize("status", [404, 410])
async def test_the_fallback_answers_the_request_that_finds_the_model_gone(tmp_path: Path, status: int) -> None:
    async with desk(tmp_path) as it, open_app(tmp_path, clock=it.clock) as app:
        assert reply(await run(app)) == "first"
        it.first.script = [Status(status)]
        met = await run(app)
        assert reply(met) == "second"
        asked = len(it.first.requests)
        assert [reply(await run(app)) for _ in range(3)] == ["second"] * 3
        assert len(it.first.requests) == asked, "a model that is gone was asked again"

        (incident,) = await incidents_of(app).listed(9)
        assert (incident.kind, incident.subject, incident.closed_at) == (IncidentKind.GONE, "desk", None)
        assert (incident.failed, incident.followed, incident.unanswered) == (1, 4, 0)
        opened, followed = await incidents_of(app).steps(incident.id)
        assert (opened.run_id, followed.run_id) == (met.id, met.id)
        assert followed.what.startswith("'second' (region eu) answers in its place: it was never tested")


async def test_it_is_tried_every_few_minutes_and_the_incident_ends_with_good_answers(tmp_path: Path) -> None:
    async with desk(tmp_path) as it, open_app(tmp_path, clock=it.clock) as app:
        it.first.script = [Status(404)]
        await run(app)
        it.clock.pass_s(181)
        assert reply(await run(app)) == "second"
        assert len(it.first.requests) == 2
        assert reply(await run(app)) == "second"
        assert len(it.first.requests) == 2
        it.first.script = [Says("back")]
        it.clock.pass_s(181)
        assert [reply(await run(app)) for _ in range(4)] == ["back"] * 4
        (incident,) = await incidents_of(app).listed(9)
        assert incident.closed_at is not None
        assert (await story(app, incident))[-2:] == ["it answers again", "over, after 3 good answers in a row"]
        it.first.script = [Status(404)]
        await run(app)
        assert len(await incidents_of(app).current()) == 1


async def test_another_process_knows_it_is_gone(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        it.first.script = [Status(404)]
        async with open_app(tmp_path, clock=it.clock) as app:
            await run(app)
        async with open_app(tmp_path, clock=it.clock) as app:
            assert reply(await run(app)) == "second"
            assert len(it.first.requests) == 1
            assert len(await incidents_of(app).listed(9)) == 1


async def test_an_outage_is_one_incident_with_its_end(tmp_path: Path) -> None:
    async with desk(tmp_path) as it, open_app(tmp_path, clock=it.clock) as app:
        it.first.script = [Status(503, retry_after=0)]
        assert [reply(await run(app)) for _ in range(4)] == ["second"] * 4
        (incident,) = await incidents_of(app).listed(9)
        assert incident.kind is IncidentKind.OUTAGE
        it.first.script = [Says("back")]
        it.clock.pass_s(31)
        assert [reply(await run(app)) for _ in range(3)] == ["back"] * 3
        assert await incidents_of(app).current() == []


@pytest.mark.parametrize("asked_by", ["agent", "infer"])
async def test_a_fallback_in_another_region_is_not_asked_against_policy(tmp_path: Path, asked_by: str) -> None:
    async with desk(tmp_path, region="us", asked_by=asked_by) as it, open_app(tmp_path, clock=it.clock) as app:
        it.first.script = [Status(404)]
        ended = await run(app)
        assert (ended.status, code(ended)) == (RunStatus.FAULTED, "policy-denied")
        assert it.second.requests == []
        (incident,) = await incidents_of(app).listed(9)
        assert (await story(app, incident))[1].startswith("policy refuses that 'second' (region us) answers")


async def test_without_a_fallback_the_run_says_what_is_wrong(tmp_path: Path) -> None:
    async with desk(tmp_path, fallback="") as it, open_app(tmp_path, clock=it.clock) as app:
        it.first.script = [Status(410)]
        assert [code(await run(app)) for _ in range(2)] == ["model-retired", "model-gone"]
        (incident,) = await incidents_of(app).listed(9)
        assert (incident.failed, incident.unanswered) == (1, 2)


async def test_rules_follow_and_a_tested_fallback_is_said_to_be_tested(tmp_path: Path) -> None:
    async with desk(tmp_path, fallback="second, playbook") as it, open_app(tmp_path, clock=it.clock) as app:
        assert isinstance(app.journal, DurableJournal)
        found: Json = {"problem": None, "tools": True, "structured": False}
        await ModelTests(app.journal, app.clock).keep("second", f"openai:second at {it.second.base_url}", found)
        it.first.script = [Status(404)]
        assert reply(await run(app)) == "second"
        it.second.script = [Status(404)]
        assert reply(await run(app)) == "By rule."
        first, second = await incidents_of(app).current()
        assert "when it answered, calls tools, not: keeps to a form" in (await story(app, first))[1]
        assert (await story(app, second))[1] == "'playbook' answers in its place: rules, which need no provider"
