"""`orchestrion rollouts` and `deploy --canary`: versions on trial."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

from rich.table import Table

from orchestrion.app import changes_between, oversight_of, put_on_trial, registry_of, resolve
from orchestrion.core import Json, UserError, iso
from orchestrion.oversight import Plan, in_words
from orchestrion.registry import Rollout, RolloutStatus, short

from ._terminal import COMPLETED, err, execute, out, print_json, user_name
from ._versions import app_of, lines_of, say, when


def begin(
    workflow: str,
    version: str,
    shares: str,
    told: Mapping[str, float | str | None],
    *,
    project: Path,
    user: str | None,
    as_json: bool,
) -> NoReturn:
    async def work() -> int:
        plan = Plan.from_json(
            {"shares": list(_shares(shares)), **{name: each for name, each in told.items() if each is not None}}
        )
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            candidate = await resolve(app, version, workflow, user_name(user))
            rollout = await put_on_trial(app, candidate, plan, by=user_name(user))
            control = (await registry_of(app).find(rollout.control)).bundle
            changes = await changes_between(app, control, candidate)
        if as_json:
            print_json(_json(rollout))
            return COMPLETED
        err.print(f"[green]✓[/] {short(rollout.candidate)} is on trial with {_percent(plan.shares[0])} of the new runs")
        for line in lines_of(changes):
            err.print(f"  {line}", markup=False)
        err.print(f"  It is promoted or taken back by itself. orchestrion rollouts show {rollout.id[:13]}")
        return COMPLETED

    execute(work, as_json=as_json)


def list_rollouts(limit: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            found = await oversight_of(await app_of(stack, project)).rollouts.listed(limit)
        if as_json:
            print_json([_json(each) for each in found])
        elif found:
            table = Table(box=None, pad_edge=False)
            for column in ("rollout", "workflow", "candidate", "status", "verdict"):
                table.add_column(column, overflow="fold", no_wrap=column in {"candidate", "status"})
            for each in found:
                table.add_row(each.id, each.workflow, short(each.candidate), each.status, each.verdict or "")
            out.print(table)
        else:
            err.print("No version has been on trial yet. `orchestrion deploy WORKFLOW --canary 10%` begins one.")
        return COMPLETED

    execute(work, as_json=as_json)


def show_rollout(fragment: str, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            oversight, registry = oversight_of(app), registry_of(app)
            rollout = await oversight.rollouts.find(fragment)
            runs = await oversight.rollouts.runs(rollout)
            words = rollout.verdict or in_words((await oversight.comparison(rollout)).verdict, lost="were losses")
            bundles = [(await registry.find(digest)).bundle for digest in (rollout.control, rollout.candidate)]
            changes = await changes_between(app, *bundles)
        counted = {side: sum(run.side == side for run in runs) for side in ("candidate", "control")}
        if as_json:
            print_json({**_json(rollout), "runs": dict(counted), "verdict": words})
            return COMPLETED
        say(f"{rollout.workflow}: {short(rollout.candidate)} beside {short(rollout.control)}, {rollout.status}")
        say(f"  begun {when(rollout.created_at)} by {rollout.created_by}")
        for line in lines_of(changes):
            say(f"  {line}")
        say(f"  {counted['candidate']} runs with the candidate, {counted['control']} with the present version")
        say(f"  {words}")
        return COMPLETED

    execute(work, as_json=as_json)


def stop_rollout(fragment: str, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            rollouts = oversight_of(await app_of(stack, project)).rollouts
            found = await rollouts.find(fragment)
            by = user_name(user)
            ended = await rollouts.end(found, RolloutStatus.STOPPED, verdict=f"stopped by {by}", evidence=None, by=by)
        if as_json:
            print_json(_json(ended))
        else:
            err.print(f"The trial is over: {ended.verdict}.", markup=False)
        return COMPLETED

    execute(work, as_json=as_json)


def _shares(text: str) -> list[float]:
    """`10%,25%` as shares. Raises: UserError `bad-share`."""
    try:
        found = [float(each.strip().removesuffix("%")) / (100 if "%" in each else 1) for each in text.split(",")]
    except ValueError:
        found = []
    if not found or any(not 0 < each <= 1 for each in found) or found != sorted(found):
        raise UserError("bad-share", f"{text!r} is no share of runs.", hint="Write 10%, or 10%,25%,50% to raise it.")
    return found


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _json(rollout: Rollout) -> dict[str, Json]:
    return {
        "id": rollout.id,
        "workflow": rollout.workflow,
        "candidate": rollout.candidate,
        "control": rollout.control,
        "status": rollout.status,
        "plan": rollout.plan,
        "created_at": iso(rollout.created_at),
        "created_by": rollout.created_by,
        "ended_at": iso(rollout.ended_at) if rollout.ended_at is not None else None,
        "verdict": rollout.verdict,
        "evidence": rollout.evidence,
    }
