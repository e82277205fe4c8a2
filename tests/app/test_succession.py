"""A model whose last day comes: its successor is tried in time, and proposed or put on trial with nobody's hand."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from orchestrion.app import App, Succession, open_app, oversight_of, release, resolve
from orchestrion.core import Json, Run, RunStatus
from orchestrion.journal import DurableJournal
from orchestrion.registry import PRODUCTION, IncidentKind, Incidents, RolloutStatus, bundle_of
from orchestrion.testing.journal_suite import HandClock
from orchestrion.testing.openai_server import OpenAIServer, Says, Status

pytestmark = pytest.mark.anyio

SETTINGS = """
egress: {{ allow: ['127.0.0.1'] }}
models:
  desk:
    provider: openai:old
    base_url: {old}
    fallback: [new]
    retires: {retires}
    successors: [{successors}]
    succession: {succession}
  worse: {{ provider: 'openai:worse', base_url: '{worse}' }}
  new: {{ provider: 'openai:new', base_url: '{new}' }}
"""
AGENT = """
name: desk
model: desk
playbook: { rules: [{ name: always, answer: By rule. }] }
"""
WORKFLOW = """
document: { dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }
do:
  - say: { call: 'agent:1.0.0@default', with: { agent: desk, input: { message: '${ .message }' } } }
"""
EVALUATION = """
workflow: greet
cases: [{ input: { message: one } }, { input: { message: two } }]
scorers:
  kind: { exact: { at: /reply, value: kind }, gate: { at_least: 1 } }
