"""A store becomes one file and a store again, elsewhere; what is damaged is refused before anything is written."""

import hashlib
import io
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrion.core import Json, Put, Run, RunFilter, SetRun, UserError
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing.journal_suite import HandClock, a_leaf, a_run, begun

pytestmark = pytest.mark.anyio

LARGE: Json = {"text": "x" * 400_000}


@contextmanager
def owned(where: str | Path, folder: Path) -> Generator[Store]:
    folder.mkdir(exist_ok=True)
    with closing(Store.open(where, mode="own", blobs=str(folder / "blobs"))) as store:
        yield store


async def fill(store: Store, name: str = "run") -> None:
    clock = HandClock()
    journal = DurableJournal(store, clock)
    await journal.keep_document("d1", "document: …")
    for number in range(20):
        await begun(journal, clock, f"{name}-{number}")
        await journal.write(f"{name}-{number}", 1, [Put(a_leaf("/a", {"number": number, "text": "ü\0"}))])
    await journal.write(f"{name}-0", 1, [Put(a_leaf("/large", LARGE)), SetRun(output=LARGE)])
    await journal.close()


async def contents(store: Store) -> list[object]:
    journal = DurableJournal(store, HandClock())
    runs = await journal.runs(RunFilter(limit=100))
    found: list[object] = [
        runs,
        [await journal.entries(run.id) for run in runs],
        [await journal.run(run.id) for run in runs],
    ]
    await journal.close()
    return found


@pytest.fixture
async def backed_up(tmp_path: Path) -> Path:
    file = tmp_path / "the.backup"
    with owned(tmp_path / "source.db", tmp_path / "source") as store:
        await fill(store)
        done = store.back_up(file)
    assert (done.runs, done.blobs, done.size) == (20, 1, file.stat().st_size)
    return file


async def test_a_backup_is_private_and_leaves_nothing_else(backed_up: Path) -> None:
    assert stat.S_IMODE(os.stat(backed_up).st_mode) == 0o600
    assert [name for name in os.listdir(backed_up.parent) if name.startswith(".")] == []
    with tarfile.open(backed_up) as archive:
        assert {(member.uid, member.uname) for member in archive} == {(0, "")}
    with owned(backed_up.parent / "source.db", backed_up.parent / "source") as store:
        with pytest.raises(UserError) as error:
            store.back_up(backed_up)
        assert error.value.code == "backup-exists"
        with pytest.raises(UserError) as error:
            store.back_up(backed_up.parent / "nowhere" / "x")
        assert error.value.code == "backup-folder-missing"


async def test_what_is_restored_is_what_was_there(backed_up: Path, tmp_path: Path) -> None:
    with owned(tmp_path / "source.db", tmp_path / "source") as source:
        before = await contents(source)
    with owned(tmp_path / "other.db", tmp_path / "other") as store:
        done = store.restore(backed_up, force=False)
        assert (done.runs, done.blobs, done.aside) == (20, 1, None)
        assert await contents(store) == before
        with pytest.raises(UserError) as error:
            store.restore(backed_up, force=False)
        assert error.value.code == "store-not-empty"
    with owned(tmp_path / "other.db", tmp_path / "other") as store:  # also for who opens it next
        assert await contents(store) == before


async def test_what_is_restored_over_is_kept_as_a_backup(backed_up: Path, tmp_path: Path) -> None:
    with owned(tmp_path / "other.db", tmp_path / "other") as store:
        await fill(store, "mine")
        mine = await contents(store)
        done = store.restore(backed_up, force=True)
        assert {run.id for run in await runs_of(store)} == {f"run-{n}" for n in range(20)}
        assert done.aside is not None
        assert store.restore(done.aside, force=True).runs == 20
        assert await contents(store) == mine


async def runs_of(store: Store) -> Sequence[Run]:
    journal = DurableJournal(store, HandClock())
    found = await journal.runs(RunFilter(limit=100))
    await journal.close()
    return found


async def test_a_server_is_backed_up_into_a_file_and_restored_from_one(
    postgresql: str, another_schema: str, tmp_path: Path
) -> None:
    file = tmp_path / "server.backup"
    with owned(postgresql, tmp_path / "server") as server:
        await fill(server)
        before = await contents(server)
        with closing(Store.open(postgresql, mode="join", blobs=str(tmp_path / "server" / "blobs"))) as beside:
            assert beside.back_up(file).blobs == 1
    with owned(tmp_path / "file.db", tmp_path / "file") as store:
        store.restore(file, force=False)
        assert await contents(store) == before
    with owned(another_schema, tmp_path / "again") as again:
        assert again.restore(file, force=False).runs == 20
        assert await contents(again) == before
        with pytest.raises(UserError) as error:
            again.restore(file, force=True)
        assert error.value.code == "store-not-empty"


