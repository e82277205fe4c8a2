"""What a run did, read from its record: the one thing that all scorers look at."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from orchestrion.core import BugError, Entry, EntryKind, Json, Run, digest
from orchestrion.engine import DryRun, task_name

FORMAT = 1
"""Of what is kept of a case; another one makes kept results unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to try, and what is known to be right."""

    name: str
    """`messages.csv:12`, `case 3`, `run 01J…`."""
    input: Json
    truth: Json = None
    """An object; scorers name what they want of it."""
    mocks: Json = None
    """Answers by task, or `task/tool`, as in a file of mocks."""
    approve: bool | None = None

    @property
    def digest(self) -> str:
        """Of everything that decides how a version answers it. What is right takes no part."""
        return digest([FORMAT, self.input, self.mocks, self.approve])


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call of a function or tool."""

    name: str
    by: str
    """`Agent::billing`, or `Workflow::support/triage`."""
    task: str
    arguments: Json
    verdict: str | None = None
    """What policy said: `allow`, `deny`, `needs-approval`; None where it is not asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one version did with one case."""

    status: str
    output: Json = None
    problem: Json = None
    tasks: tuple[str, ...] = ()
    """Names of the tasks that were reached, in order, each once."""
    calls: tuple[Called, ...] = ()
    usd_micros: int = 0
    unpriced: int = 0
    """Requests to models whose price is not known."""
    seconds: float = 0.0
    run: str = ""

    def to_json(self) -> Json:
        return cast("Json", asdict(self))

    @staticmethod
    def from_json(kept: Json) -> "Observation":
        """The observation that `to_json` gave. Raises: BugError `evaluation-unreadable`."""
        try:
            said = cast("dict[str, Any]", dict(cast("Mapping[str, Json]", kept)))
            calls = tuple(Called(**call) for call in said.pop("calls"))
            tasks = tuple(said.pop("tasks"))
            return Observation(calls=calls, tasks=tasks, **said)
        except (TypeError, KeyError, ValueError) as error:
            raise BugError("evaluation-unreadable", f"What is kept of an evaluation: {error}") from None


@dataclass(slots=True)
class _Seen:
    tasks: dict[str, None] = field(default_factory=dict[str, None])
    calls: list[Called] = field(default_factory=list[Called])
    usd_micros: int = 0
    unpriced: int = 0
    last_at: float = 0.0


def observe(records: Sequence[tuple[Run, Sequence[Entry]]], dry: DryRun) -> Observation:
    """What a run did: its record, then those of the runs it started."""
    run = records[0][0]
    seen = _Seen(last_at=run.started_at or run.created_at)
    for each, entries in records:
        asked = {
            entry.key.rpartition("/approval/")[0]
            for entry in entries
            if entry.kind is EntryKind.REQUEST and entry.function == "approval"
        }
        for entry in entries:
            _look(seen, each, entry, dry, asked)
    return Observation(
        status=run.status.value,
        output=run.output,
        problem=run.problem,
        tasks=tuple(seen.tasks),
        calls=tuple(seen.calls),
        usd_micros=seen.usd_micros,
        unpriced=seen.unpriced,
        seconds=round(max(0.0, (run.ended_at or seen.last_at) - (run.started_at or run.created_at)), 6),
        run=run.id,
    )


def _look(seen: _Seen, run: Run, entry: Entry, dry: DryRun, asked: set[str]) -> None:
    if entry.task and entry.kind is not EntryKind.NOTE:
        seen.tasks[task_name(entry.task)] = None
    seen.last_at = max(seen.last_at, entry.ended_at or entry.started_at or 0.0)
    why = _mapping(entry.why)
    if entry.function == "model:1.0.0" and entry.cost is not None and why.get("answered_by") != "rules":
        seen.usd_micros += cast("int", _mapping(entry.cost).get("usd_micros", 0))
        seen.unpriced += why.get("price_known") is False
    if entry.kind is EntryKind.LEAF:
        seen.calls.append(_called(run, entry, dry, asked))
    elif entry.kind is EntryKind.REQUEST and entry.function == "approval" and entry.output is None:
        show = _mapping(_mapping(entry.input).get("show"))  # nobody answered, so the call itself has no entry yet
        seen.calls.append(
            Called(
                name=str(show.get("action")),
                by=entry.subject or "",
                task=task_name(entry.task),
                arguments=show.get("arguments"),
                verdict="needs-approval",
            )
        )


def _called(run: Run, entry: Entry, dry: DryRun, asked: set[str]) -> Called:
    noted = dry.noted.get((run.id, entry.key))
    verdict = _mapping(entry.decision).get("verdict")
    return Called(
        name=noted.call.action if noted else entry.function.partition(":")[0],
        by=entry.subject or "",
        task=task_name(entry.task),
        arguments=noted.call.arguments if noted else entry.input,
        verdict="needs-approval" if entry.key in asked else str(verdict) if verdict else None,
    )


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
