"""How a run of a rollout went, by its record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from orchestrion.core import Entry, EntryKind, Journal, Json, Run, RunStatus, UserError
from orchestrion.expressions import Expressions
from orchestrion.oversight import Facts, Plan
from orchestrion.registry import TrialRun
from orchestrion.spec import steps_of

ANSWER = "final_result"
"""The tool by which a model gives its answer: no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How a run of a rollout went until it ended, or first asked a person: days of waiting are not waited for."""

    at: float
    """When that is known for good: after the plan's `hold`."""
    loss: float
    violation: str | None = None


async def judge(journal: Journal, expressions: Expressions, plan: Plan, trial: TrialRun) -> Judged | None:
    """None for a run that goes on, and has asked nobody. Raises: UserError `bad-loss`, and about the plan's programs."""
    if not trial.ended and not trial.waiting:
        return None
    run = await journal.run(trial.id)
    entries = await journal.entries(trial.id)
    asked = [each for each in entries if each.kind is EntryKind.REQUEST and each.started_at is not None]
    at = min((each.started_at or 0.0 for each in asked), default=trial.ended_at)
    if run is None or at is None:
        return None
    facts = _facts(run, [each for each in entries if (each.started_at or at) <= at], at, waiting=bool(asked))
    facts = replace(facts, corrected=trial.corrected)
    loss, violation = facts.lost(plan), None
    programs = [program for program in (plan.loss, plan.violation) if program is not None]
    if programs:
        results = await expressions.evaluate(programs, {".": cast("Json", facts.to_json())})
        if plan.loss is not None:
            loss = max(loss, _share(results[0]))
        if plan.violation is not None and results[-1] is True:
            violation = f"the run {trial.id} was a violation: {plan.violation}"
    return Judged(at=at + plan.hold, loss=loss, violation=violation)


def deadline(plan: Plan, trial: TrialRun) -> float | None:
    """When a run that still goes on is a loss."""
    return None if plan.seconds is None or trial.started_at is None else trial.started_at + plan.seconds


def value_at(value: Json, pointer: str) -> Json:
    """What stands at a JSON pointer; None where nothing does."""
    for step in steps_of(pointer):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _facts(run: Run, entries: Sequence[Entry], at: float, *, waiting: bool) -> Facts:
    costs = [each.cost for each in entries if isinstance(each.cost, dict)]
    micros = [cost.get("usd_micros") for cost in costs]
    decisions = [each.decision for each in entries if isinstance(each.decision, dict)]
    return Facts(
        status=RunStatus.WAITING if waiting else run.status,
        input=run.input,
        output=None if waiting else run.output,
        problem=None if waiting else run.problem,
        seconds=at - (run.started_at or run.created_at),
        usd=sum(each for each in micros if isinstance(each, int | float)) / 1_000_000,
        denied=sum(decision.get("verdict") == "deny" for decision in decisions),
        asked=sum(each.kind is EntryKind.REQUEST for each in entries),
        calls=tuple(name for each in entries for name in _called(each)),
    )


def _called(entry: Entry) -> list[str]:
    """Names of the tools that a model called in an answer."""
    parts = entry.output.get("parts") if entry.function == "model:1.0.0" and isinstance(entry.output, dict) else None
    called = [each for each in parts if isinstance(each, dict)] if isinstance(parts, list | tuple) else []
    names = [each.get("tool_name") for each in called if each.get("part_kind") == "tool-call"]
    return [name for name in names if isinstance(name, str) and name != ANSWER]


def _share(result: Json) -> float:
    """A loss as a program gives it."""
    if isinstance(result, bool) or (isinstance(result, int | float) and 0 <= result <= 1):
        return float(result)
    raise UserError("bad-loss", f"The loss of a run came out as {result!r}.", hint="Give true, false, or 0 to 1.")