async def test_a_store_is_backed_up_beside_one_that_writes(tmp_path: Path) -> None:
    clock = HandClock()
    with owned(tmp_path / "source.db", tmp_path / "source") as store:
        await fill(store)
        journal = DurableJournal(store, clock)
        with closing(
            Store.open(tmp_path / "source.db", mode="join", blobs=str(tmp_path / "source" / "blobs"))
        ) as beside:
            await journal.start(a_run("before", clock))
            assert beside.back_up(tmp_path / "one.backup").runs == 21
            await journal.start(a_run("after", clock))
            assert beside.back_up(tmp_path / "two.backup").runs == 22
        await journal.close()


def edited(file: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """A backup with members changed or left out."""
    target = file.with_name("edited.backup")
    with tarfile.open(file) as archive, tarfile.open(target, "w") as out:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            kept = change(member.name, content.read())
            if kept is not None:
                info = tarfile.TarInfo(kept[0])
                info.size = len(kept[1])
                out.addfile(info, io.BytesIO(kept[1]))
    return target


def cut(file: Path, share: float) -> Path:
    target = file.with_name("cut.backup")
    target.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    return target


def leading_elsewhere(file: Path) -> Path:
    """A link among the members, and a file behind it."""
    target = file.with_name("linked.backup")
    with tarfile.open(file) as archive, tarfile.open(target, "w") as out:
        first = archive.next()
        assert first is not None
        out.addfile(first, archive.extractfile(first))
        link = tarfile.TarInfo("blobs")
        link.type, link.linkname = tarfile.SYMTYPE, str(file.parent)
        out.addfile(link)
    return target


DAMAGES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda file: file.with_name("nowhere"), "not-a-backup"),
    "a folder": (lambda file: file.parent, "not-a-backup"),
    "a text": (lambda file: Path(__file__), "not-a-backup"),
    "empty": (lambda file: cut(file, 0), "not-a-backup"),
    "half": (lambda file: cut(file, 0.5), "backup-damaged"),
    "nearly whole": (lambda file: cut(file, 0.9), "backup-damaged"),
    "a bit": (
        lambda file: edited(
            file, lambda name, value: (name, value[:9000] + b"!" + value[9001:] if "db" in name else value)
        ),
        "backup-damaged",
    ),
    "a large value": (
        lambda file: edited(file, lambda name, value: (name, value + b" " if "blobs" in name else value)),
        "backup-damaged",
    ),
    "no large value": (
        lambda file: edited(file, lambda name, value: None if "blobs" in name else (name, value)),
        "backup-damaged",
    ),
    "no database": (
        lambda file: edited(file, lambda name, value: None if "db" in name else (name, value)),
        "backup-damaged",
    ),
    "another format": (
        lambda file: edited(file, lambda name, value: (name, value.replace(b'"format":1', b'"format":2'))),
        "backup-damaged",
    ),
    "a later schema": (
        lambda file: edited(
            file,
            lambda name, value: (
                (name, value.replace(b'"schema":"0', b'"schema":"9')) if "json" in name else (name, value)
            ),
        ),
        "store-too-new",
    ),
    "a way out": (
        lambda file: edited(file, lambda name, value: (f"../{name}" if "blobs" in name else name, value)),
        "backup-damaged",
    ),
    "a link": (leading_elsewhere, "backup-damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_is_damaged_is_refused_and_changes_nothing(backed_up: Path, tmp_path: Path, damage: str) -> None:
    make, code = DAMAGES[damage]
    file = make(backed_up)
    with owned(tmp_path / "other.db", tmp_path / "other") as store:
        await fill(store, "mine")
        before = await contents(store)
        with pytest.raises(UserError) as error:
            store.restore(file, force=True)
        assert error.value.code == code
        assert await contents(store) == before
    assert [name for name in os.listdir(tmp_path) if name.startswith(".") or "before-restore" in name] == []
    assert os.listdir(tmp_path / "other" / "blobs") != []


async def test_an_older_backup_is_brought_to_this_release(backed_up: Path, tmp_path: Path) -> None:
    with tarfile.open(backed_up) as archive:
        content = archive.extractfile("orchestrion.db")
        assert content is not None
        (tmp_path / "old.db").write_bytes(content.read())
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        connection.execute("drop table notices")
        connection.execute("update alembic_version set version_num = '0011'")
        connection.commit()
        connection.execute("pragma wal_checkpoint(truncate)")
    old = (tmp_path / "old.db").read_bytes()

    def change(name: str, value: bytes) -> tuple[str, bytes]:
        if name == "orchestrion.db":
            return name, old
        if name == "backup.json":
            manifest = {**json.loads(value), "schema": "0011", "database": hashlib.sha256(old).hexdigest()}
            return name, json.dumps(manifest).encode()
        return name, value

    with owned(tmp_path / "other.db", tmp_path / "other") as store:
        assert store.restore(edited(backed_up, change), force=False).runs == 20
        assert len(await runs_of(store)) == 20
        with closing(store.connect(writes=False)) as connection:
            assert connection.execute("select count(*) from notices").fetchone()[0] == 0
