"""What requests and answers about runs and approvals look like."""

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrion.core import Entry, Json, Request, Run, iso

from ._shapes import Given, Shape


class RunSummary(Shape):
    """A run as lists show it."""

    id: str
    workflow: str = Field(description="`namespace/name`")
    version: str
    status: str
    created_at: str
    started_at: str | None
    ended_at: str | None
    subject: str | None = Field(description="Who started it.")
    problem: Any = None
    cost: Any = None
    parent_id: str | None
    batch: str | None
    row: int | None
    attempt: int
    key: str | None = Field(description="The `Idempotency-Key` that `subject` started it with.")


class RunWhole(RunSummary):
    """A run with what it was given and what came of it."""

    input: Any
    output: Any
    versions: Any
    digest: str
    copied_from: str | None


class RunPage(Shape):
    runs: list[RunSummary]
    next: str | None = Field(description="The cursor of the next page; null at the end.")


class EntrySummary(Shape):
    """A step of a run, without what went in and came out."""

    place: int = Field(description="In the order of first writes.")
    key: str
    kind: str
    status: str
    task: str
    function: str
    problem: Any = None
    decision: Any = None
    cost: Any = None
    model: str | None
    subject: str | None
    started_at: str | None
    ended_at: str | None


class EntryWhole(EntrySummary):
    input: Any
    output: Any
    labels: Any
    why: Any
    versions: Any


class EntryPage(Shape):
    entries: list[EntrySummary]
    next: int | None = Field(description="The place to go on after; null at the end.")


class Approval(Shape):
    """What waits for a person, or waited."""

    id: str
    run: str
    task: str
    kind: Literal["human", "approval", "interrupted"]
    title: str
    role: str | None
    user: str | None
    show: Any = None
    form: Any = Field(default=None, description="JSON Schema of the answer.")
    binding: Any = Field(default=None, description="What an approval counts for; send it back with the answer.")
    status: str
    answer: Any = None
    created_at: str
    expires_at: str | None


class ApprovalList(Shape):
    approvals: list[Approval]


class StartGiven(Given):
    workflow: Annotated[str, Field(min_length=1, max_length=300, description="A workflow's name.")]
    input: Any = Field(default_factory=dict, description="Its input.")
    version: Annotated[str | None, Field(max_length=100)] = Field(
        default=None, description="A version: its digest, an alias, or `working`: the files as they are."
    )
    followed: bool = Field(
        default=False, description="Its events are asked for at once: what agents say until then is kept for them."
    )


class RerunGiven(Given):
    task: Annotated[str | None, Field(min_length=1, max_length=300)] = Field(
        default=None,
        description="A task of the outermost list: what came before it is taken over. Null: everything anew.",
    )
    input: Any = Field(default=None, description="Another input; only where everything is done anew.")


class AnswerGiven(Given):
    verdict: Literal["answered", "approved", "rejected", "again", "performed", "failed"]
    value: Any = Field(default=None, description="The answer to a question, or the outcome of an interrupted call.")
    reason: Annotated[str | None, Field(max_length=10_000)] = None
    binding: Any = Field(
        default=None, description="The approval's `binding` as it was shown: refused if it has changed since."
    )


class FeedbackGiven(Given):
    thumb: Literal["good", "bad"] | None = None
    correction: Any = Field(default=None, description="What the output, or fields of it, should have been.")
    note: Annotated[str | None, Field(max_length=4000)] = None


class FeedbackShape(Shape):
    run: str
    at: str
    by: str
    thumb: str | None
    correction: Any
    note: str | None


class FeedbackList(Shape):
    feedback: list[FeedbackShape]


def run_summary(run: Run) -> dict[str, Json]:
    """`RunSummary` as JSON."""
    return {
        "id": run.id,
        "workflow": f"{run.namespace}/{run.workflow}",
        "version": run.version,
        "status": run.status.value,
        "created_at": iso(run.created_at),
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
        "subject": run.subject,
        "problem": run.problem,
        "cost": run.cost,
        "parent_id": run.parent_id,
        "batch": run.batch,
        "row": run.row,
        "attempt": run.attempt,
        "key": _own_key(run),
    }


def _own_key(run: Run) -> str | None:
    whose = f"{run.subject}/"
    return run.start_key[len(whose) :] if run.start_key is not None and run.start_key.startswith(whose) else None


def run_whole(run: Run) -> dict[str, Json]:
    """`RunWhole` as JSON."""
    return {
        **run_summary(run),
        "input": run.input,
        "output": run.output,
        "versions": run.versions,
        "digest": run.digest,
        "copied_from": run.copied_from,
    }


def entry_summary(place: int, entry: Entry) -> dict[str, Json]:
    """`EntrySummary` as JSON."""
    return {
        "place": place,
        "key": entry.key,
        "kind": entry.kind.value,
        "status": entry.status.value,
        "task": entry.task,
        "function": entry.function,
        "problem": entry.problem,
        "decision": entry.decision,
        "cost": entry.cost,
        "model": entry.model,
        "subject": entry.subject,
        "started_at": _time(entry.started_at),
        "ended_at": _time(entry.ended_at),
    }


def entry_whole(place: int, entry: Entry) -> dict[str, Json]:
    """`EntryWhole` as JSON."""
    labels: Json = {place: list(found) for place, found in entry.labels.items()} if entry.labels else None
    return {
        **entry_summary(place, entry),
        "input": entry.input,
        "output": entry.output,
        "labels": labels,
        "why": entry.why,
        "versions": entry.versions,
    }


def approval(request: Request) -> dict[str, Json]:
    """`Approval` as JSON."""
    return {**request.to_json(), "binding": request.question.binding}


def _time(at: float | None) -> str | None:
    return iso(at) if at is not None else None
