"""`orchestrion router train --corrections` and `predictor train --corrections`: what learns from corrections has to win."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

from orchestrion.app import App, Offer, Retrained, predictor_source, retrain_predictor, retrain_router
from orchestrion.core import UserError
from orchestrion.oversight import Plan
from orchestrion.registry import short

from ._rollouts import shares_of
from ._terminal import COMPLETED, FAULTED, err, execute, print_json, user_name
from ._versions import app_of


def retrain(
    name: str | None, corrections: Path, canary: str | None, *, project: Path, user: str | None, as_json: bool
) -> NoReturn:
    async def train(app: App, trial: Plan | None) -> Retrained:
        names = app.routers.names
        if name is None and len(names) != 1:
            listed = ", ".join(names) or "none"
            raise UserError("which-router", "Say which router to train.", hint=f"There are: {listed}.")
        return await retrain_router(app, name or names[0], corrections, trial=trial, by=user_name(user))

    _work(train, canary, project=project, as_json=as_json)


def retrain_from_rows(
    name: str | None,
    data: Path,
    corrections: Path,
    canary: str | None,
    *,
    project: Path,
    user: str | None,
    as_json: bool,
) -> NoReturn:
    async def train(app: App, trial: Plan | None) -> Retrained:
        wanted = predictor_source(app.project, name).name
        return await retrain_predictor(app, wanted, data, corrections, trial=trial, by=user_name(user))

    _work(train, canary, project=project, as_json=as_json)


def _work(
    train: Callable[[App, Plan | None], Awaitable[Retrained]], canary: str | None, *, project: Path, as_json: bool
) -> NoReturn:
    async def work() -> int:
        trial = Plan(shares=tuple(shares_of(canary))) if canary is not None else None
        async with AsyncExitStack() as stack:
            found = await train(await app_of(stack, project), trial)
        if as_json:
            offers = [each.to_json() for each in found.offers]
            print_json({"name": found.name, **found.contest.to_json(), "offers": offers})
            return COMPLETED if found.won else FAULTED
        it = found.contest
        err.print(
            f"{found.name} with {it.corrections:,} corrections, on {it.cases:,} held back: {it.gained:,} are "
            f"treated better, {it.lost:,} worse; right {it.right_before / it.cases:.1%} → {it.right_after / it.cases:.1%}"
        )
        if not it.won:
            err.print("[red]✗[/] It has not won, and nothing is changed.")
        for offer in found.offers:
            _tell(offer)
        return COMPLETED if found.won else FAULTED

    execute(work, as_json=as_json)


def _tell(offer: Offer) -> None:
    sign = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "unproven": "[yellow]?[/]"}[offer.proof.verdict]
    version = short(offer.candidate.digest)
    err.print(f"{sign} {offer.candidate.workflow} {version} {offer.proof.verdict}:", end=" ")
    err.print(offer.proof.words, markup=False)
    if offer.rollout is not None:
        err.print(f"  It is on trial: orchestrion rollouts show {offer.rollout.id[:13]}")
    elif offer.proof.verdict != "failed":
        err.print(f"  To accept: orchestrion deploy {offer.candidate.workflow} --version {version}")
