"""What a step gets from inside and around it: times, costs, notes of what counts no more, deadlines, the run's problem."""

from dataclasses import replace

from orchestrion.core import Entry, EntryStatus, Problem

from ._held import because
from ._phrases import lasting, mapping
from ._place import Node
from ._reasons import cost_in, function_name, problem_in
from ._step import Reason, Status, Step

_NOTABLE = frozenset({"", "answer", "child", "enter"})
"""Facts that are worth a note once they were set aside."""


def finished(node: Node, told: Step, problem: Problem | None) -> Step:
    """`told`, complete. `problem` is what the run failed of, where it failed of it here."""
    notes = [note for fact, mark, entry in node.notes if (note := _note(told, fact, mark, entry)) is not None]
    steps = (*notes, *told.steps)
    begun = [one.started_at for one in (told, *steps, *node.facts.values()) if one.started_at is not None]
    ended = [step.ended_at for step in steps if step.ended_at is not None]
    over = told.status not in ("waiting", "running", "interrupted")
    again = sum(mark.isdigit() and fact in _NOTABLE for fact, mark, _ in node.notes)
    told = replace(
        told,
        steps=steps,
        started_at=min(begun, default=None),
        ended_at=(told.ended_at or max(ended, default=None)) if over else None,
        attempts=max(told.attempts, 1 + again),
        cost=sum((step.cost for step in steps), told.cost),
    )
    told = _with_deadline(node, told)
    if problem is None or told.problem is not None or told.status in ("denied", "abandoned"):
        return told
    return replace(told, status="failed", problem=problem)


def _with_deadline(node: Node, told: Step) -> Step:
    """Failed, if its time was up."""
    entry = node.facts.get("deadline")
    if entry is None or entry.started_at is None:
        return told
    output = mapping(entry.output)
    at = output.get("at")
    if output.get("first") != "deadline" or not isinstance(at, int | float):
        return told
    reason = Reason("time", f"its time of {lasting(max(0.0, at - entry.started_at))} was up")
    return because(replace(told, status="failed", ended_at=entry.ended_at), reason)


def _note(told: Step, fact: str, mark: str, entry: Entry) -> Step | None:
    if fact not in _NOTABLE and not fact.startswith("fallback/"):
        return None
    if mark == "late":
        name, words = "late outcome", "its outcome came too late and did not count"
    else:
        name, words = f"attempt {mark}", f"set aside: the run was tried again after attempt {mark}"
    status: Status = "failed" if entry.status is EntryStatus.FAILED else "abandoned"
    return Step(
        key=entry.key,
        name=name,
        title=f"{told.title}: {name}",
        kind="note",
        status=status,
        function=function_name(entry),
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        cost=cost_in(entry),
        who=entry.subject,
        reasons=(Reason("record", words),),
        problem=problem_in(entry.problem),
        input=entry.input,
        output=entry.output,
    )
