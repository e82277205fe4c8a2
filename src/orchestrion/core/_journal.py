"""The journal's words: runs, entries, requests, and the writes that change them."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from ._clock import iso
from ._effects import Answer, Question
from ._events import EventLog, Publish, Subscribe, Took, Unsubscribe
from ._json import Json
from ._schedules import ScheduleState


class RunStatus(StrEnum):
    """pending: accepted, not yet begun. running: in some process's memory. waiting: asleep, costs nothing."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAULTED = "faulted"
    CANCELLED = "cancelled"
    DIVERGED = "diverged"

    @property
    def ended(self) -> bool:
        return self in {RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED}


class EntryKind(StrEnum):
    """What a row of a run's journal records."""

    LEAF = "leaf"
    """A leaf call: intent, then outcome."""
    CHOICE = "choice"
    """Something that depended on arrival order: a fork's winner, timeout or completion, a cancel."""
    TIMER = "timer"
    """A recorded deadline, and when it passed."""
    REQUEST = "request"
    """A person was asked, and the answer taken."""
    CHILD = "child"
    """Another run was started, and its end taken."""
    LISTEN = "listen"
    """The run listens for events, until it does no longer."""
    EVENT = "event"
    """An event was taken: its output is the event."""
    VALUE = "value"
    """A recorded time or random number."""
    SCOPE = "scope"
    """Where recovery may start; upserted."""
    TRACE = "trace"
    """A pure task, recomputed on each walk and compared; never consulted."""
    NOTE = "note"
    """Something that happened and changes nothing: a late outcome, a superseded attempt."""


class EntryStatus(StrEnum):
    INTENT = "intent"
    COMPLETED = "completed"
    FAILED = "failed"
    ABANDONED = "abandoned"
    """An intent whose scope closed before an outcome; shown, never retried."""


REMEMBERED = frozenset({EntryKind.CHILD, EntryKind.EVENT, EntryKind.LISTEN})
"""What a walk may ask about from elsewhere: events already taken, children that a cancel must reach."""


