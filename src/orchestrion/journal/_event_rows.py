"""Events as rows, and questions about them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from sqlalchemy import or_, select

from orchestrion.core import Event, EventFilter, EventQuery, Gathered, Reached, parse
from orchestrion.store import Connection, bound, events

from . import _event_sql as sql
from ._rows import Fetch, Large, Row, load

T = TypeVar("T")
Look = Callable[[Connection], T]


def event_row(event: Event, large: Large) -> Row:
    """For `RECEIVE`."""
    body = large.text(event.body, "The event")
    labels = large.text(event.labels, "The event's labels")
    return (event.source, event.id, event.type, body, labels, event.received_at, large.row_digests())


def event_from(row: Row) -> Event:
    seq, source, id_, type_, body, labels, received_at, routed_at, deliveries, notes, _ = row
    return Event(
        seq=seq,
        source=source,
        id=id_,
        type=type_,
        body=parse(body),  # pyright: ignore[reportArgumentType] an object was written
        labels=None if labels is None else parse(labels),  # pyright: ignore[reportArgumentType] an object was written
        received_at=received_at,
        routed_at=routed_at,
        deliveries=deliveries,
        notes=None if notes is None else parse(notes),
    )


def _all(statement: str, values: Sequence[object], fetch: Fetch) -> Look[list[Event]]:
    return lambda connection: [event_from(load(row, fetch)) for row in connection.execute(statement, values)]


def unrouted(limit: int, fetch: Fetch) -> Look[list[Event]]:
    return _all(sql.UNROUTED, (limit,), fetch)


def named(source: str, id_: str, fetch: Fetch) -> Look[Event | None]:
    def look(connection: Connection) -> Event | None:
        found = _all(sql.BY_NAME, (source, id_), fetch)(connection)
        return found[0] if found else None

    return look


def numbered(seqs: Sequence[int], fetch: Fetch) -> Look[list[Event]]:
    def look(connection: Connection) -> list[Event]:
        return [event for seq in sorted(set(seqs)) for event in _all(sql.NUMBERED, (seq,), fetch)(connection)]

    return look


def earlier(types: Sequence[str] | None, since: float, after_seq: int, limit: int, fetch: Fetch) -> Look[list[Event]]:
    if types is None:
        return _all(sql.EARLIER_OF_ANY, (since, after_seq, limit), fetch)

    def look(connection: Connection) -> list[Event]:
        found = [
            event
            for type_ in sorted(set(types))
            for event in _all(sql.EARLIER, (since, after_seq, type_, limit), fetch)(connection)
        ]
        return sorted(found, key=lambda event: event.seq)[:limit]

    return look


def interests(type_: str) -> Look[list[EventFilter]]:
    return lambda connection: [_filter(body) for (body,) in connection.execute(sql.INTERESTS, (type_,))]


@lru_cache(maxsize=1024)
def _filter(body: str) -> EventFilter:
    return EventFilter.from_json(parse(body))


def gathered(trigger: str, correlation: str) -> Look[list[Gathered]]:
    return lambda connection: [
        Gathered(trigger=name, correlation=values, place=place, seq=seq)
        for name, values, place, seq in connection.execute(sql.GATHERED, (trigger, correlation))
    ]


def reached(seq: int) -> Look[list[Reached]]:
    return lambda connection: [
        Reached(run_id=run_id, key=key) for run_id, key in connection.execute(sql.REACHED, (seq,))
    ]


def listed(which: EventQuery, fetch: Fetch) -> Look[list[Event]]:
    statement = select(*events.c).order_by(events.c.seq.desc()).limit(which.limit)
    if which.type is not None:
        statement = statement.where(events.c.type == which.type)
    if which.source is not None:
        statement = statement.where(events.c.source == which.source)
    if which.id is not None:
        statement = statement.where(events.c.id == which.id)
    if which.unwanted:
        nobody = (events.c.deliveries == 0) & events.c.routed_at.is_not(None)
        statement = statement.where(or_(nobody, events.c.notes.is_not(None)))
    if which.since is not None:
        statement = statement.where(events.c.received_at >= which.since)
    if which.before_seq is not None:
        statement = statement.where(events.c.seq < which.before_seq)
    text, values = bound(statement)
    return _all(text, values, fetch)
