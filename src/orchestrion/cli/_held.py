"""Steps that hold others: attempts, and branches that meet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrion.core import Json

from ._phrases import counted, lasting, mapping
from ._place import Node
from ._step import Reason, Step


def tries(node: Node, steps: Sequence[Step]) -> list[Reason]:
    tries = sum(step.kind == "attempt" for step in steps)
    reasons = [Reason("result", f"tried {tries} times")] if tries > 1 else []
    waits = [entry for fact, entry in node.facts.items() if fact.startswith("retry~")]
    reasons += [
        Reason("time", f"waited {lasting(max(0.0, until - entry.started_at))} before trying again")
        for entry in waits
        if entry.started_at is not None and isinstance(until := mapping(entry.output).get("until"), int | float)
    ]
    if any(step.kind == "caught" for step in steps) or "try/caught" in node.facts:
        reasons.append(Reason("branch", "the failure was caught, and the run went on"))
    return reasons


def joined(node: Node, steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], list[Reason]]:
    """Branches, with what their meeting decided about each."""
    join = node.facts.get("fork/branches/join")
    reasons = [Reason("result", counted(len(steps), "branch", "branches") + " at once")]
    if join is None:
        return steps, reasons
    numbers = {inner.place.key: inner.place.number for inner in node.inside.values()}
    decided = mapping(join.output)
    winner, failed = decided.get("winner"), decided.get("failed")
    told: list[Step] = []
    for step in steps:
        number = numbers.get(step.key)
        if winner is not None and number == winner:
            told.append(because(step, Reason("branch", "came first; the others were stopped")))
        elif winner is not None and step.status not in ("failed", "denied"):
            told.append(because(replace(step, status="abandoned"), Reason("branch", "another branch came first")))
        elif failed is not None and number != failed and step.status != "done":
            told.append(because(replace(step, status="abandoned"), Reason("branch", "another branch failed")))
        else:
            told.append(step)
    return tuple(told), reasons


def join_of(node: Node) -> Mapping[str, Json]:
    join = node.facts.get("fork/branches/join")
    return mapping(join.output) if join else {}


def because(step: Step, reason: Reason) -> Step:
    return replace(step, reasons=(reason, *step.reasons))
