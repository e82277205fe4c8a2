"""Migrations, run only when asked for: nothing else imports Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from orchestrion.core import SystemClock, UserError, iso

from ._lock import OwnerLock
from ._schema import REVISIONS
from ._sqlite import SQLite, backup, connect
from ._store import require_current

SCRIPTS = (Path(__file__).parent / "migrations" / "versions",)
"""Folders with revisions."""


def migrate(path: Path) -> Path | None:
    """Raises: UserError `store-missing`, `store-in-use`, `store-too-new`, `migration-failed`."""
    known = SQLite(path, SystemClock()).revision()
    if known is None:
        raise UserError("store-missing", f"There is no database at {str(path)!r} to migrate.")
    if known not in REVISIONS:
        require_current(str(path), known)
    if known == REVISIONS[-1]:
        return None
    lock = OwnerLock.take(path)
    try:
        stamp = iso(SystemClock().now()).replace(":", "").replace(".", "")
        target = path.with_name(f"{path.name}.backup-{known}-{stamp}")
        backup(path, target)
        upgrade(path, target)
    finally:
        lock.release()
    return target


def upgrade(path: Path, target: Path) -> None:
    """All revisions in one transaction: a failure leaves the database as it was."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(str(folder).replace("%", "%%") for folder in SCRIPTS))
    engine = create_engine("sqlite://", creator=lambda: connect(path, writes=True), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("pragma foreign_keys=off")
            connection.exec_driver_sql("begin immediate")
            config.attributes["connection"] = connection
            command.upgrade(config, REVISIONS[-1])
            connection.exec_driver_sql("commit")
    except (CommandError, SQLAlchemyError) as error:
        raise UserError(
            "migration-failed",
            f"The database {str(path)!r} could not be migrated and is as it was: {error}.",
            hint=f"The backup {str(target)!r} holds the same; please report this.",
        ) from error
    finally:
        engine.dispose()
