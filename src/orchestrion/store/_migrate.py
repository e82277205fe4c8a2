"""Migrations, run only when asked for: nothing else imports Alembic."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from orchestrion.core import Clock, SystemClock, UserError, iso

from ._database import Database
from ._lock import OwnerLock
from ._metadata import REVISIONS
from ._sqlite import SQLite, backup, connect
from ._store import Migrated, database_at, require_current

SCRIPTS = (Path(__file__).parent / "migrations" / "versions",)
"""Folders with revisions."""

LEADER_SINCE = "0002"
"""The first revision that knows who leads."""


def migrate(where: str | Path, clock: Clock) -> Migrated | None:
    """None when nothing was to do. Raises: UserError as `Store.open` does, and `migration-failed`."""
    database = database_at(where, clock)
    with database.explained():
        known = database.revision()
        if known is None:
            raise UserError("store-missing", f"There is no database at {database.place!r} to migrate.")
        if known not in REVISIONS:
            require_current(database.place, known)
        if known == REVISIONS[-1]:
            return None
        if isinstance(database, SQLite):
            return _migrate_file(database.path, known)
        return _migrate_server(database, known)


def _migrate_file(path: Path, known: str) -> Migrated:
    lock = OwnerLock.take(path)
    try:
        stamp = iso(SystemClock().now()).replace(":", "").replace(".", "")
        target = path.with_name(f"{path.name}.backup-{known}-{stamp}")
        backup(path, target)
        upgrade(path, target)
    finally:
        lock.release()
    return Migrated(before=known, backup=target)


def _migrate_server(database: Database, known: str) -> Migrated:
    owner = database.own() if known >= LEADER_SINCE else None
    try:
        upgrade_server(database)
    finally:
        if owner is not None:
            owner.release()
    return Migrated(before=known, backup=None)


def upgrade(path: Path, target: Path) -> None:
    """All revisions in one transaction: a failure leaves the database as it was."""

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("pragma foreign_keys=off")
        connection.exec_driver_sql("begin immediate")

    hint = f"The backup {str(target)!r} holds the same; please report this."
    _upgrade("sqlite://", lambda: connect(path, writes=True), begin, place=str(path), hint=hint)


def upgrade_server(database: Database) -> None:
    """All revisions in one transaction, by one process at a time."""
    from ._postgresql import PostgreSQL

    assert isinstance(database, PostgreSQL)
    preparing = database.names().preparing

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({preparing})")

    _upgrade("postgresql+psycopg://", database.open_plainly, begin, place=database.place, hint="Please report this.")


def _upgrade(
    kind: str, opening: Callable[[], Any], begin: Callable[[Connection], None], *, place: str, hint: str
) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in SCRIPTS))
    engine = create_engine(kind, creator=opening, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            begin(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, REVISIONS[-1])
            if kind == "sqlite://":
                connection.exec_driver_sql("commit")
            else:
                connection.commit()
    except (CommandError, SQLAlchemyError) as error:
        raise UserError(
            "migration-failed",
            f"The database {place!r} could not be migrated and is as it was: {error}.",
            hint=hint,
        ) from error
    finally:
        engine.dispose()
