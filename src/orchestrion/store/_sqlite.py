"""Everything that is particular to SQLite: connections, pragmas, locking, backup, and what its errors mean."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.dialects.sqlite import Insert, dialect, insert
from sqlalchemy.sql import ClauseElement

from orchestrion.core import BugError, Clock, OrchestrionError, TransientError, UserError

DIALECT = dialect()
READ_PATIENCE_MS = 5000
WRITE_PATIENCE_MS = 50
"""SQLite asks again after 1, 2, 5, 10 ... 100 ms: `begin` starts over early, since gaps between commits are short."""
WRITE_PATIENCE_S = 30.0
_MAGIC = b"SQLite format 3\x00"

Connection = sqlite3.Connection
DriverError = sqlite3.Error


def connect(path: Path, *, writes: bool) -> Connection:
    """A connection in autocommit mode: transactions begin and end where the code says so. Used by one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        connection.execute(f"pragma busy_timeout={WRITE_PATIENCE_MS if writes else READ_PATIENCE_MS}")
        connection.execute("pragma synchronous=full")
        connection.execute("pragma foreign_keys=on")
        connection.execute("pragma journal_size_limit=67108864")
        if not writes:
            connection.execute("pragma query_only=on")
    except BaseException:
        connection.close()
        raise
    return connection


def keep_log_ahead(connection: Connection) -> None:
    """Switch the file to write-ahead logging, which it stays in: readers and the writer do not wait for each other."""
    connection.execute("pragma journal_mode=wal")


def looks_foreign(path: Path) -> bool:
    """Whether a file that is not empty is something else than a SQLite database."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    return bool(start) and start != _MAGIC


def begin(connection: Connection, clock: Clock) -> None:
    """Begin a transaction that may write, waiting for other processes. Raises: DriverError when one never lets go."""
    until = clock.monotonic() + WRITE_PATIENCE_S
    while True:
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or clock.monotonic() > until:
                raise
        else:
            return


def changes_by_others(connection: Connection) -> int:
    """A number that changes when any other connection has committed."""
    return cast("int", connection.execute("pragma data_version").fetchall()[0][0])


def backup(path: Path, target: Path) -> None:
    """Copy a database, consistent even while it is in use."""
    with sqlite3.connect(path) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def upsert(table: Table, keep: Sequence[str] = ()) -> Insert:
    """Insert a row, or replace all but its key and the columns to `keep` of the one that is there."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={
            column.name: statement.excluded[column.name]
            for column in table.c
            if column.name not in keys and column.name not in keep
        },
    )


def insert_new(table: Table) -> Insert:
    """Insert a row unless one like it is there."""
    return insert(table).on_conflict_do_nothing()


def sql(statement: ClauseElement) -> str:
    """The text of a statement whose values are bound by position."""
    return str(statement.compile(dialect=DIALECT))


def bound(statement: ClauseElement) -> tuple[str, list[Any]]:
    """The text of a statement that holds its values, and the values."""
    compiled = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    parameters = compiled.params or {}
    names: list[str] = getattr(compiled, "positiontup", None) or []
    return str(compiled), [parameters[name] for name in names]


def is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 when the driver refused before SQLite saw anything."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_row_error(error: BaseException) -> bool:
    """Whether the values were refused, and not the database in trouble."""
    if isinstance(error, sqlite3.OperationalError):
        return _code(error) == sqlite3.SQLITE_TOOBIG
    return isinstance(
        error,
        sqlite3.IntegrityError
        | sqlite3.InterfaceError
        | sqlite3.ProgrammingError
        | sqlite3.DataError
        | OverflowError
        | UnicodeError,
    )


def is_passing(error: BaseException) -> bool:
    """Whether the database works again once there is space, or once another process lets go."""
    return isinstance(error, sqlite3.Error) and (is_busy(error) or _code(error) == sqlite3.SQLITE_FULL)


def explain(error: sqlite3.Error, path: Path) -> OrchestrionError:
    """What a driver's error means to whoever uses the store."""
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return TransientError(
                "disk-full",
                f"There is no space left for {str(path)!r}; nothing of this write was kept.",
                hint="Free some space; then it works again.",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return TransientError("store-busy", f"Another process keeps {str(path)!r} locked.", hint="Try again.")
        case sqlite3.SQLITE_NOTADB:
            return not_a_database(path)
        case sqlite3.SQLITE_CORRUPT:
            return UserError(
                "store-corrupt",
                f"The database {str(path)!r} is damaged: {error}.",
                hint="Restore it from a backup, or save what is left with `sqlite3 FILE .recover`.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return not_writable(path)
        case _:
            return BugError("store-failed", f"The database {str(path)!r} failed: {error}.")


def not_a_database(path: Path) -> UserError:
    return UserError(
        "store-not-a-database",
        f"{str(path)!r} is not an Orchestrion database.",
        hint="Name another file; one that does not exist yet is created.",
    )


def not_writable(path: Path) -> UserError:
    return UserError(
        "store-read-only",
        f"{str(path)!r} cannot be written: its folder or the file is read-only for this user.",
        hint="Give write permission for the folder as well: SQLite keeps two more files beside the database.",
    )
