"""Everything that is particular to SQLite: connections, pragmas, locking, backup, and what its errors mean."""

import errno
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from sqlalchemy import Table
from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrion.core import BugError, Clock, OrchestrionError, TransientError, UserError

from ._database import Connection, Ownership
from ._lock import OwnerLock
from ._metadata import REVISIONS
from ._schema import metadata
from ._statements import sql

READ_PATIENCE_MS = 5000
WRITE_PATIENCE_MS = 50
"""SQLite asks again after 1, 2, 5, 10 ... 100 ms: `begin` starts over early, since gaps between commits are short."""
WRITE_PATIENCE_S = 30.0
_MAGIC = b"SQLite format 3\x00"


class SQLiteConnection(sqlite3.Connection):
    """Transactions begin and end where the code says so."""

    clock: Clock
    _changes = 0

    def begin(self, *, together: bool = False) -> None:
        """Begin a transaction that may write, waiting for other processes. Raises: sqlite3.Error when one never lets go."""
        until = self.clock.monotonic() + WRITE_PATIENCE_S
        while True:
            try:
                self.execute("begin immediate")
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or self.clock.monotonic() > until:
                    raise
            else:
                return

    def leads(self) -> bool:
        """The lock file cannot be lost."""
        return True

    def begin_reading(self) -> None:
        self.execute("begin")

    def foreign_change(self) -> bool:
        before, self._changes = self._changes, self._data_version()
        return before != self._changes

    def note_changes(self) -> None:
        self._changes = self._data_version()

    def _data_version(self) -> int:
        """A number that changes when any other connection has committed."""
        return cast("int", self.execute("pragma data_version").fetchall()[0][0])


class SQLite:
    """A database in a file, owned by whoever holds the lock beside it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock

    @property
    def place(self) -> str:
        return str(self.path)

    def own(self) -> Ownership:
        lock = OwnerLock.take(self.path)
        try:
            self._prepare()
        except BaseException:
            lock.release()
            raise
        return lock

    def connect(self, *, writes: bool, ownership: Ownership | None = None) -> SQLiteConnection:
        connection = connect(self.path, writes=writes)
        connection.clock = self._clock
        try:
            connection.note_changes()
        except BaseException:
            connection.close()
            raise
        return connection

    def revision(self) -> str | None:
        """The schema revision of a database; None for one that is still empty or absent.

        Raises: UserError `store-folder-missing`, `store-not-a-database`; sqlite3.Error; OSError.
        """
        path = self.path
        if not path.parent.is_dir():
            raise UserError(
                "store-folder-missing",
                f"The folder {str(path.parent)!r}, where the database {path.name!r} should be, does not exist.",
                hint="Create the folder, or name another place.",
            )
        if not path.exists():
            return None
        if path.is_dir() or _looks_foreign(path):
            raise _not_a_database(path)
        connection = connect(path, writes=False)
        try:
            return self._revision(connection)
        finally:
            connection.close()

    def _revision(self, connection: sqlite3.Connection) -> str | None:
        tables = {str(name) for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
        if not tables:
            return None
        row = (
            connection.execute("select version_num from alembic_version").fetchone()
            if "alembic_version" in tables
            else None
        )
        if row is None or "runs" not in tables:
            raise _not_a_database(self.path)
        return str(row[0])

    def _prepare(self) -> None:
        """Create the tables if there are none, in one transaction, so that a kill leaves an empty file or a whole database."""
        connection = connect(self.path, writes=True)
        try:
            # write-ahead logging, which the file stays in: readers and the writer do not wait for each other
            connection.execute("pragma journal_mode=wal")
            if self._revision(connection) is not None:
                return
            connection.execute("begin immediate")
            for table in metadata.sorted_tables:
                connection.execute(sql(CreateTable(table)))
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    connection.execute(sql(CreateIndex(index)))
            connection.execute("create table alembic_version (version_num varchar(32) not null primary key)")
            connection.execute("insert into alembic_version values (?)", (REVISIONS[-1],))
            connection.execute("commit")
        finally:
            connection.close()

    @property
    def unhurried(self) -> Sequence[str]:
        return ()

    def renumbered(self, tables: Sequence[Table]) -> Sequence[str]:
        """It sees to that by itself."""
        return ()

    @contextmanager
    def explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _for_user(self.explain(error)) from error
        except OSError as error:
            raise _file_error(error, self.path) from error

    def leader(self, connection: Connection) -> str | None:
        return None

    def is_row_error(self, error: BaseException) -> bool:
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

    def is_passing(self, error: BaseException) -> bool:
        """Once there is space, or once another process lets go."""
        return isinstance(error, sqlite3.Error) and (_is_busy(error) or _code(error) == sqlite3.SQLITE_FULL)

    def is_lost(self, error: BaseException) -> bool:
        """There is nothing between a process and its file."""
        return False

    def explain(self, error: BaseException) -> OrchestrionError:
        path = self.path
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
                return _not_a_database(path)
            case sqlite3.SQLITE_CORRUPT:
                return UserError(
                    "store-corrupt",
                    f"The database {str(path)!r} is damaged: {error}.",
                    hint="Restore it from a backup, or save what is left with `sqlite3 FILE .recover`.",
                )
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
                return _not_writable(path)
            case _:
                return BugError("store-failed", f"The database {str(path)!r} failed: {error}.")


def connect(path: Path, *, writes: bool) -> SQLiteConnection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, factory=SQLiteConnection
    )
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


def backup(path: Path, target: Path) -> None:
    """Copy a database, consistent even while it is in use."""
    with sqlite3.connect(path) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()


def compact(path: Path) -> tuple[int, int]:
    """Write a database anew without unused pages; bytes before and after."""
    before = path.stat().st_size
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.close()
    return before, path.stat().st_size


def _looks_foreign(path: Path) -> bool:
    """Whether a file that is not empty is something else than a SQLite database."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    return bool(start) and start != _MAGIC


def _is_busy(error: BaseException) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _code(error: BaseException) -> int:
    """The primary result code; 0 when the driver refused before SQLite saw anything."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _for_user(error: OrchestrionError) -> OrchestrionError:
    """Opening is not tried again by itself: somebody has to make space."""
    return UserError(error.code, error.message, hint=error.hint) if error.code == "disk-full" else error


def _file_error(error: OSError, path: Path) -> UserError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UserError("disk-full", f"There is no space left for {str(path)!r}.", hint="Free some space.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return _not_writable(path)
    return UserError("store-unusable", f"The database {str(path)!r} cannot be used: {error.strerror or error}.")


def _not_a_database(path: Path) -> UserError:
    return UserError(
        "store-not-a-database",
        f"{str(path)!r} is not an Orchestrion database.",
        hint="Name another file; one that does not exist yet is created.",
    )


def _not_writable(path: Path) -> UserError:
    return UserError(
        "store-read-only",
        f"{str(path)!r} cannot be written: its folder or the file is read-only for this user.",
        hint="Give write permission for the folder as well: SQLite keeps two more files beside the database.",
    )
