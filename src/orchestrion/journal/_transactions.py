"""What is done within one transaction, on the writer's connection. Whoever says no does so before changing anything."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, assert_never

from orchestrion.core import (
    Answer,
    Ask,
    Begin,
    CancelRun,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    Fenced,
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
    Write,
    at_or_below,
)
from orchestrion.store import Blobs, Connection

from . import _sql as sql
from ._event_transactions import event_step, unsubscribe_run
from ._rows import Fetch, Large, Row, entry_row, load, message_from, request_from, request_row, run_from, run_row
from ._rules import (
    RETRYABLE,
    answer_message,
    decided,
    is_tried_again,
    not_faulted,
    retry_plan,
    run_ended,
    unknown_request,
    unknown_run,
)

T = TypeVar("T")

Work = Callable[[Connection], object]


def step_of(run_id: str, write: Write, large: Large, now: float) -> Callable[[Connection], None]:
    """A write that is not a `Put`, prepared: what cannot be stored is refused here.

    Raises: UserError `not-json`, `value-too-large`.
    """
    match write:
        case Move(key, to_key):
            return lambda connection: _move(connection, run_id, key, to_key)
        case SetRun():
            return _bound(sql.SET_RUN, _set_run_row(run_id, write, large))
        case Ask(request):
            return _bound(sql.ASK, request_row(request, large))
        case CloseRequests(key, status):
            return lambda connection: _close_requests(connection, run_id, key, status)
        case Begin(run):
            return _bound(sql.START, run_row(run, large))
        case Tell(to_id, message):
            rows = _message_rows(to_id, message, large)
            return lambda connection: _tell(connection, rows)
        case CancelRun(to_id, by):
            return lambda connection: _cancel(connection, to_id, by, now)
        case Publish() | Subscribe() | Unsubscribe() | Took():
            return event_step(run_id, write, large)
        case Put():
            raise AssertionError("entries are written many at a time")
        case _:
            assert_never(write)


def _bound(statement: str, row: Row) -> Callable[[Connection], None]:
    def step(connection: Connection) -> None:
        connection.execute(statement, row)

    return step


def _set_run_row(run_id: str, change: SetRun, large: Large) -> Row:
    status = change.status.value if change.status else None
    output = large.text(change.output, "The run's output")
    problem = large.text(change.problem, "The run's problem")
    labels = large.text(change.labels, "The run's labels")
    cost = large.text(change.cost, "The run's cost")
    blobs = large.row_digests()
    times = (change.wake_at, change.started_at, change.ended_at)
    due = (status, change.wake_at)
    return (status, output, problem, change.fault_key, labels, cost, *times, *due, blobs, blobs, run_id)


def _move(connection: Connection, run_id: str, key: str, to_key: str) -> None:
    if connection.execute(sql.ENTRY_EXISTS, (run_id, key)).fetchone() is None:
        return
    connection.execute(sql.DROP_ENTRY, (run_id, to_key))
    connection.execute(sql.RENAME_ENTRY, (to_key, run_id, key))


def _close_requests(connection: Connection, run_id: str, key: str, status: RequestStatus) -> None:
    for name, asked_at in connection.execute(sql.OPEN_REQUESTS, (run_id,)).fetchall():
        if at_or_below(asked_at, key):
            connection.execute(sql.CLOSE_REQUEST, (status.value, name))


def _message_rows(run_id: str, message: Message, large: Large) -> tuple[Row, Row]:
    body = large.text(message.body, "A message")
    return (run_id, run_id, message.id), (message.id, message.key, message.kind, body, large.row_digests(), run_id)


def _tell(connection: Connection, rows: tuple[Row, Row]) -> None:
    raised, told = rows
    connection.execute(sql.RAISE_INBOX, raised)
    connection.execute(sql.TELL, told)


def _cancel(connection: Connection, run_id: str, by: str, now: float) -> None:
    """A diverged run cannot be walked, so it is ended here, and its children are asked to stop."""
    found = connection.execute(sql.CANCEL, (by, run_id)).fetchall()
    if not found or found[0][0] != RunStatus.DIVERGED.value:
        return
    connection.execute(sql.END_CANCELLED, (now, run_id))
    unsubscribe_run(connection, run_id)
    _close_requests(connection, run_id, "", RequestStatus.WITHDRAWN)
    for (child,) in connection.execute(sql.OPEN_CHILDREN, (run_id,)).fetchall():
        _cancel(connection, child, by, now)


# --- work ---


class Later(Generic[T]):
    """What is known only when the database has answered: other statements may be sent before anyone waits for that."""

    __slots__ = ("known",)

    def __init__(self, known: Callable[[], T]) -> None:
        self.known = known


def start(row: Row, fetch: Fetch) -> Callable[[Connection], Later[Run | None]]:
    """Insert a run; the run that was there first, if one was."""

    def work(connection: Connection) -> Later[Run | None]:
        inserted = connection.execute(sql.START, row)
        return Later(lambda: None if inserted.rowcount else _started(connection, row, fetch))

    return work


def copy(row: Row, entries: Sequence[Row], fetch: Fetch) -> Callable[[Connection], Run | None]:
    """Insert a run with its entries; the run that was there first, if one was."""

    def work(connection: Connection) -> Run | None:
        if not connection.execute(sql.START, row).rowcount:
            return _started(connection, row, fetch)
        connection.executemany(sql.PUT, entries)
        return None

    return work


def _started(connection: Connection, row: Row, fetch: Fetch) -> Run:
    run_id, start_key = row[0], row[8]
    return run_from(load(connection.execute(sql.STARTED, (run_id, start_key, run_id)).fetchone(), fetch))


def claim(run_id: str, fetch: Fetch) -> Callable[[Connection], tuple[Run, bool] | None]:
    """The run, and whether it has a history yet."""

    def work(connection: Connection) -> tuple[Run, bool] | None:
        found = connection.execute(sql.CLAIM, (run_id,)).fetchall()
        if not found:
            return None
        run = run_from(load(found[0], fetch))
        return run, run.inbox_seq > 0 or connection.execute(sql.ANY_ENTRY, (run_id,)).fetchone() is not None

    return work


def rest(run_id: str, epoch: int, seen_seq: int, wake_at: float | None) -> Callable[[Connection], Later[bool]]:
    def work(connection: Connection) -> Later[bool]:
        put = connection.execute(sql.REST, (wake_at, wake_at, run_id, epoch, seen_seq))
        return Later(lambda: bool(put.rowcount) or _is_awake(connection, run_id, epoch))

    return work


def _is_awake(connection: Connection, run_id: str, epoch: int) -> bool:
    """Always False, for a run that has news. Raises: Fenced."""
    if _run(connection, run_id)[7] != epoch:
        raise Fenced(run_id)
    return False


def release(run_id: str | None) -> Callable[[Connection], list[str]]:
    def work(connection: Connection) -> list[str]:
        found = connection.execute(sql.RELEASE) if run_id is None else connection.execute(sql.RELEASE_ONE, (run_id,))
        return [str(released) for (released,) in found.fetchall()]

    return work


def answer(request_id: str, given: Answer, now: float, blobs: Blobs) -> Callable[[Connection], Request]:
    def work(connection: Connection) -> Request:
        row = connection.execute(sql.REQUEST_BY_ID, (request_id,)).fetchone()
        if row is None:
            raise unknown_request(request_id)
        request = decided(request_from(load(row, blobs.get)), given, now)
        assert request.answer is not None
        large = Large()
        text = large.text(request.answer.to_json(), "The answer")
        refers = large.row_digests()
        message = _message_rows(request.run_id, answer_message(request), large)
        large.keep(blobs)
        connection.execute(sql.DECIDE_REQUEST, (text, refers, refers, request_id))
        _tell(connection, message)
        return request

    return work


def cancel(run_id: str, by: str, now: float, fetch: Fetch) -> Callable[[Connection], Run]:
    def work(connection: Connection) -> Run:
        run = run_from(load(_run(connection, run_id), fetch))
        if run.status.ended:
            raise run_ended(run)
        _cancel(connection, run_id, by, now)
        return run_from(load(_run(connection, run_id), fetch))

    return work


def retry(run_id: str, by: str, now: float, fetch: Fetch) -> Callable[[Connection], Run]:
    def work(connection: Connection) -> Run:
        run = run_from(load(_run(connection, run_id), fetch))
        if run.status not in RETRYABLE:
            raise not_faulted(run)
        _retry(connection, run, by, now, fetch)
        return run_from(load(_run(connection, run_id), fetch))

    return work


def _retry(connection: Connection, run: Run, by: str, now: float, fetch: Fetch) -> None:
    requests = [request_from(load(row, fetch)) for row in connection.execute(sql.REQUESTS_OF_RUN, (run.id,)).fetchall()]
    messages = [message_from(load(row, fetch)) for row in connection.execute(sql.MESSAGES, (run.id, 0)).fetchall()]
    plan = retry_plan(run, _states(connection, run.id), requests, messages, by=by, now=now)
    mark = f"!{run.attempt}"
    for key, to_key in plan.entries:
        _move(connection, run.id, key, to_key)
    for key in plan.reopened:
        connection.execute(sql.REOPEN_ENTRY, (run.id, key))
    for name, new in plan.requests:
        connection.execute(sql.RENAME_REQUEST, (new, mark, name))
    for name, new in plan.messages:
        connection.execute(sql.RENAME_MESSAGE, (new, mark, run.id, name))
    # the note comes after everything of this epoch, and before everything of the next
    connection.execute(sql.PUT, entry_row(run.id, plan.note, run.epoch, ((run.epoch + 1) << 32) - 1, Large()))
    for key in plan.children:
        for row in connection.execute(sql.CHILDREN_AT, (run.id, key)).fetchall():
            child = run_from(load(row, fetch))
            if is_tried_again(child):
                _retry(connection, child, by, now, fetch)
    connection.execute(sql.RETRIED, (run.id,))


def _states(connection: Connection, run_id: str) -> dict[str, Entry]:
    """A run's entries without their values."""
    return {
        key: Entry(key=key, kind=EntryKind(kind), status=EntryStatus(status), ended_at=ended_at)
        for key, kind, status, ended_at in connection.execute(sql.ENTRY_STATES, (run_id,)).fetchall()
    }


def _run(connection: Connection, run_id: str) -> Row:
    """Raises: UserError `unknown-run`."""
    row = connection.execute(sql.RUN_BY_ID, (run_id,)).fetchone()
    if row is None:
        raise unknown_run(run_id)
    return row


def inserts(statement: str, rows: Sequence[Row]) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.executemany(statement, rows)

    return work


def late(run_id: str, row: Row) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        _run(connection, run_id)
        connection.execute(sql.LATE, row)

    return work
