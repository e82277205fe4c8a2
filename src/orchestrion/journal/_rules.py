"""What every journal must agree on, whatever it stores its rows in. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrion.core import (
    Answer,
    Entry,
    EntryKind,
    EntryStatus,
    Json,
    Message,
    Put,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    SetRun,
    UserError,
    Write,
    canonical,
    dump,
    iso,
)

LARGEST_VALUE = 64 * 1024 * 1024
"""Bytes of one JSON value."""

SLEEPING = frozenset({RunStatus.WAITING, RunStatus.PAUSED})
CLAIMABLE = frozenset({RunStatus.PENDING, RunStatus.WAITING, RunStatus.PAUSED})
RETRYABLE = frozenset({RunStatus.FAULTED, RunStatus.DIVERGED})


def at_or_below(key: str, above: str) -> bool:
    """Whether `key` is `above`, one of its attempts or visits, or a place within it. Everything is below the empty key."""
    return key.startswith(above) and (len(key) == len(above) or not above or key[len(above)] in "/~#!")


def text_of(value: Json, what: str) -> str:
    """JSON text of a value to be stored.

    Raises: UserError `not-json`, `value-too-large`.
    """
    text = dump(value)
    if len(text) > LARGEST_VALUE:
        raise UserError(
            "value-too-large",
            f"{what} has {len(text):,} bytes; the largest value a run may keep has {LARGEST_VALUE:,}.",
            hint="Keep large content in a file or a database and pass its address.",
        )
    return text


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


def values_of(write: Write) -> Iterable[tuple[str, Json]]:
    """The JSON values a write would store that are cheap to name: for checking them before anything is changed."""
    match write:
        case Put(entry):
            columns = (entry.input, entry.output, entry.problem, entry.decision, entry.why, entry.cost, entry.versions)
            return [(f"A value of the entry at {entry.key!r}", value) for value in columns if value is not None]
        case SetRun():
            return [("The run's output", write.output), ("The run's problem", write.problem), ("Its cost", write.cost)]
        case _:
            return ()


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


def retry_plan(
    run: Run, entries: Mapping[str, Entry], requests: Iterable[Request], messages: Iterable[Message]
) -> RetryPlan:
    """How to take back what `run.fault_key` brought about.

    The failed entry goes, and with it what was concluded from it: the choices and deadlines of the scopes around it. Calls
    that were abandoned when those scopes closed are unanswered again. A question below the failed entry is asked anew.
    """
    fault = run.fault_key
    if fault is None:
        return RetryPlan(entries=(), reopened=(), requests=(), messages=())
    failed = entries.get(fault)
    anew = failed is not None and failed.kind in {EntryKind.LEAF, EntryKind.REQUEST}
    aside = {key for key, entry in entries.items() if _falls_with(entry, fault, anew=anew)}
    closed = [key.removesuffix("/deadline") for key in aside if entries[key].kind is EntryKind.CHOICE] + [fault]
    reopened = [
        key
        for key, entry in entries.items()
        if entry.status is EntryStatus.ABANDONED
        and key not in aside
        and any(at_or_below(key, scope) for scope in closed)
    ]
    asked = [
        request.id
        for request in requests
        if at_or_below(request.key, fault) and (anew or request.status is not RequestStatus.DECIDED)
    ]
    told = [
        message.id for message in messages if message.id in asked or (message.kind == "child" and message.key == fault)
    ]
    mark = f"!{run.attempt}"
    return RetryPlan(
        entries=[(key, key + mark) for key in entries if key in aside],
        reopened=reopened,
        requests=[(name, name + mark) for name in asked],
        messages=[(name, name + mark) for name in told],
    )


def _falls_with(entry: Entry, fault: str, *, anew: bool) -> bool:
    """Whether an entry stands for the failure at `fault`, or was concluded from it."""
    if entry.kind in {EntryKind.NOTE, EntryKind.TRACE}:
        return False
    if entry.key == fault:
        return True
    if entry.kind in {EntryKind.CHOICE, EntryKind.TIMER}:
        return at_or_below(fault, entry.key) or (
            entry.key.endswith("/deadline") and at_or_below(fault, entry.key.removesuffix("/deadline"))
        )
    if entry.kind is EntryKind.REQUEST:
        return at_or_below(entry.key, fault) and (anew or entry.status is not EntryStatus.COMPLETED)
    return False


def retried(run: Run) -> Run:
    """The run, ready for its next attempt."""
    return replace(
        run,
        status=RunStatus.PENDING,
        attempt=run.attempt + 1,
        output=None,
        problem=None,
        fault_key=None,
        ended_at=None,
        wake_at=None,
        cancel_requested_by=None,
    )


def is_cause(child: Run, run: Run) -> bool:
    """Whether `run` failed because `child` did: then both are tried again."""
    return (
        run.fault_key is not None
        and (child.parent_id, child.parent_key) == (run.id, run.fault_key)
        and child.status in RETRYABLE
    )


def not_faulted(run: Run) -> UserError:
    return UserError(
        "not-faulted",
        f"Run {run.id} is {run.status.value}; only a run that faulted or diverged can be tried again.",
        hint="`orchestrion runs rerun` starts a finished run again as a new one.",
    )