"""
POLICY = "permit (principal, action, resource);"


@dataclass(frozen=True, kw_only=True)
class Desk:
    folder: Path
    clock: HandClock
    old: OpenAIServer
    new: OpenAIServer


@asynccontextmanager
async def desk(
    folder: Path, *, successors: str = "new", succession: str = "propose", evaluation: str = EVALUATION
) -> AsyncGenerator[Desk]:
    clock = HandClock()
    retires = datetime.fromtimestamp(clock.now(), UTC).date() + timedelta(days=14)
    async with (
        OpenAIServer([Says("kind")]) as old,
        OpenAIServer([Says("rude")]) as worse,
        OpenAIServer([Says("kind")]) as new,
    ):
        for name, text in {
            "orchestrion.yaml": SETTINGS.format(
                old=old.base_url,
                worse=worse.base_url,
                new=new.base_url,
                retires=retires,
                successors=successors,
                succession=succession,
            ),
            "workflows/greet.yaml": WORKFLOW,
            "agents/desk.yaml": AGENT,
            "policies/all.cedar": POLICY,
            "evaluations/kind.yaml": evaluation,
        }.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        yield Desk(folder=folder, clock=clock, old=old, new=new)


async def deploy(app: App) -> None:
    await release(app, await resolve(app, "working", "greet", "ana"), PRODUCTION, by="ana", why="first")


async def run(app: App) -> Run:
    chosen = await app.versions.choose("greet", "ana")
    return await app.engine.settle((await app.start(chosen, {"message": "hello"}, subject="ana")).id)


async def standing(app: App) -> tuple[str, str]:
    (found,) = await Succession(app).standings()
    return found.stage, found.what


async def timeline(app: App) -> list[str]:
    assert isinstance(app.journal, DurableJournal)
    incidents = Incidents(app.journal, app.clock)
    (incident,) = [each for each in await incidents.listed(9) if each.kind is IncidentKind.RETIREMENT]
    return [step.what for step in await incidents.steps(incident.id)]


def reply(ended: Run) -> Json:
    assert ended.status is RunStatus.COMPLETED, ended.problem
    return cast("Mapping[str, Json]", ended.output)["reply"]


async def test_a_successor_that_passed_is_proposed_with_the_command_that_accepts_it(tmp_path: Path) -> None:
    async with desk(tmp_path, successors="worse, new") as it, open_app(tmp_path, clock=it.clock) as app:
        await deploy(app)
        await Succession(app).look()
        stage, what = await standing(app)
        assert (stage, "orchestrion deploy shop/greet --version" in what) == ("proposed", True)
        opened, worse, new, _ = await timeline(app)
        assert opened == "retires on 2027-01-29, in 14 days; used in shop/greet by desk"
        assert worse.startswith("shop/greet: 'worse' has not passed: kind: kind 0.0%")
        assert new == "shop/greet: 'new' has passed: kind: kind 100.0% (+0.0%)"
        assert reply(await run(app)) == "kind"
        assert len(it.new.requests) == 2, "only the evaluation asked it"

        candidate = await resolve(app, "candidate", "greet")
        await release(app, candidate, PRODUCTION, by="ana", why="accepted")
        ended = await run(app)
        assert bundle_of(ended.versions) == candidate.digest
        assert len(it.new.requests) == 3
        await Succession(app).look()
        assert (await timeline(app))[-1].startswith("over")
        assert await Succession(app).standings() == []


async def test_what_was_tried_is_not_tried_again_by_whoever_looks_next(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        async with open_app(tmp_path, clock=it.clock) as app:
            await Succession(app).look()
            told = await timeline(app)
        asked = len(it.new.requests)
        it.clock.pass_s(86_400)
        async with open_app(tmp_path, clock=it.clock) as app:
            assert isinstance(app.journal, DurableJournal)
            await app.journal.change(lambda connection: connection.execute("delete from results") and None)
            await Succession(app).look()
            assert await timeline(app) == told
        assert len(it.new.requests) == asked


async def test_a_successor_goes_on_trial_and_into_production_by_itself(tmp_path: Path) -> None:
    async with desk(tmp_path, succession="canary") as it:
        async with open_app(tmp_path, clock=it.clock) as app:
            await deploy(app)
            await Succession(app).look()
            assert (await standing(app))[0] == "on-trial"
            (rollout,) = await oversight_of(app).rollouts.listed(9)
            await oversight_of(app).rollouts.end(
                rollout, RolloutStatus.PROMOTED, verdict="as good", evidence=None, by="orchestrion"
            )
            it.clock.pass_s(1)
            await Succession(app).look()
            assert (await timeline(app))[-1].startswith("over")
        it.clock.pass_s(15 * 86_400)
        async with open_app(tmp_path, clock=it.clock) as app:
            asked = len(it.old.requests)
            assert reply(await run(app)) == "kind"
            assert len(it.old.requests) == asked


async def test_a_successor_that_is_taken_back_is_not_tried_again(tmp_path: Path) -> None:
    async with desk(tmp_path, succession="canary") as it, open_app(tmp_path, clock=it.clock) as app:
        await deploy(app)
        await Succession(app).look()
        (rollout,) = await oversight_of(app).rollouts.listed(9)
        await oversight_of(app).rollouts.end(
            rollout, RolloutStatus.ROLLED_BACK, verdict="taken back", evidence=None, by="orchestrion"
        )
        await Succession(app).look(by_hand=True)
        assert (await standing(app))[0] == "taken-back"
        assert len(await oversight_of(app).rollouts.listed(9)) == 1


async def test_without_a_gate_a_successor_is_proposed_and_never_put_on_trial(tmp_path: Path) -> None:
    evaluation = EVALUATION.replace(", gate: { at_least: 1 }", "")
    async with (
        desk(tmp_path, succession="canary", evaluation=evaluation) as it,
        open_app(tmp_path, clock=it.clock) as app,
    ):
        await deploy(app)
        await Succession(app).look()
        assert (await standing(app))[0] == "proposed"
        assert "is not proven" in (await timeline(app))[1]


async def test_a_model_without_successors_is_told_of(tmp_path: Path) -> None:
    async with desk(tmp_path, successors="") as it, open_app(tmp_path, clock=it.clock) as app:
        await Succession(app).look()
        stage, what = await standing(app)
        assert (stage, "models.desk.successors" in what) == ("no-successor", True)


async def test_a_process_that_advances_runs_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.app._succession.FIRST_S", 0.0)
    async with desk(tmp_path) as it, open_app(tmp_path, clock=it.clock) as app:
        async with asyncio.timeout(60):
            while (await standing(app))[0] != "proposed":  # noqa: ASYNC110  another task of the app brings it about
                await asyncio.sleep(0.05)


async def test_from_its_last_day_on_the_fallback_is_asked(tmp_path: Path) -> None:
    async with desk(tmp_path) as it:
        it.old.script = [Status(410)]
        it.clock.pass_s(14 * 86_400)
        async with open_app(tmp_path, clock=it.clock) as app:
            assert reply(await run(app)) == "kind"
            assert it.old.requests == []
