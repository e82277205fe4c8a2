"""Questions to the tables, each within one read transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Select, func, literal, null, or_, select, tuple_
from sqlalchemy.sql import ClauseElement

from orchestrion.core import (
    Entry,
    EntryKind,
    EntryStatus,
    Finished,
    History,
    Json,
    Message,
    OpenRuns,
    Quarantined,
    Request,
    RequestStatus,
    Run,
    RunFilter,
    RunStatus,
    is_done_with,
    parse,
)
from orchestrion.store import Connection, bound, requests, runs

from . import _sql as sql
from ._rows import (
    Fetch,
    Row,
    StoredEntries,
    entry_from,
    load,
    message_from,
    quarantined_from,
    request_from,
    run_from,
    stored_entry,
)
from ._rules import needed, total_cost, unknown_document

MOST_FOUND = 10
RECENT = 20_000
"""Runs among which any part of an id finds one; an older run is found by the beginning of its id."""
KEYS = 500
"""Entries read by one statement."""
LAST_CHARACTER = "\U0010ffff"

T = TypeVar("T")
Look = Callable[[Connection], T]


def _rows(connection: Connection, statement: ClauseElement) -> list[Row]:
    text, values = bound(statement)
    return connection.execute(text, values).fetchall()


def document(digest: str) -> Look[str]:
    def look(connection: Connection) -> str:
        row = connection.execute(sql.DOCUMENT, (digest,)).fetchone()
        if row is None:
            raise unknown_document(digest)
        return str(row[0])

    return look


def history(run_id: str, fetch: Fetch) -> Look[History]:
    """What is needed of a claimed run, as of one moment: a loop that is nearly done is not loaded from its beginning."""

    def look(connection: Connection) -> History:
        row = connection.execute(sql.RUN_BY_ID, (run_id,)).fetchone()
        written, rows = _unfinished(connection, run_id)
        return History(
            run=run_from(load(row, fetch)),
            entries=StoredEntries(rows, fetch),
            messages=[message_from(load(row, fetch)) for row in connection.execute(sql.MESSAGES, (run_id, 0))],
            written=written,
        )

    return look


def _unfinished(connection: Connection, run_id: str) -> tuple[int, list[Row]]:
    """How many entries there are, and the rows of those that are not below finished iterations, in order of first writes."""
    places = connection.execute(sql.ENTRY_PLACES, (run_id,)).fetchall()
    keys = needed(
        (key, is_done_with(EntryKind(kind), EntryStatus(status)), _said(text)) for key, kind, status, text in places
    )
    if len(keys) == len(places):
        return len(places), connection.execute(sql.ENTRIES, (run_id,)).fetchall()
    rows: list[Row] = []
    for at in range(0, len(keys), KEYS):
        some = keys[at : at + KEYS]
        rows += connection.execute(sql.ENTRIES_AT.format(",".join("?" * len(some))), (run_id, *some)).fetchall()
    return len(places), [row[1:] for row in sorted(rows, key=itemgetter(0))]


def _said(text: str | None) -> Callable[[], Finished | None] | None:
    return None if text is None else lambda: Finished.from_json(parse(text))


def spent(run_id: str) -> Look[Json]:
    return lambda connection: total_cost(
        parse(cost) for (cost,) in connection.execute(sql.ENTRY_COSTS, (run_id,)).fetchall()
    )


def inbox(run_id: str, after_seq: int, fetch: Fetch) -> Look[Sequence[Message]]:
    return lambda connection: [
        message_from(load(row, fetch)) for row in connection.execute(sql.MESSAGES, (run_id, after_seq))
    ]


def runnable(now: float, limit: int) -> Look[Sequence[str]]:
    def look(connection: Connection) -> Sequence[str]:
        due = [str(name) for (name,) in connection.execute(sql.DUE, (now, limit))]
        left = limit - len(due)
        return due + [str(name) for (name,) in connection.execute(sql.PENDING, (left,))] if left > 0 else due

    return look


def next_wake(connection: Connection) -> float | None:
    return connection.execute(sql.NEXT_WAKE).fetchall()[0][0]


def open_semantics(connection: Connection) -> Mapping[int, OpenRuns]:
    return {
        semantics: OpenRuns(
            count=count, ids=[str(name) for (name,) in connection.execute(sql.WITH_SEMANTICS, (semantics,))]
        )
        for semantics, count in connection.execute(sql.SEMANTICS).fetchall()
    }


def run(run_id: str, fetch: Fetch) -> Look[Run | None]:
    def look(connection: Connection) -> Run | None:
        row = connection.execute(sql.RUN_BY_ID, (run_id,)).fetchone()
        return run_from(load(row, fetch)) if row else None

    return look


def find(fragment: str) -> Look[Sequence[str]]:
    """By the primary key where the beginning is given; else among the newest, so that it never reads all runs there are."""
    newest = runs.c.created_at.desc(), runs.c.id.desc()
    beginning = (
        select(runs.c.id, runs.c.created_at)
        .where(runs.c.id >= fragment, runs.c.id < fragment + LAST_CHARACTER)
        .order_by(*newest)
        .limit(MOST_FOUND)
    )
    recent = select(runs.c.id, runs.c.created_at).order_by(*newest).limit(RECENT).subquery()
    within = (
        select(recent.c.id, recent.c.created_at)
        .where(recent.c.id.contains(fragment, autoescape=True))
        .order_by(recent.c.created_at.desc(), recent.c.id.desc())
        .limit(MOST_FOUND)
    )

    def look(connection: Connection) -> Sequence[str]:
        begin = {(row[1], str(row[0])) for row in _rows(connection, beginning)}
        if any(name == fragment for _, name in begin):
            return [fragment]
        found = begin | {(row[1], str(row[0])) for row in _rows(connection, within)}
        return [name for _, name in sorted(found, reverse=True)[:MOST_FOUND]]

    return look


_LARGE = ("input", "output", "versions", "blobs")
_BARE = [null().label(column.name) if column.name in _LARGE else column for column in runs.c]


def listed(which: RunFilter, fetch: Fetch) -> Look[Sequence[Run]]:
    """Several statuses are asked for one by one: an index has those of each in order, and not those of all."""
    statements = [_listing(which, status) for status in which.status or (None,)]

    def look(connection: Connection) -> Sequence[Run]:
        found = [run_from(load(row, fetch)) for statement in statements for row in _rows(connection, statement)]
        found.sort(key=lambda run: (run.created_at, run.id), reverse=True)
        return found[: which.limit]

    return look


def _listing(which: RunFilter, status: RunStatus | None) -> Select[Any]:
    newest = runs.c.created_at.desc(), runs.c.id.desc()
    statement = select(*(_BARE if which.bare else runs.c)).order_by(*newest).limit(which.limit)
    if status is not None:
        statement = statement.where(runs.c.status == status.value)
    if which.workflow is not None:
        namespace, separator, name = which.workflow.rpartition("/")
        statement = statement.where(runs.c.workflow == name)
        statement = statement.where(runs.c.namespace == namespace) if separator else statement
    if which.batch is not None:
        statement = statement.where(runs.c.batch == which.batch)
    if which.parent_id is not None:
        statement = statement.where(runs.c.parent_id == which.parent_id)
    if which.before_id is not None:
        before = select(runs.c.created_at, runs.c.id).where(runs.c.id == which.before_id)
        unknown = ~before.exists()
        statement = statement.where(or_(unknown, tuple_(runs.c.created_at, runs.c.id) < before.scalar_subquery()))
    if which.ids is not None:
        statement = statement.where(runs.c.id.in_(which.ids))
    if which.start_keys is not None:
        statement = statement.where(runs.c.start_key.in_(which.start_keys))
    if which.before is not None:
        statement = statement.where(tuple_(runs.c.created_at, runs.c.id) < tuple_(*map(literal, which.before)))
    return statement if which.since is None else statement.where(runs.c.created_at >= which.since)


def count(batch: str | None, *, ended: bool) -> Look[Mapping[RunStatus, int]]:
    statement = select(runs.c.status, func.count()).group_by(runs.c.status)
    if batch is not None:
        statement = statement.where(runs.c.batch == batch)
    if not ended:
        statement = statement.where(runs.c.status.in_([status.value for status in RunStatus if not status.ended]))
    return lambda connection: {RunStatus(status): int(number) for status, number in _rows(connection, statement)}


def completed_rows(batch: str) -> Look[Collection[int]]:
    statement = select(runs.c.row).where(
        runs.c.batch == batch,
        runs.c.status == RunStatus.COMPLETED.value,
        runs.c.row.is_not(None),
        runs.c.copied_from.is_(None),
    )
    return lambda connection: {int(row) for (row,) in _rows(connection, statement)}


def entries(run_id: str, fetch: Fetch) -> Look[Sequence[Entry]]:
    return lambda connection: [entry_from(load(row, fetch)) for row in connection.execute(sql.ENTRIES, (run_id,))]


def changes(
    run_id: str, after: int, also: Sequence[int], limit: int, fetch: Fetch
) -> Look[Sequence[tuple[int, Entry]]]:
    text = sql.CHANGES.format(",".join("?" * len(also)))

    def look(connection: Connection) -> Sequence[tuple[int, Entry]]:
        rows = connection.execute(text, (run_id, after, *also, limit))
        return [(int(row[0]), stored_entry(row[1:], fetch)) for row in rows]

    return look


def late_outcomes(run_id: str, fetch: Fetch) -> Look[Sequence[Entry]]:
    return lambda connection: [entry_from(load(row, fetch)) for row in connection.execute(sql.LATE_OUTCOMES, (run_id,))]


def asked(run_id: str | None, status: RequestStatus | None, limit: int | None, fetch: Fetch) -> Look[Sequence[Request]]:
    statement = select(*requests.c).order_by(requests.c.created_at, requests.c.id).limit(limit)
    if run_id is not None:
        statement = statement.where(requests.c.run_id == run_id)
    if status is not None:
        statement = statement.where(requests.c.status == status.value)
    return lambda connection: [request_from(load(row, fetch)) for row in _rows(connection, statement)]


def request(request_id: str, fetch: Fetch) -> Look[Request | None]:
    alike = select(*requests.c).where(requests.c.id.contains(request_id, autoescape=True)).limit(2)

    def look(connection: Connection) -> Request | None:
        found = connection.execute(sql.REQUEST_BY_ID, (request_id,)).fetchall() or _rows(connection, alike)
        return request_from(load(found[0], fetch)) if len(found) == 1 else None

    return look


def quarantined(batch: str, fetch: Fetch) -> Look[Sequence[Quarantined]]:
    return lambda connection: [
        quarantined_from(load(row, fetch)) for row in connection.execute(sql.QUARANTINED, (batch,))
    ]
