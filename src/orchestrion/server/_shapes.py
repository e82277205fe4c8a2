"""What requests and answers look like. Times are RFC 3339 text in UTC; costs are US dollars."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrion.core import Entry, Json, Request, Run, iso

Text = Annotated[str, Field(max_length=1000)]


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class Given(BaseModel):
    """What somebody sends: nothing that is not expected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProblemShape(Shape):
    """Why a request failed (RFC 9457)."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: str
    status: int
    title: str = ""
    detail: str | None = None
    code: str = Field(description="Stable; all of them stand in the reference of errors.")
    hint: str | None = Field(default=None, description="What to do next.")


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


class Acting(Shape):
    """Who is signed in."""

    name: str
    roles: list[str]


class Health(Shape):
    status: Literal["ok"]


class Ready(Shape):
    status: Literal["ready"]


class WorkflowShape(Shape):
    name: str = Field(description="`namespace/name`")
    version: str
    title: str | None
    digest: str
    schedule: str | None = Field(description="In words.")


class WorkflowWhole(WorkflowShape):
    text: str
    file: str | None = Field(description="Where it stands, if the project's files have exactly this.")


class WorkflowList(Shape):
    workflows: list[WorkflowShape]


class ChangeShape(Shape):
    piece: str
    words: str


class Comparison(Shape):
    before: str
    after: str
    changes: list[ChangeShape]


class ReleasedShape(Shape):
    workflow: str
    alias: str
    version: str
    before: str | None
    changes: list[ChangeShape]
    in_flight: dict[str, int] = Field(description="Version → runs that are under way with it, and stay with it.")


class DeployGiven(Given):
    version: Annotated[str, Field(min_length=1, max_length=100)] = "working"
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "production"
    why: Text = ""


class RollBackGiven(Given):
    to: Annotated[str | None, Field(min_length=1, max_length=100)] = Field(
        default=None, description="Another version than the last one."
    )
    why: Text = ""


class VersionShape(Shape):
    digest: str
    workflow: str
    version: str
    aliases: list[str]
    created_at: str
    created_by: str
    source: str | None


class VersionList(Shape):
    versions: list[VersionShape]


class RolloutShape(Shape):
    id: str
    workflow: str
    candidate: str
    control: str
    status: str
    plan: Any
    created_at: str
    created_by: str
    ended_at: str | None
    runs: Any = Field(description="How many runs each side had.")
    verdict: str | None = Field(description="How it stands or ended, in a sentence.")
    evidence: Any = None


class RolloutList(Shape):
    rollouts: list[RolloutShape]


class AgentShape(Shape):
    name: str
    kind: Literal["agent", "team"]
    description: str | None


class AgentList(Shape):
    agents: list[AgentShape]


class PartnerShape(Shape):
    """An agent, a team or a workflow that takes what somebody says and answers."""

    name: str = Field(
        description="The workflow to start: `agents/NAME` and `teams/NAME` take `{input, session, history}`."
    )
    kind: Literal["agent", "team", "workflow"]
    description: str
    input: Any = Field(description="JSON Schema of what it is given.")
    output: Any = Field(description="JSON Schema of what it gives; null where that depends.")
    text: str | None = Field(description="The field of the input that takes what a person says.")


class PartnerList(Shape):
    partners: list[PartnerShape]


class FindingShape(Shape):
    """What there is to say about a file, and where."""

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    hint: str | None


class FileSummary(Shape):
    path: str
    kind: str = Field(description="Its folder; `settings` for orchestrion.yaml.")
    digest: str = Field(description="SHA-256 of its text.")


class FileList(Shape):
    files: list[FileSummary]


class FileWhole(FileSummary):
    text: str
    findings: list[FindingShape] = Field(
        description="Of the whole project: errors first, and those of this file before the rest."
    )


class FileChanged(Shape):
    file: FileSummary | None = Field(description="As it is now, or would be; null when it is gone.")
    text: str | None
    written: bool
    findings: list[FindingShape] = Field(
        description="Of the whole project with the change: errors first, and those of this file before the rest."
    )


class TextGiven(Given):
    text: str = Field(description="All of the file.")
    digest: str | None = Field(default=None, description="Of what it replaces; null where there is no such file yet.")
    dry: bool = Field(default=False, description="Only say what would be found; nothing is written.")


class SetGiven(Given):
    """Give the value at a place; a field that its object does not have is added at the end."""

    op: Literal["set"]
    path: Text = Field(description="JSON pointer.")
    value: Any


class InsertGiven(Given):
    """Put an item into a list before the one at a place; `/-` as the last step appends."""

    op: Literal["insert"]
    path: Text = Field(description="JSON pointer.")
    value: Any


class RemoveGiven(Given):
    """Take away the field or item at a place."""

    op: Literal["remove"]
    path: Text = Field(description="JSON pointer.")


class RenameGiven(Given):
    """Give a task another name, also where a `then` leads to it."""

    op: Literal["rename"]
    task: Text
    to: Text


class EditsGiven(Given):
    operations: Annotated[
        list[Annotated[SetGiven | InsertGiven | RemoveGiven | RenameGiven, Field(discriminator="op")]],
        Field(min_length=1, max_length=500, description="One after the other, each on what the one before left."),
    ]
    digest: str = Field(description="Of the text they are meant for.")
    dry: bool = Field(default=False, description="Only say what would come of it; nothing is written.")


class V1Model(Shape):
    """A partner, as OpenAI's clients know models."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str


class V1ModelList(Shape):
    object: Literal["list"]
    data: list[V1Model]


class Completion(Shape):
    """An answer, as OpenAI's clients know it; `orchestrion` names the run, its status, its output and what waits for a person."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Any]
    usage: Any
    orchestrion: Any


class AgentCard(Shape):
    """What other agents are offered, as the Agent2Agent protocol tells it."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    skills: list[Any]


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


class WatchedShape(Shape):
    """What was counted, and what drifted."""

    measures: list[Any] = Field(
        description="One for each agent, model, tool, router and workflow, with runs behind them."
    )
    drift: list[Any]


class ModelShape(Shape):
    name: str
    provider: str


class ModelList(Shape):
    models: list[ModelShape]


class SessionShape(Shape):
    name: str
    agent: str
    turns: int
    created_at: str
    updated_at: str


class SessionList(Shape):
    sessions: list[SessionShape]


class TurnShape(Shape):
    agent: str
    number: int
    run: str
    at: str
    labels: list[str]
    messages: list[Any]


class SessionWhole(Shape):
    name: str
    turns: list[TurnShape]


class ScheduleShape(Shape):
    workflow: str
    words: str
    timezone: str
    paused_by: str | None
    last_at: str | None
    last_run: str | None
    next: list[str]


class ScheduleList(Shape):
    schedules: list[ScheduleShape]


class UserList(Shape):
    users: list[Acting]


class Received(Shape):
    source: str
    id: str
    new: bool = Field(description="False where an event of this source and id was known already.")


class EventShape(Shape):
    source: str
    id: str
    type: str
    received_at: str
    routed: bool
    deliveries: int


class EventList(Shape):
    events: list[EventShape]


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
