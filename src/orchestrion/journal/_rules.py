"""What every journal must agree on, whatever it stores its rows in. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never, cast

from orchestrion.core import (
    Answer,
    Ask,
    Begin,
    CancelRun,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    Finished,
    FinishedPlaces,
    Json,
    Message,
    Move,
    Publish,
    Put,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    SetRun,
    Subscribe,
    Tell,
    Took,
    Unsubscribe,
    UserError,
    Write,
    at_or_below,
    canonical,
    dump,
    iso,
)

LARGEST_VALUE = 64 * 1024 * 1024
"""Characters of one JSON value."""

CLAIMABLE = frozenset({RunStatus.PENDING, RunStatus.WAITING})
RETRYABLE = frozenset({RunStatus.FAULTED, RunStatus.DIVERGED})


def require_storable(value: Json, what: str) -> None:
    """Raises: UserError `not-json`, `value-too-large`."""
    require_size(dump(value), what)


def require_bytes(content: bytes, what: str) -> None:
    """Raises: UserError `value-too-large`."""
    if len(content) > LARGEST_VALUE:
        require_size(content.decode(), what)


def require_size(text: str, what: str) -> None:
    """Raises: UserError `value-too-large`."""
    if len(text) > LARGEST_VALUE:
        raise UserError(
            "value-too-large",
            f"{what} has {len(text):,} characters of JSON; the largest value a run may keep has {LARGEST_VALUE:,}.",
            hint="Keep large content in a file or a database and pass its address.",
        )


def unknown_run(run_id: str) -> UserError:
    return UserError("unknown-run", f"There is no run {run_id!r}.", hint="`orchestrion runs list` shows them.")


def unknown_request(request_id: str) -> UserError:
    return UserError(
        "unknown-request",
        f"There is no request {request_id!r}.",
        hint="`orchestrion approvals list` shows those that are open.",
    )


def unknown_document(digest: str) -> UserError:
    return UserError("unknown-document", f"No document with digest {digest!r} is stored.")


def run_ended(run: Run) -> UserError:
    return UserError("run-ended", f"Run {run.id} has ended already: it is {run.status.value}.")


def decided(request: Request, answer: Answer, now: float) -> Request:
    """The request with its answer.

    Raises: UserError `already-decided`, `request-expired`, `request-withdrawn`, `binding-changed`.
    """
    if request.status is RequestStatus.DECIDED and request.answer is not None:
        known = request.answer
        raise UserError(
            "already-decided",
            f"Request {request.id} was decided already: {known.verdict} by {known.by!r} at {iso(known.at)}.",
            hint="An answer counts once; `orchestrion runs show` tells what became of it.",
        )
    if request.status is RequestStatus.WITHDRAWN:
        raise UserError(
            "request-withdrawn", f"Request {request.id} was withdrawn: the run does not need the answer any more."
        )
    if request.status is RequestStatus.EXPIRED or (request.expires_at is not None and request.expires_at <= now):
        since = f" at {iso(request.expires_at)}" if request.expires_at is not None else ""
        raise UserError("request-expired", f"Request {request.id} expired{since}; nobody can answer it any more.")
    binding = request.question.binding
    if answer.binding is None:
        answer = replace(answer, binding=binding)
    elif canonical(answer.binding) != canonical(binding):
        raise UserError(
            "binding-changed",
            f"The answer is about something else than what request {request.id} asks now.",
            hint="Look at the request again, and decide on what it says.",
        )
    return replace(request, status=RequestStatus.DECIDED, answer=answer)


def answer_message(request: Request) -> Message:
    """What the run is told when a request has been decided."""
    body = request.answer.to_json() if request.answer else None
    return Message(id=request.id, key=request.key, kind="answer", body=body)


def event_message(event: Event, key: str) -> Message:
    """What a run is told about an event it listens for at `key`."""
    body: Json = {"source": event.source, "id": event.id, "seq": event.seq}
    return Message(id=f"event:{event.seq}:{key}", key=key, kind="event", body=body)


def changed(run: Run, change: SetRun) -> Run:
    """The run after `change`."""
    return replace(
        run,
        status=change.status or run.status,
        output=run.output if change.output is None else change.output,
        problem=run.problem if change.problem is None else change.problem,
        fault_key=run.fault_key if change.fault_key is None else change.fault_key,
        labels=run.labels if change.labels is None else change.labels,
        cost=run.cost if change.cost is None else change.cost,
        wake_at=run.wake_at if change.wake_at is None else change.wake_at,
        started_at=run.started_at if change.started_at is None else change.started_at,
        ended_at=run.ended_at if change.ended_at is None else change.ended_at,
    )


def needed(places: Iterable[tuple[str, bool, Callable[[], Finished | None] | None]]) -> list[str]:
    """Keys that a recovered walk may ask for: all but those done with in places that a scope row calls finished.

    Of each entry, in the order of keys: the key, whether it is done with if its place is finished, and for a scope row what it
    says, which is only asked for where the row itself is needed.
    """
    finished = FinishedPlaces()
    left: list[tuple[str, bool]] = []
    for key, done_with, said in places:
        if not done_with or key not in finished:
            left.append((key, done_with))
            if said is not None and (found := said()) is not None:
                finished.add(key, found)
    return [key for key, done_with in left if not done_with or key not in finished]


def total_cost(costs: Iterable[Json]) -> Json:
    """What several entries cost together."""
    total: Counter[str] = Counter()
    for cost in costs:
        if isinstance(cost, Mapping):
            total.update(cast("Mapping[str, int]", cost))
    return dict(total) if total else None


def values_of(write: Write) -> Iterable[tuple[str, Json]]:
    """The JSON values a write would store: for checking them before anything is changed."""
    match write:
        case Put(entry):
            columns = (entry.input, entry.output, entry.problem, entry.decision, entry.why, entry.cost, entry.versions)
            return [(entry.key, value) for value in columns if value is not None]
        case SetRun():
            return [("The run's output", write.output), ("The run's problem", write.problem), ("Its cost", write.cost)]
        case Ask(request):
            return [("A question", request.question.to_json())]
        case Begin(run):
            return [("The run's input", run.input)]
        case Tell(message=message):
            return [("A message", message.body)]
        case Publish(event):
            return [("The event", event.body)]
        case Subscribe(interests=interests):
            return [("A filter", interest.filter.to_json()) for interest in interests]
        case Move() | CloseRequests() | CancelRun() | Unsubscribe() | Took():
            return ()
        case _:
            assert_never(write)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPlan:
    """What must be set aside so that walking the run again does again what failed, and nothing that succeeded."""

    entries: Sequence[tuple[str, str]]
    """Keys of entries, and the keys under which they become notes."""
    reopened: Sequence[str]
    """Abandoned calls that count as unanswered again: recovery performs them if it may, else asks a person."""
    requests: Sequence[tuple[str, str]]
    """Ids of requests, and the ids they get, so that the question can be asked anew."""
    messages: Sequence[tuple[str, str]]
    """Ids of messages, and the ids they get."""
    children: Sequence[str]
    """Keys at which child runs were started that must be tried again as well."""
    note: Entry
    """Who tried again, and when."""


def retry_plan(
    run: Run,
    entries: Mapping[str, Entry],
    requests: Sequence[Request],
    messages: Iterable[Message],
    *,
    by: str,
    now: float,
) -> RetryPlan:
    """How to take back what `run.fault_key` brought about. Of entries, only key, kind, status and `ended_at` are looked at.

    The failed entry goes, and with it what was concluded from it: the choices of the scopes around it. What was abandoned when
    those scopes or the run ended is open again. A question that got no answer, or belonged to the failed call, is asked anew.
    """
    fault = run.fault_key if run.status is not RunStatus.CANCELLED else "/cancel"
    failed = entries.get(fault) if fault is not None else None
    anew = failed is not None and failed.kind in {EntryKind.LEAF, EntryKind.REQUEST}
    fallen = {key for key, entry in entries.items() if fault is not None and _falls_with(entry, fault, anew=anew)}
    closed = [_scope(entries[key]) for key in fallen]
    lost = [entry for entry in entries.values() if _was_lost(entry, run, closed)]
    fallen.update(entry.key for entry in lost if entry.kind is EntryKind.REQUEST)
    reopened = [entry for entry in lost if entry.key not in fallen]
    asked = [
        request.id
        for request in requests
        if request.key in fallen
        or (
            fault is not None
            and at_or_below(request.key, fault)
            and (anew or request.status is not RequestStatus.DECIDED)
        )
    ]
    children = [entry.key for entry in reopened if entry.kind is EntryKind.CHILD]
    if failed is not None and failed.kind is EntryKind.CHILD:
        children.append(failed.key)
    told = [
        message.id
        for message in messages
        if message.id in asked or (message.kind == "child" and message.key in children)
    ]
    mark = f"!{run.attempt}"
    return RetryPlan(
        entries=[(key, key + mark) for key in entries if key in fallen],
        reopened=[entry.key for entry in reopened],
        requests=[(name, name + mark) for name in asked],
        messages=[(name, name + mark) for name in told],
        children=children,
        note=_retry_note(run, by, now),
    )


def _falls_with(entry: Entry, fault: str, *, anew: bool) -> bool:
    """Whether an entry stands for the failure at `fault`, or was concluded from it."""
    match entry.kind:
        case EntryKind.NOTE | EntryKind.TRACE:
            return False
        case EntryKind.CHOICE:
            return at_or_below(fault, _scope(entry))
        case EntryKind.REQUEST if at_or_below(entry.key, fault):
            return anew or entry.status is not EntryStatus.COMPLETED
        case _:
            return entry.key == fault


def _scope(entry: Entry) -> str:
    """What an entry concludes: a choice stands directly below the scope it is about."""
    return entry.key.rpartition("/")[0] if entry.kind is EntryKind.CHOICE else entry.key


def _was_lost(entry: Entry, run: Run, closed: Sequence[str]) -> bool:
    """Whether an entry was abandoned because of what is taken back now, and not by a decision that stands."""
    if entry.status is not EntryStatus.ABANDONED or entry.kind is EntryKind.NOTE:
        return False
    with_run = entry.ended_at is not None and run.ended_at is not None and entry.ended_at >= run.ended_at
    return with_run or any(at_or_below(entry.key, scope) for scope in closed)


def _retry_note(run: Run, by: str, now: float) -> Entry:
    return Entry(
        key=f"/retry/{run.attempt}",
        kind=EntryKind.NOTE,
        status=EntryStatus.COMPLETED,
        output={"attempt": run.attempt + 1},
        subject=f"User::{by}",
        started_at=now,
        ended_at=now,
        epoch=run.epoch,
    )


def retried(run: Run) -> Run:
    """The run, ready for its next attempt. Whoever still held it is fenced."""
    return replace(
        run,
        epoch=run.epoch + 1,
        status=RunStatus.PENDING,
        attempt=run.attempt + 1,
        output=None,
        problem=None,
        fault_key=None,
        ended_at=None,
        wake_at=None,
        cancel_requested_by=None,
    )


def is_tried_again(child: Run) -> bool:
    """Whether a child is tried again together with its parent."""
    return child.status in RETRYABLE or child.status is RunStatus.CANCELLED


def not_faulted(run: Run) -> UserError:
    return UserError(
        "not-faulted",
        f"Run {run.id} is {run.status.value}; only a run that faulted or diverged can be tried again.",
        hint="`orchestrion runs rerun` starts a finished run again as a new one.",
    )
