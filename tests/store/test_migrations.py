"""Migrations: the revisions give the tables of this release, and an older database is brought there safely."""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from orchestrion.core import SystemClock, UserError
from orchestrion.store import REVISIONS, Store, _migrate, metadata
from orchestrion.store._postgresql import PostgreSQL

LATER = '''
"""A revision of a later release."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{last}"


def upgrade():
    op.add_column("runs", sa.Column("later", sa.Text()))
    {more}
'''


def columns(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [str(row[1]) for row in connection.execute("pragma table_info(runs)")]
    connection.close()
    return found


def schema(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Tables with their columns, and indexes with theirs."""
    connection = sqlite3.connect(path)
    names = [
        (str(kind), str(name))
        for kind, name in connection.execute("select type, name from sqlite_master where name not like 'sqlite_%'")
    ]
    found = {
        name: connection.execute(f"pragma {'table' if kind == 'table' else 'index'}_xinfo({name})").fetchall()
        for kind, name in names
        if name != "alembic_version"
    }
    connection.close()
    return found


def later_release(monkeypatch: pytest.MonkeyPatch, folder: Path, more: str = "") -> None:
    """Pretend that this release has one revision more."""
    folder.mkdir()
    (folder / "9999_later.py").write_text(LATER.format(last=REVISIONS[-1], more=more))
    for module in ("_migrate", "_store"):
        monkeypatch.setattr(f"orchestrion.store.{module}.REVISIONS", (*REVISIONS, "9999"))
    monkeypatch.setattr(_migrate, "SCRIPTS", (*_migrate.SCRIPTS, folder))


def test_the_revisions_are_the_known_ones() -> None:
    config = Config()
    config.set_main_option("script_location", str(_migrate.SCRIPTS[0].parent))
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in reversed(list(scripts.walk_revisions()))] == list(REVISIONS)


def test_the_revisions_give_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "migrated.db"
    _migrate.upgrade(path, path)
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    Store.open(tmp_path / "created.db", mode="own").close()
    assert schema(path) == schema(tmp_path / "created.db")


def test_an_older_database_is_refused_then_migrated_with_a_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    Store.open(path, mode="own").close()
    later_release(monkeypatch, tmp_path / "later")
    with pytest.raises(UserError) as caught:
        Store.open(path, mode="own")
    assert caught.value.code == "store-outdated"
    assert "orchestrion store migrate" in (caught.value.hint or "")
    migrated = Store.migrate(path)
    assert migrated is not None
    assert migrated.backup is not None
    assert "later" in columns(path)
    assert "later" not in columns(migrated.backup)
    Store.open(path, mode="own").close()
    assert Store.migrate(path) is None


def test_a_failed_migration_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    Store.open(path, mode="own").close()
    before = schema(path)
    later_release(monkeypatch, tmp_path / "later", more="op.execute('insert into nowhere values (1)')")
    with pytest.raises(UserError) as caught:
        Store.migrate(path)
    assert caught.value.code == "migration-failed"
    assert schema(path) == before


def test_an_owned_database_is_not_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "journal.db", mode="own")
    later_release(monkeypatch, tmp_path / "later")
    with pytest.raises(UserError) as caught:
        Store.migrate(store.path)
    assert caught.value.code == "store-in-use"
    store.close()


def test_nothing_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Store.migrate(tmp_path / "journal.db")
    assert caught.value.code == "store-missing"


# --- on PostgreSQL ---


def server_schema(url: str) -> list[tuple[object, ...]]:
    """Columns with their types, and indexes as the server prints them."""
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "select table_name, column_name, data_type, is_nullable, (column_default is null) "
            "from information_schema.columns where table_schema = current_schema() order by 1, 2"
        ).fetchall()
        indexes = connection.execute(
            "select tablename, replace(indexdef, current_schema(), '') "
            "from pg_indexes where schemaname = current_schema() order by 1, 2"
        ).fetchall()
        constraints = connection.execute(
            "select conname::text, pg_get_constraintdef(oid) from pg_constraint "
            "where connamespace = current_schema()::regnamespace and contype in ('p', 'f') order by 1"
        ).fetchall()
    return [row for row in (*columns, *indexes, *constraints) if row[0] != "alembic_version"]


def test_the_revisions_give_the_tables_on_postgresql(postgresql: str, another_schema: str) -> None:
    _migrate.upgrade_server(PostgreSQL(postgresql, SystemClock()))
    Store.open(another_schema, mode="own", blobs="unused").close()
    assert server_schema(postgresql) == server_schema(another_schema)


def test_a_server_is_migrated_while_nobody_leads(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(postgresql, mode="own", blobs="unused")
    later_release(monkeypatch, tmp_path / "later")
    with pytest.raises(UserError) as caught:
        Store.migrate(postgresql)
    assert caught.value.code == "store-in-use"
    store.close()
    with pytest.raises(UserError) as caught:
        Store.open(postgresql, mode="own", blobs="unused")
    assert caught.value.code == "store-outdated"
    migrated = Store.migrate(postgresql)
    assert migrated is not None
    assert (migrated.before, migrated.backup) == (REVISIONS[-1], None)
    assert ("runs", "later", "text", "YES", True) in server_schema(postgresql)
    Store.open(postgresql, mode="own", blobs="unused").close()
    assert Store.migrate(postgresql) is None


def test_a_failed_migration_leaves_the_server_as_it_was(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(postgresql, mode="own", blobs="unused").close()
    before = server_schema(postgresql)
    later_release(monkeypatch, tmp_path / "later", more="op.execute('insert into nowhere values (1)')")
    with pytest.raises(UserError) as caught:
        Store.migrate(postgresql)
    assert caught.value.code == "migration-failed"
    assert server_schema(postgresql) == before