def is_done_with(kind: EntryKind, status: EntryStatus) -> bool:
    """Whether an entry in a finished place is asked for no more."""
    return status is not EntryStatus.INTENT and kind not in REMEMBERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a run's journal. The columns are final: console, audit, replays and evaluations read the same rows."""

    key: str
    kind: EntryKind
    status: EntryStatus
    task: str = ""
    function: str = ""
    digest: str = ""
    """Of the invocation; compared on replay."""
    input: Json = None
    output: Json = None
    problem: Json = None
    labels: Mapping[str, Sequence[str]] | None = None
    """Of the output, per JSON pointer."""
    decision: Json = None
    why: Json = None
    cost: Json = None
    model: str | None = None
    versions: Json = None
    subject: str | None = None
    """Who acted: `Agent::billing`, `User::ana`, `Workflow::support/triage`."""
    started_at: float | None = None
    ended_at: float | None = None
    epoch: int = 0

    def decided(self, decision: Json) -> "Entry":
        """The entry with what the gate said."""
        return Entry(
            key=self.key,
            kind=self.kind,
            status=self.status,
            task=self.task,
            function=self.function,
            digest=self.digest,
            input=self.input,
            decision=decision,
            why=self.why,
            subject=self.subject,
            started_at=self.started_at,
            epoch=self.epoch,
        )

    def ended(
        self,
        status: EntryStatus,
        at: float,
        *,
        output: Json = None,
        labels: Mapping[str, Sequence[str]] | None = None,
        problem: Json = None,
        why: Json = None,
        cost: Json = None,
        model: str | None = None,
    ) -> "Entry":
        """The entry with its outcome. Written out, for `replace` takes as long as all else that a step costs."""
        return Entry(
            key=self.key,
            kind=self.kind,
            status=status,
            task=self.task,
            function=self.function,
            digest=self.digest,
            input=self.input,
            output=output,
            problem=problem,
            labels=labels,
            decision=self.decision,
            why=self.why if why is None else why,
            cost=cost,
            model=model,
            versions=self.versions,
            subject=self.subject,
            started_at=self.started_at,
            ended_at=at,
            epoch=self.epoch,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of one version of a workflow."""

    id: str
    namespace: str
    workflow: str
    version: str
    digest: str
    """Of the document's canonical JSON; `Journal.document` gives the text back."""
    semantics: int
    status: RunStatus = RunStatus.PENDING
    epoch: int = 0
    start_key: str | None = None
    batch: str | None = None
    row: int | None = None
    input: Json = None
    output: Json = None
    problem: Json = None
    fault_key: str | None = None
    """The entry the fault came from; `retry` supersedes it."""
    labels: Mapping[str, Sequence[str]] | None = None
    """Of the input, and of the output once there is one."""
    decision: Json = None
    cost: Json = None
    versions: Json = None
    """The digests of everything beside the document that decides its behaviour: agents, policies, routers."""
    subject: str | None = None
    """Who started it."""
    parent_id: str | None = None
    parent_key: str | None = None
    root_id: str | None = None
    copied_from: str | None = None
    """The run whose beginning this one took over (`rerun --from`)."""
    attempt: int = 1
    inbox_seq: int = 0
    cancel_requested_by: str | None = None
    wake_at: float | None = None
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None


class RequestStatus(StrEnum):
    OPEN = "open"
    DECIDED = "decided"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """Nobody needs the answer any more: the run was cancelled, or the scope closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A question to a person, addressed to exactly one key of one run."""

    id: str
    run_id: str
    key: str
    task: str
    question: Question
    status: RequestStatus = RequestStatus.OPEN
    answer: Answer | None = None
    created_at: float
    expires_at: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As scripts see it, times in ISO 8601."""
        question, answer = self.question, self.answer
        return {
            "id": self.id,
            "run": self.run_id,
            "task": self.task,
            "kind": question.kind,
            "title": question.title,
            "role": question.role,
            "user": question.user,
            "show": question.show.value,
            "form": question.form,
            "status": self.status.value,
            "answer": answer.to_json() if answer else None,
            "created_at": iso(self.created_at),
            "expires_at": iso(self.expires_at) if self.expires_at is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Something in a run's inbox: an answer to a request, a child's end, an event. Addressed to one key."""

    id: str
    """Unique in the inbox; sending it again changes nothing."""
    key: str
    kind: Literal["answer", "child", "event"]
    body: Json
    seq: int = 0


# --- writes: one list of them is one transaction, and all concern one run ---


@dataclass(frozen=True, slots=True)
class Put:
    """Insert the entry, or replace the one at its key."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Move:
    """Set an entry aside under another key, as a note: it happened, and no longer counts."""

    key: str
    to_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRun:
    """Change the run's row. None leaves a column as it is."""

    status: RunStatus | None = None
    output: Json = None
    problem: Json = None
    fault_key: str | None = None
    labels: Mapping[str, Sequence[str]] | None = None
    cost: Json = None
    wake_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Open a request; opening it again changes nothing."""

    request: Request


@dataclass(frozen=True, slots=True)
class CloseRequests:
    """Every open request of the run at or below a key is no longer needed, or has expired."""

    key: str
    status: RequestStatus


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a child run; starting it again changes nothing."""

    run: Run


@dataclass(frozen=True, slots=True)
class Tell:
    """Put a message into another run's inbox and raise its `inbox_seq`; sending it again changes nothing."""

    run_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Ask another run (a child) to stop."""

    run_id: str
    by: str


Write: TypeAlias = (
    Put | Move | SetRun | Ask | CloseRequests | Begin | Tell | CancelRun | Publish | Subscribe | Unsubscribe | Took
)


class Written(asyncio.Future[None]):
    """A queued write. It cannot be cancelled: a task cancelled while it waits for one waits on, and is cancelled then."""

    kept: "Sequence[Entry]" = ()
    """Those of its entries that have large values, in a form that reads them from the store when they are asked for."""

    def cancel(self, msg: object = None) -> bool:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All that a process needs to walk a run."""

    run: Run
    entries: Mapping[str, Entry]
    """Without those that scope rows call finished, where the journal keeps them elsewhere than in memory."""
    messages: Sequence[Message]
    written: int = 0
    """How many entries the run has in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A row of a batch that was set aside, with the reasons."""

    batch: str
    row: int
    value: Json
    """As read; text that could not be decoded is given with replacement characters."""
    reasons: Sequence[str]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; newest first."""

    status: Sequence[RunStatus] = ()
    workflow: str | None = None
    batch: str | None = None
    parent_id: str | None = None
    limit: int = 50
    before_id: str | None = None
    """Cursor: only runs created before this one."""
    before: tuple[float, str] | None = None
    """Cursor by what it stands for: only runs created before this time, or then and with a smaller id."""
    ids: Sequence[str] | None = None
    """Only these."""
    start_keys: Sequence[str] | None = None
    """Only those started with one of these."""
    since: float | None = None
    """Only runs created then or later."""
    bare: bool = False
    """Without inputs, outputs and versions, which may be large: those are None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRuns:
    """Runs that have to be walked further."""

    count: int
    ids: Sequence[str]
    """Of the oldest, at most five."""


class Journal(EventLog, Protocol):
    """The durable record of runs. Storage only: it knows nothing of workflows. One suite tests every implementation.

    Writes of one process become durable in the order they were given, so whatever is readable after a crash is a prefix.
    """

    # documents
    async def keep_document(self, digest: str, source: str) -> None:
        """Store a version's source text under its digest, once."""
        ...

    async def document(self, digest: str) -> str:
        """Raises: UserError `unknown-document`."""
        ...

    # starting
    async def start(self, run: Run) -> Run:
        """Insert a run and return this very object; with a `start_key` already used, return the run that used it, unchanged.

        It is pending, or running with epoch 1 when the caller advances it at once.
        """
        ...

    async def copy(self, run: Run, entries: Sequence[Entry]) -> Run:
        """Insert a pending run that already has a history (`rerun --from`), in one transaction."""
        ...

    # walking
    async def claim(self, run_id: str) -> History | None:
        """Take the run: epoch + 1, status running, and its history; None if it has ended or is taken (already running)."""
        ...

    def write(self, run_id: str, epoch: int, writes: Sequence[Write]) -> Written:
        """Queue one transaction; the future resolves when it is durable.

        Raises (through the future): Fenced when the run's epoch has moved on; UserError for a row that cannot be stored.
        """
        ...

    async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
        """Put the run to sleep unless its inbox moved past `seen_seq` or a cancel was requested; False then."""
        ...

    async def inbox(self, run_id: str, after_seq: int) -> Sequence[Message]:
        """Messages newer than `after_seq`, oldest first."""
        ...

    async def runnable(self, now: float, limit: int) -> Sequence[str]:
        """Ids of runs to advance: sleepers with news in their inbox, a cancel, or `wake_at` <= now; then pending ones.

        What has begun goes first, so that a long backlog of new runs does not keep timers and answers waiting.
        """
        ...

    async def next_wake(self) -> float | None:
        """When the earliest sleeper wants to be woken."""
        ...

    async def release(self, run_id: str | None = None) -> Sequence[str]:
        """Runs that a dead process left `running` become pending again. Called once by the process that owns the store.

        With `run_id`, only this one: the process itself has lost it, because a write failed for a reason that may pass.
        """
        ...

    async def open_semantics(self) -> Mapping[int, OpenRuns]:
        """The `semantics` of runs that have not ended and that nobody has asked to stop."""
        ...

    async def foreign_change(self) -> bool:
        """Whether another process has written to the store since the last call. Cheap enough to ask often."""
        ...

    # schedules
    async def schedules(self) -> Sequence[ScheduleState]:
        """Every one that was kept, by name."""
        ...

    async def reschedule(self, state: ScheduleState, runs: Sequence[Run] = ()) -> Sequence[Run] | None:
        """Replace the state that has the same revision (0: there is none yet), and start `runs`, in one transaction.

        The state is kept with the next revision. Runs come back as `start` gives them. None, with nothing done, when another
        change came first.
        """
        ...

    # leading: where several processes may advance runs, one at a time does
    def leading(self) -> bool:
        """Whether this process is certain, right now, to be the one that advances runs. Asked before every effect."""
        ...

    async def regain(self) -> bool:
        """Wait until it is certain again; False once another process has taken over."""
        ...

    def when_deposed(self, tell: Callable[[], None]) -> None:
        """Call `tell` on the running loop as soon as another process has taken over; at once if one has."""
        ...

    # people
    async def answer(self, request_id: str, answer: Answer) -> Request:
        """Decide a request and tell its run, in one transaction.

        The message carries the request's id as its own, and `Answer.to_json` as its body. An answer without a binding takes
        the request's. Raises: UserError `unknown-request`, `already-decided` (naming who and when), `request-expired`,
        `request-withdrawn`, `binding-changed`.
        """
        ...

    async def cancel(self, run_id: str, by: str) -> Run:
        """Ask a run to stop. Raises: UserError `unknown-run`, `run-ended`."""
        ...

    async def retry(self, run_id: str, by: str) -> Run:
        """Set a faulted or diverged run going again: pending, `attempt` + 1, `epoch` + 1.

        The failed entry becomes a note at `<key>!<attempt>`, and so does what was concluded from it: choices that stand directly
        below a scope around it. What was abandoned when those scopes or the run ended is an intent again; a question that got no
        answer, or belonged to the failed call, is asked anew; a failed child is tried again with its parent. A note at
        `/retry/<attempt>` says who did it.

        Raises: UserError `unknown-run`, `not-faulted`.
        """
        ...

    # reading
    async def run(self, run_id: str) -> Run | None: ...

    async def find(self, fragment: str) -> Sequence[str]:
        """Ids of runs that begin with `fragment`, or are recent and contain it, at most ten: people abbreviate.

        A whole id gives itself alone.
        """
        ...

    async def runs(self, which: RunFilter) -> Sequence[Run]: ...

    async def count(self, *, batch: str | None = None, ended: bool = True) -> Mapping[RunStatus, int]:
        """How many there are of each status. Without those that have `ended` it takes no longer as the store grows."""
        ...

    async def completed_rows(self, batch: str) -> Collection[int]:
        """Rows of a batch whose runs have completed. Copies of runs do not count."""
        ...

    async def entries(self, run_id: str) -> Sequence[Entry]:
        """In the order they were first written."""
        ...

    async def spent(self, run_id: str) -> Json:
        """What the run's entries cost together, an object of sums; None for nothing."""
        ...

    async def requests(
        self, *, run_id: str | None = None, status: RequestStatus | None = None, limit: int | None = None
    ) -> Sequence[Request]:
        """Oldest first."""
        ...

    async def request(self, request_id: str) -> Request | None:
        """By id, or by a fragment of it that only one has."""
        ...

    async def quarantine(self, rows: Sequence[Quarantined]) -> None: ...

    async def quarantined(self, batch: str) -> Sequence[Quarantined]: ...

    async def late(self, run_id: str, entry: Entry) -> None:
        """Keep the outcome of a fenced worker as evidence; not fenced."""
        ...

    async def late_outcomes(self, run_id: str) -> Sequence[Entry]:
        """What `late` kept for a run, oldest first."""
        ...

    async def close(self) -> None:
        """Finish queued writes and stop. Nothing is lost if it is never called."""
        ...
