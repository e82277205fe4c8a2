"""Versions that nobody wrote, such as one with a successor in a model's place: made, and proven before they are offered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrion.core import Json
from orchestrion.registry import PRODUCTION, Bundle, is_called

from ._app import App
from ._capture import piece_digest
from ._evaluate import Evaluated, evaluate, read_evaluations
from ._release import WORKING, registry_of, resolve
from ._rollouts import BY

CANDIDATE = "candidate"
"""The alias that points at what was offered last."""

Verdict = Literal["passed", "failed", "unproven"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the evaluations of a workflow say of a candidate beside the version that new runs get."""

    verdict: Verdict
    words: str
    found: Sequence[Evaluated] = ()

    def to_json(self) -> dict[str, Json]:
        return {
            "verdict": self.verdict,
            "evaluations": [
                {"evaluation": each.file.name, "passed": each.passed, "rows": [row.to_json() for row in each.rows]}
                for each in self.found
            ],
        }


async def base_of(app: App, workflow: str) -> Bundle:
    """What new runs of a workflow get: production, or the files while nothing is deployed."""
    deployed = await app.versions.production(workflow)
    return await resolve(app, WORKING if deployed is None else PRODUCTION, workflow, BY)


async def make_candidate(app: App, base: Bundle, changed: Mapping[str, bytes], *, why: str) -> Bundle:
    """Keep a version that is another one with some pieces changed. `why` is told as where it came from."""
    registry = registry_of(app)
    pieces = {**base.pieces, **{piece: piece_digest(piece, content) for piece, content in changed.items()}}
    bundle = Bundle(
        workflow=base.workflow,
        version=base.version,
        document=base.document,
        pieces=dict(sorted(pieces.items())),
        nameable=base.nameable,
    )
    contents = {pieces[piece]: content for piece, content in changed.items()}
    await registry.keep(bundle, contents, by=BY, source=why)
    return bundle


async def name_candidate(app: App, bundle: Bundle, *, why: str) -> None:
    """Point the alias `candidate` at a version that is offered. Raises: UserError `alias-moved`."""
    registry = registry_of(app)
    last = await registry.alias(bundle.workflow, CANDIDATE)
    await registry.move(bundle, CANDIDATE, by=BY, why=why, expected=last.bundle if last else None)
    app.versions.refresh()


def evaluations_of(app: App, workflow: str) -> Mapping[str, str]:
    """Evaluation → its text, of those that try a workflow."""
    files, _ = read_evaluations(app.project, app.checked)
    return {name: file.source.text for name, file in files.items() if is_called(workflow, file.evaluation.workflow)}


async def prove(app: App, candidate: Bundle, base: Bundle) -> Proof:
    """Try a candidate with every evaluation of its workflow, against what new runs get. What was found before is taken over.

    It is unproven where no evaluation has a gate. Raises: BadProject; UserError as `evaluate` does.
    """
    found = [
        await evaluate(
            app.project.root,
            name,
            version=candidate.digest,
            against=base.digest,
            fresh=False,
            by=BY,
            tell=lambda _, __: None,
            clock=app.clock,
        )
        for name in evaluations_of(app, candidate.workflow)
    ]
    gated = [each for each in found if any(s.gate.model_fields_set for s in each.file.evaluation.scorers.values())]
    if not gated:
        return Proof(verdict="unproven", words="no evaluation with a gate tries this workflow", found=found)
    passed = all(each.passed for each in found)
    return Proof(verdict="passed" if passed else "failed", words="; ".join(map(_in_words, found)), found=found)


def _in_words(found: Evaluated) -> str:
    told = [
        f"{row.name} {_number(row.estimate.value, row.is_share)}"
        + (f" ({_number(row.difference.value, row.is_share, signed=True)})" if row.difference else "")
        + "".join(f", {failure}" for failure in row.failures)
        for row in found.rows
        if row.estimate is not None
    ]
    return f"{found.file.name}: {'; '.join(told)}"


def _number(value: float, is_share: bool, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{value:{sign}.1%}" if is_share else f"{value:{sign}.4g}"
