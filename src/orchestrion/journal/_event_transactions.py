"""What is done about events within one transaction, on the writer's connection."""

from collections.abc import Callable, Sequence
from typing import assert_never

from orchestrion.core import Event, Interest, Publish, Route, Run, Start, Subscribe, Took, Unsubscribe, Woken, dump
from orchestrion.store import Connection

from . import _event_sql as sql
from . import _sql as run_sql
from ._event_rows import event_row
from ._rows import Large, Row, run_row
from ._rules import event_message


def event_step(
    run_id: str, write: Publish | Subscribe | Unsubscribe | Took, large: Large
) -> Callable[[Connection], None]:
    """A run's write about events, prepared. Raises: UserError `not-json`, `value-too-large`."""
    match write:
        case Publish(event):
            row = event_row(event, large)
            return lambda connection: _receive(connection, row)
        case Subscribe(key, interests):
            return _subscribe(run_id, key, interests)
        case Unsubscribe(key):
            return lambda connection: _unsubscribe(connection, run_id, key)
        case Took(key, seq):
            return lambda connection: _took(connection, run_id, key, seq)
        case _:
            assert_never(write)


def receive(row: Row) -> Callable[[Connection], bool]:
    return lambda connection: connection.execute(sql.RECEIVE, row).rowcount > 0


def _receive(connection: Connection, row: Row) -> None:
    connection.execute(sql.RECEIVE, row)


def _subscribe(run_id: str, key: str, interests: Sequence[Interest]) -> Callable[[Connection], None]:
    rows = [
        (
            (interest.filter.digest, interest.filter.type, dump(interest.filter.to_json())),
            (run_id, key, place, interest.filter.digest, interest.expected),
        )
        for place, interest in enumerate(interests)
    ]

    def step(connection: Connection) -> None:
        for filter_row, row in rows:
            connection.execute(sql.KEEP_FILTER, filter_row)
            connection.execute(sql.SUBSCRIBE, row)

    return step


def _unsubscribe(connection: Connection, run_id: str, key: str) -> None:
    found = connection.execute(sql.LISTENED_WITH, (run_id, key)).fetchall()
    connection.execute(sql.UNSUBSCRIBE, (run_id, key))
    _drop_unused(connection, found)


def unsubscribe_run(connection: Connection, run_id: str) -> None:
    """The run listens nowhere any more."""
    found = connection.execute(sql.LISTENED_WITH_BY_RUN, (run_id,)).fetchall()
    connection.execute(sql.UNSUBSCRIBE_RUN, (run_id,))
    _drop_unused(connection, found)


def _drop_unused(connection: Connection, found: Sequence[Row]) -> None:
    """Filters are kept as long as somebody listens with them."""
    for (digest,) in found:
        connection.execute(sql.DROP_FILTER, (digest, digest))


def _took(connection: Connection, run_id: str, key: str, seq: int) -> None:
    if connection.execute(sql.REACH, (seq, run_id, key)).rowcount:
        connection.execute(sql.COUNT_DELIVERY, (seq,))


def deliver(routes: Sequence[Route], now: float, large: Large) -> Callable[[Connection], list[Woken]]:
    """Carry out what was decided. Raises: UserError for a run that cannot be stored."""
    prepared = [(route, [(start, run_row(start.run, large)) for start in route.starts]) for route in routes]

    def work(connection: Connection) -> list[Woken]:
        woken: dict[str, Woken] = {}
        for route, starts in prepared:
            event = route.event
            if connection.execute(sql.UNROUTED_YET, (event.seq,)).fetchone() is None:
                continue
            count = len(route.keep)
            for match in route.matches:
                for told in _tell_listeners(connection, event, *match):
                    woken[told.run_id] = told
                    count += 1
            for start, row in starts:
                count += _start(connection, start, row, woken)
            for kept in route.keep:
                connection.execute(sql.GATHER, (kept.trigger, kept.correlation, kept.place, kept.seq))
            for kept in route.drop:
                connection.execute(sql.DROP_GATHERED, (kept.trigger, kept.correlation, kept.place, kept.seq))
            notes = None if route.notes is None else dump(route.notes)
            connection.execute(sql.ROUTED, (now, count, notes, event.seq))
        return list(woken.values())

    return work


def _tell_listeners(connection: Connection, event: Event, digest: str, expected: str | None) -> list[Woken]:
    found = (
        connection.execute(sql.LISTENERS, (digest,))
        if expected is None
        else connection.execute(sql.LISTENERS_EXPECTING, (digest, expected))
    )
    told: list[Woken] = []
    for run_id, key in found.fetchall():
        if not connection.execute(sql.REACH, (event.seq, run_id, key)).rowcount:
            continue
        inbox_seq, root_id = connection.execute(sql.RAISE_INBOX, (run_id,)).fetchall()[0]
        message = event_message(event, key)
        connection.execute(sql.TELL, (run_id, message.id, inbox_seq, key, dump(message.body)))
        told.append(Woken(run_id=run_id, root_id=root_id))
    return told


def _start(connection: Connection, start: Start, row: Row, woken: dict[str, Woken]) -> int:
    """Whether the run is new: its start key says so."""
    if not connection.execute(run_sql.START, row).rowcount:
        return 0
    run: Run = start.run
    for seq in start.seqs:
        connection.execute(sql.REACH, (seq, run.id, ""))
    woken[run.id] = Woken(run_id=run.id, root_id=run.root_id or run.id, started=True)
    return 1
