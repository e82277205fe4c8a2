"""`orchestrion rollouts` and `deploy --canary`: versions on trial."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn, cast

from rich.table import Table

from orchestrion.app import Oversight, changes_between, oversight_on, put_on_trial, registry_of, resolve
from orchestrion.core import Json, SystemClock, UserError, iso
from orchestrion.journal import DurableJournal
from orchestrion.oversight import Likeness, Plan, Shadow, in_words
from orchestrion.registry import Registry, Rollout, RolloutStatus, differences, short

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json, user_name
from ._versions import app_of, lines_of, say, when


def begin(
    workflow: str,
    version: str,
    shares: str | None,
    tolerance: str | None,
    told: Mapping[str, float | str | None],
    *,
    shadow: bool,
    project: Path,
    user: str | None,
    as_json: bool,
) -> NoReturn:
    async def work() -> int:
        plan = _plan(shares, tolerance, told, shadow=shadow)
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            candidate = await resolve(app, version, workflow, user_name(user))
            rollout = await put_on_trial(app, candidate, plan, by=user_name(user))
            control = (await registry_of(app).find(rollout.control)).bundle
            changes = await changes_between(app, control, candidate)
        if as_json:
            print_json(_json(rollout))
            return COMPLETED
        part = "in the shadow of production" if shadow else f"with {_percent(plan.shares[0])} of the new runs"
        err.print(f"[green]✓[/] {short(rollout.candidate)} is on trial {part}")
        for line in lines_of(changes):
            err.print(f"  {line}", markup=False)
        ends = f"It ends after {plan.max_runs} runs." if shadow else "It is promoted or taken back by itself."
        err.print(f"  {ends} orchestrion rollouts show {rollout.id[:13]}")
        return COMPLETED

    execute(work, as_json=as_json)


def list_rollouts(limit: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            opened = await _opened(stack, project)
            found = await opened[0].rollouts.listed(limit) if opened else ()
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
            oversight, registry, rollout = await _found(stack, project, fragment)
            runs = Counter(run.side for run in await oversight.rollouts.runs(rollout))
            words, evidence, shadow = rollout.verdict, rollout.evidence, _shadow(rollout)
            if words is None and shadow is None:
                verdict = (await oversight.comparison(rollout)).verdict
                words, evidence = in_words(verdict), verdict.standing.to_json()
            bundles = [(await registry.find(digest)).bundle for digest in (rollout.control, rollout.candidate)]
            changes = differences(*[await registry.contents(each) for each in bundles])
        if as_json:
            counted: Json = {side: runs[side] for side in ("candidate", "control")}
            groups: Json = {kind: len(shadow.group(kind)) for kind in Likeness} if shadow else None
            said = words or (shadow.words if shadow else None)
            print_json({**_json(rollout), "runs": counted, "verdict": said, "evidence": evidence, "groups": groups})
            return COMPLETED
        say(f"{rollout.workflow}: {short(rollout.candidate)} beside {short(rollout.control)}, {rollout.status}")
        say(f"  begun {when(rollout.created_at)} by {rollout.created_by}")
        for line in lines_of(changes):
            say(f"  {line}")
        if shadow is not None:
            _say_shadow(shadow, words or shadow.words)
            return COMPLETED
        say(f"  {runs['candidate']} runs with the candidate, {runs['control']} with the present version")
        if isinstance(evidence, dict):
            against, for_it, goal = evidence["against"], evidence["in_favour"], 1 / cast("float", evidence["alpha"])
            say(f"  evidence against it {against:.3g}, for it {for_it:.3g}; either decides at {goal:.3g}")
        say(f"  {words}")
        return COMPLETED

    execute(work, as_json=as_json)


def _say_shadow(shadow: Shadow, words: str) -> None:
    say(f"  {words}")
    for run, found in sorted(shadow.examples.items(), key=lambda each: -shadow.runs[each[0]].gravity):
        say(f"  {run}  {shadow.runs[run]}")
        for each in found:
            say(f"    {each.words}")


def stop_rollout(fragment: str, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            oversight, _, rollout = await _found(stack, project, fragment)
            by, stopped, shadow = user_name(user), RolloutStatus.STOPPED, _shadow(rollout)
            words = f"stopped by {by}; {shadow.words}" if shadow else f"stopped by {by}"
            ended = await oversight.rollouts.end(rollout, stopped, verdict=words, evidence=None, by=by)
        if as_json:
            print_json(_json(ended))
        else:
            err.print(f"The trial is over: {ended.verdict}.", markup=False)
        return COMPLETED

    execute(work, as_json=as_json)


async def _opened(stack: AsyncExitStack, project: Path) -> tuple[Oversight, Registry] | None:
    """To look at rollouts, whoever advances the runs; None where nothing was kept yet."""
    journal = await journal_of(stack, project)
    if not isinstance(journal, DurableJournal):
        return None
    return await stack.enter_async_context(oversight_on(journal)), Registry(journal, SystemClock())


async def _found(stack: AsyncExitStack, project: Path, fragment: str) -> tuple[Oversight, Registry, Rollout]:
    """Raises: UserError `unknown-rollout`, `ambiguous-rollout`."""
    opened = await _opened(stack, project)
    if opened is None:
        raise UserError("unknown-rollout", f"There is no rollout {fragment!r}.", hint="orchestrion rollouts list")
    oversight, registry = opened
    return oversight, registry, await oversight.rollouts.find(fragment)


def _shadow(rollout: Rollout) -> Shadow | None:
    """What a shadow found so far; None for a canary."""
    return Shadow.from_json(rollout.evidence) if Plan.from_json(rollout.plan).mode == "shadow" else None


def _plan(shares: str | None, tolerance: str | None, told: Mapping[str, float | str | None], *, shadow: bool) -> Plan:
    """Raises: UserError `bad-options`, `bad-share`."""
    if shadow and shares is not None:
        raise UserError(
            "bad-options",
            "A version is tried as a canary or in the shadow of production, not both.",
            hint="Give --shadow first, and --canary when it is over.",
        )
    said: dict[str, Json] = {name: each for name, each in told.items() if each is not None}
    if tolerance is not None:
        said["rule"] = {"tolerance": shares_of(tolerance)[-1]}
    how: dict[str, Json] = {"mode": "shadow"} if shares is None else {"shares": list(shares_of(shares))}
    return Plan.from_json({**how, **said})


def shares_of(text: str) -> list[float]:
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
