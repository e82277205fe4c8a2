"""What a dry run would have done: the record of its run, read for everything that leaves the process or waits."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from orchestrion.core import Entry, EntryKind, EntryStatus, Journal, Json, Run
from orchestrion.engine import DryRun, Noted, task_name

from ._phrases import listed, mapping, members
from ._reasons import ruling_in
from ._step import Ruling

Sort = Literal["read", "write", "ask", "wait", "start", "emit", "listen"]
"""start: another workflow is started, and walked as dry as this one unless it is mocked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One thing that a run would do outside, or wait for."""

    sort: Sort
    workflow: str
    """`namespace/name` of the run that would do it."""
    key: str
    task: str
    """JSON pointer."""
    what: str
    """The function or tool; the person's role; the workflow; the event's type."""
    by: str = ""
    """`Agent::billing` where an agent would do it."""
    on: tuple[str, str] | None = None
    """What it acts on, in policy terms."""
    arguments: Json = None
    ruling: Ruling | None = None
    approval: Mapping[str, Json] | None = None
    """The role whose approval policy wants, and what was assumed."""
    answered: str | None = None
    """What it was answered with: `mock …`, `the output schema`; None when it was refused, or nothing is answered."""
    output: Json = None
    problem: Json = None
    mock: str | None = None
    """The name under which a mock answers it."""

    @property
    def name(self) -> str:
        return task_name(self.task)

    @property
    def made_up(self) -> bool:
        """Whether the answer is neither real nor given by anybody."""
        return self.answered in ("the output schema", "the form", "the filter")

    def to_json(self) -> dict[str, Json]:
        ruling = self.ruling
        return {
            "does": self.sort,
            "workflow": self.workflow,
            "task": self.task,
            "key": self.key,
            "what": self.what,
            "by": self.by or None,
            "on": list(self.on) if self.on else None,
            "arguments": self.arguments,
            "decision": {"verdict": ruling.verdict, "policies": list(ruling.policies), "reason": ruling.reason}
            if ruling
            else None,
            "approval": dict(self.approval) if self.approval else None,
            "answered": self.answered,
            "output": self.output,
            "problem": self.problem,
            "mock": self.mock,
        }


async def deeds(journal: Journal, run: Run, dry: DryRun) -> AsyncIterator[Deed]:
    """In the order in which they would begin; what a child workflow would do stands after its start."""
    entries = await journal.entries(run.id)
    by_key = {entry.key: entry for entry in entries}
    workflow = f"{run.namespace}/{run.workflow}"
    for entry in entries:
        noted = dry.noted.get((run.id, entry.key))
        if noted is not None:
            yield _called(workflow, entry, noted, _approval(by_key, entry.key))
        elif (deed := _other(workflow, entry)) is not None:
            yield deed
        child = mapping(entry.output).get("run") or mapping(entry.why).get("run")
        if entry.kind is EntryKind.CHILD and isinstance(child, str):
            inner = await journal.run(child)
            if inner is not None:
                async for deed in deeds(journal, inner, dry):
                    yield deed


def _called(workflow: str, entry: Entry, noted: Noted, approval: Mapping[str, Json] | None) -> Deed:
    kind, name = noted.call.principal
    return Deed(
        sort="read" if noted.effect == "read" else "write",
        workflow=workflow,
        key=entry.key,
        task=entry.task,
        what=noted.call.action,
        by=f"{kind}::{name}" if kind == "Agent" else "",
        on=noted.call.resource,
        arguments=noted.call.arguments,
        ruling=ruling_in(entry),
        approval=approval,
        answered=_answered(entry),
        output=entry.output,
        problem=entry.problem,
        mock=noted.mockable,
    )


def _approval(by_key: Mapping[str, Entry], key: str) -> Mapping[str, Json] | None:
    number, found = 1, None
    while (asked := by_key.get(f"{key}/approval/{number}")) is not None:
        answer = mapping(asked.output)
        found = {
            "role": mapping(asked.input).get("role"),
            "verdict": answer.get("verdict"),
            "reason": answer.get("reason"),
            "answered": _answered(asked),
        }
        number += 1
    return found


def _other(workflow: str, entry: Entry) -> Deed | None:
    """What is no call: questions, waits, other workflows, events."""
    given, output, mock = mapping(entry.input), mapping(entry.output), task_name(entry.task)
    deed = Deed(
        sort="wait",
        workflow=workflow,
        key=entry.key,
        task=entry.task,
        what="",
        answered=_answered(entry),
        problem=entry.problem,
    )
    match entry.kind:
        case EntryKind.REQUEST if entry.function == "human":
            asked: Json = {"title": given.get("title"), "show": given.get("show")}
            whom = str(given.get("role") or given.get("user"))
            return replace(deed, sort="ask", what=whom, arguments=asked, output=output.get("value"), mock=mock)
        case EntryKind.TIMER:
            return replace(deed, arguments={"seconds": _seconds(entry)}, answered=None)
        case EntryKind.CHILD:
            answered = deed.answered or "a dry run of it"
            return replace(
                deed,
                sort="start",
                what=entry.function,
                arguments=entry.input,
                answered=answered,
                output=entry.output,
                mock=mock,
            )
        case EntryKind.LISTEN if entry.status is EntryStatus.INTENT:
            types = [str(mapping(each).get("type") or "any event") for each in members(given.get("filters"))]
            return replace(deed, sort="listen", what=listed(types), mock=mock)
        case EntryKind.EVENT:
            return replace(deed, sort="listen", what=str(output.get("type")), output=output.get("data"), mock=mock)
        case EntryKind.VALUE if "specversion" in output:
            return replace(deed, sort="emit", what=str(output.get("type")), arguments=entry.output)
        case _:
            return None


def _seconds(entry: Entry) -> float | None:
    until = mapping(entry.output).get("until")
    return round(until - entry.started_at, 3) if isinstance(until, int | float) and entry.started_at else None


def _answered(entry: Entry) -> str | None:
    said = mapping(entry.why).get("simulated") or mapping(entry.problem).get("simulated")
    return said if isinstance(said, str) else None
