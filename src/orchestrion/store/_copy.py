"""Everything of one store into another, as one transaction: it is all there afterwards, or nothing is."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Table

from orchestrion.core import UserError

from ._database import Connection
from ._schema import DERIVED, REFERRING, commits, leader, metadata, slots
from ._store import DRIVER_ERRORS, Copied, Store, Tell

CHUNK = 500
"""Rows read and written at a time."""

TABLES = tuple(table for table in metadata.sorted_tables if table not in {commits, leader, slots, *DERIVED})
"""In the order in which they refer to each other. Who leads, marks of commits and requests under way are each database's own affair."""


def copy_store(source: Store, target: Store, tell: Tell) -> Copied:
    """Copy a store, as it is at one moment, into an owned and empty one. Large values come first, so that no row refers to nothing.

    Raises: UserError `store-not-empty`, `cannot-copy` with nothing kept; one of `DRIVER_ERRORS`.
    """
    reading, writing = source.connect(writes=True), target.connect(writes=True)
    try:
        for statement in source.database.unhurried:
            reading.execute(statement)
        reading.begin_reading()
        require_empty(target, writing)
        blobs = _copy_blobs(reading, source, target, tell)
        for statement in target.database.unhurried:
            writing.execute(statement)
        writing.begin()
        rows = {table.name: _copy_table(table, reading, writing, tell) for table in TABLES}
        for statement in target.database.renumbered(TABLES):
            writing.execute(statement)
        if not writing.leads():
            raise _failed("another process has taken the target over")
        writing.commit()
    finally:
        writing.rollback()
        reading.rollback()
        writing.close()
        reading.close()
    return Copied(rows=rows, blobs=blobs)


def require_empty(target: Store, connection: Connection) -> None:
    """Raises: UserError `store-not-empty`."""
    for table in TABLES:
        if connection.execute(f'select 1 from "{table.name}" limit 1').fetchone() is not None:  # noqa: S608
            raise UserError(
                "store-not-empty",
                f"{target.database.place!r} is in use already: its table {table.name!r} has rows.",
                hint="Take an empty database, or an empty schema of one.",
            )


def _copy_blobs(connection: Connection, source: Store, target: Store, tell: Tell) -> int:
    digests = sorted(
        {
            digest
            for table in REFERRING
            for (listed,) in connection.execute(f'select blobs from "{table.name}" where blobs is not null')  # noqa: S608
            for digest in listed.split()
        }
    )
    for number, digest in enumerate(digests, 1):
        target.blobs.put(digest, source.blobs.get(digest))
        if number % 50 == 0 or number == len(digests):
            tell("large values", number, len(digests))
    return len(digests)


def _copy_table(table: Table, reading: Connection, writing: Connection, tell: Tell) -> int:
    """Copy the rows, and compare what arrived with what was sent."""
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    marks = ", ".join("?" for _ in table.c)
    total: int = reading.execute(f'select count(*) from "{table.name}"').fetchone()[0]  # noqa: S608
    insert = f'insert into "{table.name}" ({columns}) values ({marks})'  # noqa: S608
    sent, copied = _Sum(), 0
    for rows in _chunks(table, columns, reading):
        try:
            writing.executemany(insert, rows)
        except DRIVER_ERRORS as error:
            raise _failed(f"a row of {table.name!r} was refused: {error}") from error
        sent.add(rows)
        copied += len(rows)
        tell(table.name, copied, total)
    arrived = _Sum()
    for rows in _chunks(table, columns, writing):
        arrived.add(rows)
    if (arrived.count, arrived.digest) != (sent.count, sent.digest) or sent.count != total:
        raise _failed(f"{arrived.count:,} of {total:,} rows of {table.name!r} arrived as they were sent")
    return total


def _chunks(table: Table, columns: str, connection: Connection) -> Iterator[list[Sequence[Any]]]:
    """All rows by their key, each chunk after the last key of the one before."""
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    places = [list(table.c).index(column) for column in table.primary_key]
    marks = ", ".join("?" for _ in places)
    after = ""
    values: list[Any] = []
    while True:
        rows = connection.execute(
            f'select {columns} from "{table.name}" {after} order by {keys} limit {CHUNK}',  # noqa: S608
            values,
        ).fetchall()
        if rows:
            yield rows
        if len(rows) < CHUNK:
            return
        after, values = f"where ({keys}) > ({marks})", [rows[-1][place] for place in places]


class _Sum:
    """A digest of rows that does not depend on their order: databases sort text differently."""

    def __init__(self) -> None:
        self.count = 0
        self.digest = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        self.count += len(rows)
        for row in rows:
            content = repr(tuple(row)).encode(errors="surrogatepass")
            self.digest = (self.digest + int.from_bytes(hashlib.sha256(content).digest())) % 2**256


def _failed(why: str) -> UserError:
    return UserError(
        "cannot-copy",
        f"Nothing was copied: {why}.",
        hint="Both databases are as they were; the same command begins anew.",
    )
