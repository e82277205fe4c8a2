"""Opening a store: what is created, what is refused, and how that is said."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from orchestrion.core import UserError
from orchestrion.store import REVISIONS, Store

OWN = """
import sys, time
from orchestrion.store import Store
store = Store.open(sys.argv[1], mode="own")
print("owned", flush=True)
sys.stdin.read()
"""


def refused(where: str | Path, mode: str = "own") -> UserError:
    with pytest.raises(UserError) as caught:
        Store.open(where, mode="own" if mode == "own" else "join")
    return caught.value


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {str(row[0]) for row in connection.execute("select name from sqlite_master where type = 'table'")}
    connection.close()
    return found


def set_revision(path: Path, revision: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("update alembic_version set version_num = ?", (revision,))
    connection.close()


@contextmanager
def another_owner(path: Path) -> Generator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OWN, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def test_a_new_database_is_created_at_the_newest_schema(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Store.open(path, mode="own").close()
    assert {"runs", "entries", "requests", "messages", "documents", "quarantine", "late"} < tables(path)
    Store.open(f"sqlite:///{path}", mode="own").close()
    Store.open(str(path), mode="join").close()


def test_what_it_writes_survives_a_power_cut_and_readers_do_not_wait(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "journal.db", mode="own")
    connection = store.connect(writes=True)
    pragmas = {name: connection.execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert connection.execute("pragma foreign_keys").fetchone()[0] == 1
    connection.close()
    store.close()


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with another_owner(path) as process:
        error = refused(path)
        assert error.code == "store-in-use"
        assert str(process.pid) in error.message
        assert error.hint is not None
        Store.open(path, mode="join").close()
    Store.open(path, mode="own").close()


def test_a_store_can_be_owned_again_after_closing(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "journal.db", mode="own")
    assert refused(tmp_path / "journal.db").code == "store-in-use"
    first.close()
    first.close()
    Store.open(tmp_path / "journal.db", mode="own").close()


def test_joining_what_does_not_exist_creates_nothing(tmp_path: Path) -> None:
    assert refused(tmp_path / "journal.db", "join").code == "store-missing"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere" / "journal.db")
    assert error.code == "store-folder-missing"
    assert "nowhere" in error.message


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")
    assert refused(path).code == "store-not-a-database"
    assert path.read_text() == "dear diary"
    assert refused(tmp_path).code == "store-not-a-database"
    assert [item.name for item in tmp_path.iterdir()] == ["notes.txt"]


def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table accounts (id)")
    connection.close()
    assert refused(path).code == "store-not-a-database"
    assert tables(path) == {"accounts"}


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Store.open(path, mode="own").close()
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(range(256)) * 15 + bytes(156)
    path.write_bytes(bytes(content))
    error = refused(path)
    assert error.code == "store-corrupt"
    assert error.hint is not None


def test_an_empty_file_left_by_a_kill_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    Store.open(path, mode="own").close()
    assert "runs" in tables(path)


@contextmanager
def as_nobody() -> Generator[None]:
    """File permissions do not hold for root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_folder_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        Store.open(folder / "known.db", mode="own").close()
        folder.chmod(0o555)
        with as_nobody():
            new, known = refused(folder / "journal.db"), refused(folder / "known.db")
        folder.chmod(0o755)
        assert (new.code, known.code) == ("store-read-only", "store-read-only")
        assert not (folder / "journal.db").exists()


def test_a_database_from_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Store.open(path, mode="own").close()
    set_revision(path, "9001")
    error = refused(path)
    assert error.code == "store-too-new"
    assert "9001" in error.message
    assert REVISIONS[-1] in error.message
    with pytest.raises(UserError, match="9001"):
        Store.migrate(path)


@pytest.mark.parametrize("where", ["sqlite://", "sqlite:///:memory:", "mysql://x"])
def test_other_databases_are_refused(where: str) -> None:
    assert refused(where).code == "store-unsupported"


def test_opening_imports_neither_alembic_nor_fsspec(tmp_path: Path) -> None:
    program = (
        "import sys; from orchestrion.store import Store; Store.open(sys.argv[1], mode='own');"
        "print([name for name in ('alembic', 'fsspec') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.db")], capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"


# --- on a server ---


def refused_on(url: str, mode: str = "own") -> UserError:
    with pytest.raises(UserError) as caught:
        Store.open(url, mode="own" if mode == "own" else "join", blobs="unused")
    return caught.value


def test_tables_are_created_on_a_server_and_a_second_owner_is_told_who_the_first_is(postgresql: str) -> None:
    assert refused_on(postgresql, "join").code == "store-missing"
    store = Store.open(postgresql, mode="own", blobs="unused")
    Store.open(postgresql, mode="join", blobs="unused").close()
    error = refused_on(postgresql)
    assert error.code == "store-in-use"
    assert f"process {os.getpid()}" in error.message
    store.close()
    store.close()
    Store.open(postgresql, mode="own", blobs="unused").close()


def test_somebody_elses_schema_is_left_alone(postgresql: str) -> None:
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("create table accounts (id int)")
    error = refused_on(postgresql)
    assert error.code == "store-not-a-database"
    assert "schema of its own" in (error.hint or "")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    error = refused_on("postgresql+psycopg://ana:hunter2@127.0.0.1:1/bank")
    assert error.code == "store-unreachable"
    assert "ana@127.0.0.1:1/bank" in error.message
    assert "hunter2" not in error.message


def test_a_url_that_is_none_is_refused() -> None:
    assert refused_on("postgresql://host:port:more/x?nonsense=1").code == "store-unsupported"
