"""A candidate in the shadow of production: it gets no run, does nothing, and is compared with each that has ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from orchestrion.app import App, open_app, oversight_of, put_on_trial, release, resolve
from orchestrion.core import RunStatus
from orchestrion.oversight import Likeness, Plan, Shadow
from orchestrion.registry import PRODUCTION, RolloutStatus, bundle_of
from orchestrion.testing import counting_server, run_command

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": "egress: { allow: ['127.0.0.1'] }\n",
    "workflows/buy.yaml": (
        "document: { dsl: '1.0.3', namespace: shop, name: buy, version: '1.0.0' }\n"
        "do:\n"
        "  - charge: { call: http, with: { method: post, endpoint: 'http://SHOP/charges', body: { cents: '${ .cents * 1 }' } } }\n"
        "  - say: { set: { reply: Thank you very much } }\n"
    ),
    "policies/all.cedar": "permit (principal, action, resource);\n",
}


def write(folder: Path, shop: str, *changes: tuple[str, str]) -> None:
    for name, text in FILES.items():
        for old, new in (("SHOP", shop), *changes):
            text = text.replace(old, new)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


async def buy(app: App, cents: int) -> str:
    chosen = await app.versions.choose("buy", "ana")
    started = await app.start(chosen, {"cents": cents}, subject="ana")
    ended = await app.engine.settle(started.id)
    assert ended.status is RunStatus.COMPLETED, ended.problem
    return bundle_of(ended.versions) or ""


async def deploy(folder: Path) -> str:
    async with open_app(folder) as app:
        return (await release(app, await resolve(app, "working", "buy"), PRODUCTION, by="ana", why="")).move.bundle


async def shadow(folder: Path, max_runs: int) -> str:
    async with open_app(folder) as app:
        candidate = await resolve(app, "working", "buy")
        plan = Plan(mode="shadow", max_runs=max_runs, shares=(1.0,))  # which would be all of them as a canary
        return (await put_on_trial(app, candidate, plan, by="ana")).id


async def known(folder: Path, rollout: str) -> tuple[RolloutStatus, Shadow, str | None]:
    async with open_app(folder, mode="join") as app:
        found = await oversight_of(app).rollouts.find(rollout)
        return found.status, Shadow.from_json(found.evidence), found.verdict


async def test_production_keeps_all_runs_and_the_candidate_only_says_what_it_would_do(tmp_path: Path) -> None:
    with counting_server() as server:
        write(tmp_path, server.address)
        production = await deploy(tmp_path)
        write(tmp_path, server.address, ("very much", "so much"), ("* 1 }", "* (if .cents > 500 then 2 else 1 end) }"))
        begun = await shadow(tmp_path, 3)
        for cents in (100, 900):
            async with open_app(tmp_path) as app:
                assert await buy(app, cents) == production
        assert dict(server.requests) == {"/charges": 2}, "nothing else was asked of the shop"
        status, seen, _ = await known(tmp_path, begun)
        assert (status, sorted(seen.runs.values())) == (RolloutStatus.RUNNING, [Likeness.ACTION, Likeness.WORDS])
        async with open_app(tmp_path) as app:
            await buy(app, 200)
        assert dict(server.requests) == {"/charges": 3}

    status, seen, verdict = await known(tmp_path, begun)
    assert (status, verdict) == (RolloutStatus.STOPPED, "in the shadow of 3 runs: 2 words, 1 action")
    (action,) = seen.group(Likeness.ACTION)
    assert seen.examples[action][0].words.endswith("/body/cents 900 → 1800")
    async with open_app(tmp_path, mode="join") as app:
        assert (await app.versions.aliases())["shop/buy", PRODUCTION].bundle == production


async def test_it_is_looked_after_while_the_process_goes_on(tmp_path: Path) -> None:
    with counting_server() as server:
        write(tmp_path, server.address)
        await deploy(tmp_path)
        write(tmp_path, server.address, ("* 1", "* 2"))
        begun = await shadow(tmp_path, 10)
        async with open_app(tmp_path) as app:
            rollouts = oversight_of(app).rollouts
            with anyio.fail_after(60):
                for count in (1, 2):
                    await buy(app, 5)
                    while len(Shadow.from_json((await rollouts.find(begun)).evidence).runs) < count:
                        await anyio.lowlevel.checkpoint()
            by = "ana"
            await rollouts.end(await rollouts.find(begun), RolloutStatus.STOPPED, verdict="over", evidence=None, by=by)
            await buy(app, 5)
        assert dict(server.requests) == {"/charges": 3}

    _, seen, _ = await known(tmp_path, begun)
    assert len(seen.runs) == 2, "and no longer"


def command(folder: Path, *arguments: str) -> Mapping[str, Any]:
    result = run_command(*arguments, "--project", str(folder), "--json")
    assert result.code == 0, result.said
    return cast("Mapping[str, Any]", result.json)


def test_the_command_begins_shows_and_stops_it(tmp_path: Path) -> None:
    with counting_server() as server:
        write(tmp_path, server.address)
        command(tmp_path, "deploy", "buy")
        write(tmp_path, server.address, ("* 1", "* 2"))
        begun = command(tmp_path, "deploy", "buy", "--shadow", "--max-runs", "50")
        command(tmp_path, "run", "buy", "--input", '{"cents": 5}')
        shown = command(tmp_path, "rollouts", "show", begun["id"])
        said = run_command("rollouts", "show", begun["id"], "--project", str(tmp_path)).said
        stopped = command(tmp_path, "rollouts", "stop", begun["id"], "--as", "ana")
        assert dict(server.requests) == {"/charges": 1}

    assert (begun["plan"]["mode"], shown["status"], shown["groups"]["action"]) == ("shadow", "running", 1)
    assert "/body/cents 5 → 10" in said
    assert stopped["verdict"] == "stopped by ana; in the shadow of 1 run: 1 action"
    assert stopped["evidence"] == shown["evidence"]


def test_a_shadow_is_no_canary(tmp_path: Path) -> None:
    write(tmp_path, "127.0.0.1:1")
    result = run_command("deploy", "buy", "--shadow", "--canary", "10%", "--project", str(tmp_path))
    assert (result.code, "not both" in result.said) == (2, True)
