"""A run keeps its version for life, new runs get what production points at, and a worse version takes itself back."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from orchestrion.app import App, open_app, oversight_of, put_on_trial, release, resolve, roll_back
from orchestrion.core import Answer, Datum, Json, Run, RunStatus, SystemClock, UserError
from orchestrion.oversight import Plan, Rule
from orchestrion.registry import PRODUCTION, RolloutStatus, bundle_of

pytestmark = pytest.mark.anyio

WORKFLOW = """
document: {{ dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }}
do:
  - ask: {{ call: 'human:1.0.0@default', with: {{ role: lead, title: May it?, form: {{ type: object }} }}, if: '${{ .ask == true }}' }}
  - say: {{ call: 'agent:1.0.0@default', with: {{ agent: greeter, input: {{ message: hello }} }} }}
  - tell: {{ set: {{ said: '${{ .reply }}' }} }}
"""
AGENT = """
name: greeter
input: {{ type: object, properties: {{ message: {{ type: string }} }} }}
output: {{ type: object, required: [reply], properties: {{ reply: {{ type: string }} }} }}
playbook: {{ name: greeter, rules: [{{ name: all, answer: {{ reply: {said} }} }}] }}
"""
POLICY = '@id("all") permit (principal, action, resource);'


def write(folder: Path, said: str) -> Path:
    for name, text in {
        "orchestrion.yaml": "roles: [lead]\n",
        "workflows/greet.yaml": WORKFLOW.format(),
        "agents/greeter.yaml": AGENT.format(said=said),
        "policies/all.cedar": POLICY,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def deploy(folder: Path, said: str) -> str:
    async with open_app(write(folder, said)) as app:
        bundle = await resolve(app, "working", "greet", "ana")
        return (await release(app, bundle, PRODUCTION, by="ana", why=f"say {said}")).move.bundle


async def run(app: App, value: Json = None) -> Run:
    chosen = await app.versions.choose("greet", "ana")
    return await app.engine.settle((await app.start(chosen, value or {}, subject="ana")).id)


def said(ended: Run) -> Json:
    return cast("Mapping[str, Json]", ended.output)["said"]


async def test_new_runs_get_what_production_points_at(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, "one")) as app:
        assert said(await run(app)) == "one"
    first = await deploy(tmp_path, "one")
    async with open_app(write(tmp_path, "two")) as app:
        ended = await run(app)
        assert (said(ended), bundle_of(ended.versions)) == ("one", first)
    await deploy(tmp_path, "two")
    async with open_app(write(tmp_path, "three")) as app:
        assert said(await run(app)) == "two"
        back = await roll_back(app, "greet", None, by="ana", why="no")
        assert back.move.bundle == first
        assert str(back.changes[0]).startswith("agent greeter: playbook.rules")
        assert said(await run(app)) == "one"


async def test_a_run_keeps_its_version_for_life(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, "one")) as app:
        waiting = await run(app, {"ask": True})
        assert waiting.status is RunStatus.WAITING
    async with open_app(write(tmp_path, "two")) as app:
        (request,) = await app.journal.requests(run_id=waiting.id)
        await app.answer(request, Answer(verdict="answered", by="ana", at=SystemClock().now(), value=Datum({})))
        assert said(await app.engine.settle(waiting.id)) == "one"
        assert said(await run(app)) == "two"


async def test_a_version_that_nobody_kept_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, "one")) as app:
        with pytest.raises(UserError, match="no version") as error:
            await resolve(app, "feed", None)
        assert error.value.code == "unknown-version"
        with pytest.raises(UserError) as error:
            await roll_back(app, "greet", None, by="ana", why="")
        assert error.value.code == "nothing-deployed"


async def trial(folder: Path, worse: str, plan: Plan) -> tuple[RolloutStatus, str, int]:
    """How it ended, the verdict, and after how many runs, by a process that is opened anew in the middle."""
    await deploy(folder, "fine")
    write(folder, worse)
    async with open_app(folder) as app:
        candidate = await resolve(app, "working", "greet")
        begun = await put_on_trial(app, candidate, plan, by="ana")
    count = 0
    while count < 400:
        async with open_app(folder) as app:
            for _ in range(20):
                await run(app)
                count += 1
                await oversight_of(app).look()
                found = await oversight_of(app).rollouts.find(begun.id)
                if found.status is not RolloutStatus.RUNNING:
                    return found.status, found.verdict or "", count
    return RolloutStatus.RUNNING, "", count


async def test_a_worse_version_takes_itself_back(tmp_path: Path) -> None:
    plan = Plan(shares=(0.5,), loss='.output.said == "rude"')
    status, verdict, _ = await trial(tmp_path, "rude", plan)
    assert status is RolloutStatus.ROLLED_BACK, verdict
    assert verdict.startswith("taken back after")
    async with open_app(tmp_path) as app:
        assert said(await run(app)) == "fine"


async def test_a_violation_takes_it_back_at_once(tmp_path: Path) -> None:
    plan = Plan(shares=(1.0,), violation='.output.said == "rude"')
    status, verdict, count = await trial(tmp_path, "rude", plan)
    assert (status, count) == (RolloutStatus.ROLLED_BACK, 1), verdict


async def test_a_version_that_is_as_good_is_promoted(tmp_path: Path) -> None:
    plan = Plan(shares=(0.5,), loss='.output.said == "rude"', rule=Rule(tolerance=0.3))
    status, verdict, _ = await trial(tmp_path, "kind", plan)
    assert status is RolloutStatus.PROMOTED, verdict
    async with open_app(tmp_path) as app:
        assert said(await run(app)) == "kind"
        move = await app.versions.aliases()
        assert move["shop/greet", PRODUCTION].why == verdict
