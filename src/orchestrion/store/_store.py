"""Opening a store: where it may be, whether it fits this release, and who may own it."""

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrion.core import Clock, OrchestrionError, SystemClock, UserError

from ._blobs import Blobs
from ._lock import OwnerLock
from ._schema import REVISIONS, metadata
from ._sqlite import connect, explain, keep_log_ahead, looks_foreign, not_a_database, not_writable, sql

Mode = Literal["own", "join"]


class Store:
    """A database and its blobs. Rooms above bring the statements; here is only what all of them need."""

    def __init__(self, path: Path, *, mode: Mode, lock: OwnerLock | None, clock: Clock) -> None:
        self.path = path
        self.mode = mode
        self.blobs = Blobs(str(path.with_name(path.name + ".blobs").absolute()), clock)
        self._lock = lock

    @classmethod
    def open(cls, where: str | Path, *, mode: Mode, clock: Clock | None = None) -> "Store":
        """Open the database at a path or `sqlite:///` URL.

        `own` is for the one process that advances runs, and creates a database that does not exist. `join` is for reading and for
        sending answers, while an owner works or not.

        Raises: UserError `store-in-use`, `store-missing`, `store-folder-missing`, `store-read-only`, `store-not-a-database`,
        `store-corrupt`, `store-outdated`, `store-too-new`, `store-unsupported`, `disk-full`.
        """
        path = database_path(where)
        with explained(path):
            known = revision(path)
            if known is not None:
                require_current(path, known)
            elif mode == "join":
                raise UserError(
                    "store-missing",
                    f"There is no database at {str(path)!r} yet.",
                    hint="The first run creates it.",
                )
            lock = OwnerLock.take(path) if mode == "own" else None
            try:
                if lock is not None:
                    _prepare(path)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise
        return cls(path, mode=mode, lock=lock, clock=clock or SystemClock())

    @staticmethod
    def migrate(where: str | Path) -> Path | None:
        """Bring an older database to this release's schema; the path of the backup made before, None if nothing was to do.

        Raises: UserError as `open` does, and `migration-failed`, with the database as it was.
        """
        from ._migrate import migrate

        path = database_path(where)
        with explained(path):
            return migrate(path)

    def connect(self, *, writes: bool) -> sqlite3.Connection:
        """A new connection in autocommit mode, for one thread at a time. Raises: sqlite3.Error."""
        return connect(self.path, writes=writes)

    def close(self) -> None:
        """Let another process own the store. Connections are closed by whoever made them."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def database_path(where: str | Path) -> Path:
    """The file a path or URL names. Raises: UserError `store-unsupported`."""
    if isinstance(where, Path):
        return where
    scheme, separator, rest = where.partition("://")
    if not separator:
        return Path(where)
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/:memory:":
        raise UserError(
            "store-unsupported",
            f"The store {scheme + '://…'!r} is of a kind this release cannot use.",
            hint="Use a path, or `sqlite:///relative/file.db`, or `sqlite:////absolute/file.db`.",
        )
    return Path(unquote(rest[1:]))


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn what the file system and the driver say while a store is opened into something a person can act on."""
    try:
        yield
    except sqlite3.Error as error:
        raise _for_user(explain(error, path)) from error
    except OSError as error:
        raise _file_error(error, path) from error


def _for_user(error: OrchestrionError) -> OrchestrionError:
    """Opening is not tried again by itself: somebody has to make space."""
    return UserError(error.code, error.message, hint=error.hint) if error.code == "disk-full" else error


def _file_error(error: OSError, path: Path) -> UserError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return UserError("disk-full", f"There is no space left for {str(path)!r}.", hint="Free some space.")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return not_writable(path)
    return UserError("store-unusable", f"The database {str(path)!r} cannot be used: {error.strerror or error}.")


def revision(path: Path) -> str | None:
    """The schema revision of a database; None for one that is still empty or absent.

    Raises: UserError `store-folder-missing`, `store-not-a-database`; sqlite3.Error; OSError.
    """
    if not path.parent.is_dir():
        raise UserError(
            "store-folder-missing",
            f"The folder {str(path.parent)!r}, where the database {path.name!r} should be, does not exist.",
            hint="Create the folder, or name another place.",
        )
    if not path.exists():
        return None
    if path.is_dir() or looks_foreign(path):
        raise not_a_database(path)
    connection = connect(path, writes=False)
    try:
        return _revision(connection, path)
    finally:
        connection.close()


def _revision(connection: sqlite3.Connection, path: Path) -> str | None:
    tables = {str(name) for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    if not tables:
        return None
    row = (
        connection.execute("select version_num from alembic_version").fetchone()
        if "alembic_version" in tables
        else None
    )
    if row is None or "runs" not in tables:
        raise not_a_database(path)
    return str(row[0])


def require_current(path: Path, known: str) -> None:
    """Raises: UserError `store-outdated`, `store-too-new`."""
    current = REVISIONS[-1]
    if known == current:
        return
    if known in REVISIONS:
        raise UserError(
            "store-outdated",
            f"The database {str(path)!r} has schema {known}; this release needs {current}.",
            hint="Run `orchestrion store migrate`. It makes a backup first.",
        )
    raise UserError(
        "store-too-new",
        f"The database {str(path)!r} has schema {known}, from a newer release; this one knows up to {current}.",
        hint="Use the newer release, or restore the backup made before the migration.",
    )


def _prepare(path: Path) -> None:
    """Create the tables if there are none, in one transaction, so that a kill leaves an empty file or a whole database."""
    connection = connect(path, writes=True)
    try:
        keep_log_ahead(connection)
        if _revision(connection, path) is not None:
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
