"""Routers that learn from corrections: a candidate that has to win before it is offered, and that nobody meets until then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import Json, UserError
from orchestrion.models import Contest, contest, corrected, examples_text, read_corrections, read_examples
from orchestrion.oversight import Plan
from orchestrion.registry import Bundle, Rollout

from ._app import App
from ._candidates import Proof, base_of, make_candidate, name_candidate, prove
from ._release import put_on_trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A version with the retrained router, for one workflow."""

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
    """What came of training a router with corrections."""

    router: str
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
    bases = await _asking(app, name)
    if not bases:
        raise UserError("router-unused", f"No workflow asks the router {name!r}.", hint="Name one that is in use.")
    found = await asyncio.to_thread(contest, examples, learned, source.settings)
    if not found.won:
        return Retrained(router=name, contest=found, offers=())
    why = f"the router {name} with {found.corrections} corrections"
    text = examples_text(corrected(examples, learned), source.settings)
    piece = app.project.relative(source.examples)
    offers: list[Offer] = []
    for base in bases:
        candidate = await make_candidate(app, base, {piece: text.encode()}, why=why)
        proof = await prove(app, candidate, base)
        rollout: Rollout | None = None
        if proof.verdict != "failed":
            await name_candidate(app, candidate, why=why)
        if trial is not None and proof.verdict == "passed":
            rollout = await put_on_trial(app, candidate, trial, by=by)
        offers.append(Offer(candidate=candidate, proof=proof, rollout=rollout))
    return Retrained(router=name, contest=found, offers=offers)


async def _asking(app: App, router: str) -> list[Bundle]:
    """What new runs get of every workflow that asks a router."""
    workflows = sorted({document.id for document in app.checked.shelf.documents})
    bases = [await base_of(app, workflow) for workflow in workflows]
    return [each for each in bases if f"settings/routers/{router}" in each.pieces]
