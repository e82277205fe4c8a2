"""Routers and predictors that learn from corrections: a candidate that has to win before it is offered, and that nobody meets until then."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import Json, UserError
from orchestrion.models import (
    Contest,
    contest,
    contest_predictor,
    corrected,
    examples_text,
    read_corrections,
    read_examples,
)
from orchestrion.oversight import Plan
from orchestrion.registry import Bundle, Rollout

from ._app import App
from ._candidates import Proof, base_of, make_candidate, name_candidate, prove
from ._kinds import predictor_source
from ._release import put_on_trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A version with what was retrained, for one workflow."""

    candidate: Bundle
    proof: Proof
    rollout: Rollout | None
    """None for one that waits for a person, or has not passed."""

    def to_json(self) -> dict[str, Json]:
        return {
            "workflow": self.candidate.workflow,
            "candidate": self.candidate.digest,
            "rollout": self.rollout.id if self.rollout else None,
            **self.proof.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """What came of training a router or a predictor with corrections."""

    name: str
    contest: Contest
    offers: Sequence[Offer]
    """Empty when it did not win."""

    @property
    def won(self) -> bool:
        return self.contest.won and all(each.proof.verdict != "failed" for each in self.offers)


async def retrain_router(app: App, name: str, corrections: Path, *, trial: Plan | None, by: str) -> Retrained:
    """Train a router with corrections; if it wins, make a version of each workflow that asks it, and try that with evaluations.

    One that passes goes on trial by the plan `trial`, or waits for a person without. Neither files nor production are touched.
    Raises: UserError `unknown-router`, `router-unused`, what is wrong with examples or corrections, and as `put_on_trial`.
    """
    source = app.routers.source(name)
    examples = read_examples(source.examples, source.settings)
    learned = read_corrections(corrections, source.settings)
    bases = [each for each in await _bases(app) if f"settings/routers/{name}" in each.pieces]
    if not bases:
        raise UserError("router-unused", f"No workflow asks the router {name!r}.", hint="Name one that is in use.")
    found = await asyncio.to_thread(contest, examples, learned, source.settings)
    if not found.won:
        return Retrained(name=name, contest=found, offers=())
    text = examples_text(corrected(examples, learned), source.settings)
    changed = {app.project.relative(source.examples): text.encode()}
    why = f"the router {name} with {found.corrections} corrections"
    return Retrained(name=name, contest=found, offers=await _offers(app, bases, changed, trial, why=why, by=by))


async def retrain_predictor(
    app: App, name: str, data: Path, corrections: Path, *, trial: Plan | None, by: str
) -> Retrained:
    """The same of a predictor, from the rows it was trained on and corrected ones.

    Raises: UserError `unknown-predictor`, `predictor-unused`, `not-correctable`, what is wrong with a file, and as `put_on_trial`.
    """
    source = predictor_source(app.project, name)
    piece = app.project.relative(source.model)
    bases = [each for each in await _bases(app) if piece in each.pieces]
    if not bases:
        raise UserError(
            "predictor-unused", f"No workflow asks the predictor {name!r}.", hint="Name one that is in use."
        )
    found, made = await asyncio.to_thread(contest_predictor, source, data, corrections)
    if not found.won:
        return Retrained(name=name, contest=found, offers=())
    model, card = await asyncio.to_thread(made)
    changed = {piece: model, app.project.relative(source.card): card}
    why = f"the predictor {name} with {found.corrections} corrections"
    return Retrained(name=name, contest=found, offers=await _offers(app, bases, changed, trial, why=why, by=by))


async def _offers(
    app: App, bases: Sequence[Bundle], changed: Mapping[str, bytes], trial: Plan | None, *, why: str, by: str
) -> Sequence[Offer]:
    """Of each base a version with these pieces changed, proven, named, and on trial where it may be."""
    offers: list[Offer] = []
    for base in bases:
        candidate = await make_candidate(app, base, changed, why=why)
        proof = await prove(app, candidate, base)
        rollout: Rollout | None = None
        if proof.verdict != "failed":
            await name_candidate(app, candidate, why=why)
        if trial is not None and proof.verdict == "passed":
            rollout = await put_on_trial(app, candidate, trial, by=by)
        offers.append(Offer(candidate=candidate, proof=proof, rollout=rollout))
    return offers


async def _bases(app: App) -> list[Bundle]:
    """What new runs get of every workflow."""
    return [await base_of(app, name) for name in sorted({document.id for document in app.checked.shelf.documents})]
