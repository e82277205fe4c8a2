"""Opening a store: where it may be, whether it fits this release, and who may own it."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from orchestrion.core import BugError, Clock, SystemClock, UserError

from ._blobs import Blobs
from ._database import Connection, Database, Mode, Ownership
from ._metadata import REVISIONS
from ._postgresql_error import PostgreSQLError
from ._sqlite import SQLite, compact

DRIVER_ERRORS = (sqlite3.Error, PostgreSQLError)

Tell = Callable[[str, int, int], None]
"""Told what is copied, how much of it has been, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What was done. A server's database has no copy made before: its administrators make those."""

    before: str
    backup: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied and verified: rows by table, and large values."""

    rows: Mapping[str, int]
    blobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """What a backup holds, and how many bytes it has."""

    file: Path
    runs: int
    blobs: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored, and where what was there before has been kept."""

    runs: int
    blobs: int
    aside: Path | None


class Store:
    """A database and its blobs. Rooms above bring the statements; here is only what all of them need."""

    def __init__(self, database: Database, *, mode: Mode, ownership: Ownership | None, blobs: Blobs) -> None:
        self.database = database
        self.mode = mode
        self.blobs = blobs
        self._ownership = ownership

    @classmethod
    def open(cls, where: str | Path, *, mode: Mode, clock: Clock | None = None, blobs: str | None = None) -> "Store":
        """Open the database at a path, `sqlite:///` or `postgresql://` URL.

        `own` is for the one process that advances runs, and creates tables that do not exist. `join` is for reading and for
        sending answers, while an owner works or not. `blobs` is the folder or URL for large values; beside a SQLite file by default.

        Raises: UserError `store-in-use`, `store-missing`, `store-folder-missing`, `store-read-only`, `store-not-a-database`,
        `store-corrupt`, `store-outdated`, `store-too-new`, `store-unsupported`, `store-unreachable`, `driver-missing`, `disk-full`.
        """
        clock = clock or SystemClock()
        database = database_at(where, clock)
        folder = blobs or _default_blobs(database)
        with database.explained():
            known = database.revision()
            if known is not None:
                require_current(database.place, known)
            elif mode == "join":
                raise UserError(
                    "store-missing",
                    f"There is no database at {database.place!r} yet.",
                    hint="The first run creates it.",
                )
            ownership = database.own() if mode == "own" else None
        return cls(database, mode=mode, ownership=ownership, blobs=Blobs(folder, clock))

    @staticmethod
    def migrate(where: str | Path) -> Migrated | None:
        """Bring an older database to this release's schema; a file is backed up before. None if nothing was to do.

        Raises: UserError as `open` does, and `migration-failed`, with the database as it was.
        """
        from ._migrate import migrate

        return migrate(where, SystemClock())

    def copy(self, target: "Store", tell: Tell) -> Copied:
        """Copy everything, as it is at one moment, into another store, which is owned and empty.

        Raises: UserError `store-not-empty`, `cannot-copy`; others as `open` does.
        """
        from ._copy import copy_store

        with self.database.explained(), target.database.explained():
            return copy_store(self, target, tell)

    def back_up(self, file: Path) -> BackedUp:
        """Write everything, as it is at one moment, into one file. Others may be at work in the store meanwhile.

        Raises: UserError `backup-exists`, `backup-folder-missing`; BugError `blob-missing`, `blob-damaged`.
        """
        from ._backup import back_up

        with self.database.explained():
            return back_up(self, file, SystemClock())

    def restore(self, file: Path, *, force: bool) -> Restored:
        """Put what a backup holds into this store, which is owned and empty; with `force`, over what a file holds.

        Raises: UserError `not-a-backup`, `backup-damaged`, `store-not-empty`, `store-too-new`, with the store as it was.
        """
        from ._backup import restore

        with self.database.explained():
            return restore(file, self, SystemClock(), force=force)

    @classmethod
    def vacuum(cls, where: str | Path) -> tuple[int, int]:
        """Write a SQLite database anew without the space of what was deleted; bytes before and after.

        It takes as much space again while it works. Raises: UserError as `open` does, `store-in-use` and `store-unsupported`
        among them.
        """
        if is_postgresql(where):
            raise UserError(
                "store-unsupported",
                "PostgreSQL looks after its space by itself.",
                hint="`vacuum full` in psql gives it back to the file system, if that must be.",
            )
        store = cls.open(where, mode="own")
        try:
            with store.database.explained():
                return compact(store.path)
        finally:
            store.close()

    @property
    def path(self) -> Path:
        """The file of a SQLite database. Raises: BugError."""
        if not isinstance(self.database, SQLite):
            raise BugError("store-failed", f"The database {self.database.place!r} is not a file.")
        return self.database.path

    def connect(self, *, writes: bool) -> Connection:
        """A new connection in autocommit mode, for one thread at a time. Raises: one of `DRIVER_ERRORS`."""
        return self.database.connect(writes=writes, ownership=self._ownership)

    def leader(self) -> str | None:
        """Which process advances runs, as far as the tables say; None when none does, or for a file, which has a lock instead."""
        connection = self.connect(writes=False)
        try:
            return self.database.leader(connection)
        finally:
            connection.close()

    def leading(self) -> bool:
        """Whether this process owns the store for certain, right now."""
        return self._ownership is not None and self._ownership.leading()

    @property
    def lost(self) -> bool:
        """Whether another process has taken the store over."""
        return self._ownership is not None and self._ownership.lost

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call `tell` once another process has taken the store over, on any thread."""
        if self._ownership is not None:
            self._ownership.when_lost(tell)

    def close(self) -> None:
        """Let another process own the store. Connections are closed by whoever made them."""
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None


def is_postgresql(where: str | Path) -> bool:
    """Whether a store is on a server, where several processes may wait for each other."""
    return isinstance(where, str) and where.partition("://")[0].partition("+")[0] in {"postgresql", "postgres"}


def database_at(where: str | Path, clock: Clock) -> Database:
    """Raises: UserError `store-unsupported`, `driver-missing`."""
    if is_postgresql(where):
        from ._postgresql import PostgreSQL

        return PostgreSQL(str(where), clock)
    return SQLite(database_path(where), clock)


def _default_blobs(database: Database) -> str:
    if isinstance(database, SQLite):
        return str(database.path.with_name(database.path.name + ".blobs").absolute())
    raise BugError("store-failed", "A database on a server needs a place for large values.")


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
            hint="Use a path, `sqlite:///relative/file.db`, `sqlite:////absolute/file.db`, or `postgresql://user@host/database`.",
        )
    return Path(unquote(rest[1:]))


def require_current(place: str, known: str) -> None:
    """Raises: UserError `store-outdated`, `store-too-new`."""
    current = REVISIONS[-1]
    if known == current:
        return
    if known in REVISIONS:
        raise UserError(
            "store-outdated",
            f"The database {place!r} has schema {known}; this release needs {current}.",
            hint="Run `orchestrion store migrate`. It makes a backup first.",
        )
    raise UserError(
        "store-too-new",
        f"The database {place!r} has schema {known}, from a newer release; this one knows up to {current}.",
        hint="Use the newer release, or restore the backup made before the migration.",
    )
