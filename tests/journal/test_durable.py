"""What only a journal in a database can get wrong: bad rows, a full disk, a dying database, other processes."""

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrion.core import (
    Ask,
    BugError,
    Entry,
    Journal,
    Json,
    OrchestrionError,
    Put,
    SetRun,
    SystemClock,
    TransientError,
    UserError,
    dump,
)
from orchestrion.journal import DurableJournal
from orchestrion.store import KEPT_S, Connection, Store
from orchestrion.testing.journal_suite import HandClock, a_leaf, a_request, a_run, approved, begun

pytestmark = pytest.mark.anyio


class WatchedStore(Store):
    """Remembers the writer's connection."""

    writer: Connection | None = None

    def connect(self, *, writes: bool) -> Connection:
        connection = super().connect(writes=writes)
        if writes:
            self.writer = connection
        return connection


@asynccontextmanager
async def opened(folder: Path, clock: HandClock) -> AsyncGenerator[tuple[DurableJournal, WatchedStore]]:
    store = WatchedStore.open(folder / "journal.db", mode="own", clock=clock)
    assert isinstance(store, WatchedStore)
    journal = DurableJournal(store, clock)
    yield journal, store
    await journal.close()
    store.close()


async def codes(futures: Sequence["asyncio.Future[None]"]) -> list[str]:
    """How each of them ended."""
    ends = await asyncio.gather(*futures, return_exceptions=True)
    return [end.code if isinstance(end, OrchestrionError) else str(end) for end in ends]


def as_journal(journal: DurableJournal) -> Journal:
    """That it is one is checked by its type."""
    return journal


async def test_a_row_the_database_refuses_fails_alone(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as (journal, _):
        for i in range(5):
            await begun(as_journal(journal), clock, f"run-{i}")
        futures = [
            journal.write("run-0", 1, [Put(a_leaf("/a"))]),
            journal.write("run-1", 1, [Put(a_leaf("/a")), Put(a_leaf("/b\ud800"))]),
            journal.write("run-2", 1, [Put(a_leaf("/a")), Ask(a_request("q", "unknown", "/a", clock))]),
            journal.write("run-3", 1, [Put(a_leaf("/a")), Put(replace(a_leaf("/b"), started_at=2**70))]),
            journal.write("run-4", 1, [Put(a_leaf("/a"))]),
        ]
        assert await codes(futures) == ["None", "cannot-store", "cannot-store", "cannot-store", "None"]
        assert [len(await journal.entries(f"run-{i}")) for i in range(5)] == [1, 0, 0, 0, 1]


async def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as (journal, store):
        await begun(as_journal(journal), clock)
        await journal.write("run-1", 1, [Put(a_leaf("/before"))])
        assert store.writer is not None
        pages = store.writer.execute("pragma page_count").fetchone()[0]
        store.writer.execute(f"pragma max_page_count={pages}")
        big: Json = "x" * 50_000
        futures = [journal.write("run-1", 1, [Put(a_leaf("/small")), Put(a_leaf(f"/{i}", big))]) for i in range(3)]
        with pytest.raises(TransientError):
            await futures[0]
        assert await codes(futures) == ["disk-full"] * 3
        assert [entry.key for entry in await journal.entries("run-1")] == ["/before"]
        store.writer.execute("pragma max_page_count=1000000")
        behind = journal.write("run-1", 1, [Put(a_leaf("/behind"))])
        assert await codes([behind]) == ["disk-full"], "stored, it would leave a hole where the failed writes belong"
        await journal.release("run-1")
        taken = await journal.claim("run-1")
        assert taken is not None
        await journal.write("run-1", taken.run.epoch, [Put(a_leaf("/after", big))])
        assert [entry.key for entry in await journal.entries("run-1")] == ["/before", "/after"]


async def test_a_dead_writer_fails_everyone_and_says_so(tmp_path: Path) -> None:
    clock = HandClock()
    store = Store.open(tmp_path / "journal.db", mode="own")
    deaths: list[BaseException] = []
    journal = DurableJournal(store, clock, on_death=deaths.append)
    await begun(as_journal(journal), clock)
    with sqlite3.connect(store.path) as other:
        other.execute("drop table entries")
    other.close()
    futures = [journal.write("run-1", 1, [Put(a_leaf(f"/{i}"))]) for i in range(20)]
    assert await codes(futures) == ["journal-stopped"] * 20
    with pytest.raises(BugError, match="does not write any more"):
        await journal.write("run-1", 1, [Put(a_leaf("/later"))])
    with pytest.raises(BugError):
        await journal.start(a_run("run-2", clock))
    await journal.close()
    assert len(deaths) == 1
    assert isinstance(deaths[0], sqlite3.OperationalError)
    store.close()


async def test_closing_finishes_what_is_queued_and_refuses_what_follows(tmp_path: Path) -> None:
    clock = HandClock()
    store = Store.open(tmp_path / "journal.db", mode="own")
    journal = DurableJournal(store, clock)
    await begun(as_journal(journal), clock)
    futures = [journal.write("run-1", 1, [Put(a_leaf(f"/{i}"))]) for i in range(200)]
    await journal.close()
    assert await codes(futures) == ["None"] * 200
    assert await codes([journal.write("run-1", 1, [Put(a_leaf("/later"))])]) == ["journal-stopped"]
    again = DurableJournal(store, clock)
    assert len(await again.entries("run-1")) == 200
    await again.close()
    store.close()


async def test_another_process_may_answer_while_the_owner_writes_all_the_time(tmp_path: Path) -> None:
    clock = HandClock(SystemClock().now())
    async with opened(tmp_path, clock) as (journal, store):
        for i in range(20):
            await begun(as_journal(journal), clock, f"run-{i}")
        await journal.write("run-0", 1, [Ask(a_request("q1", "run-0", "/pay", clock))])
        answered = asyncio.Event()

        async def busy(i: int) -> None:
            number = 0
            while not answered.is_set():
                await journal.write(f"run-{i}", 1, [Put(a_leaf(f"/{number}"))])
                number += 1

        writers = [asyncio.create_task(busy(i)) for i in range(20)]
        assert not await journal.foreign_change()
        joined = Store.open(store.path, mode="join")
        other = DurableJournal(joined, SystemClock())
        await other.answer("q1", approved(clock))
        answered.set()
        await asyncio.gather(*writers)
        assert await journal.foreign_change()
        assert not await journal.foreign_change()
        assert [message.id for message in await journal.inbox("run-0", 0)] == ["q1"]
        with pytest.raises(BugError, match="only joined"):
            await other.claim("run-0")
        await other.close()
        joined.close()


async def test_large_values_stand_in_files_until_nothing_refers_to_them(tmp_path: Path) -> None:
    clock = HandClock(SystemClock().now())
    async with opened(tmp_path, clock) as (journal, store):
        await begun(as_journal(journal), clock)

        def large(i: int) -> Json:
            return f"{i}" * 300_000

        def name(i: int) -> str:
            return hashlib.sha256(dump(large(i)).encode()).hexdigest()

        def kept() -> set[str]:
            return {path.name for path in store.path.with_name("journal.db.blobs").rglob("*") if path.is_file()}

        for i in range(3):
            await journal.write("run-1", 1, [Put(a_leaf("/scope", large(i)))])
        await journal.write("run-1", 1, [SetRun(output=large(3))])
        assert kept() == {name(i) for i in range(4)}
        assert await journal.collect_blobs() == 0
        old = clock.now() - KEPT_S - 60
        for path in store.path.with_name("journal.db.blobs").rglob("*"):
            if path.is_file():
                os.utime(path, (old, old))
        assert await journal.collect_blobs() == 2
        assert kept() == {name(2), name(3)}
        assert [entry.output for entry in await journal.entries("run-1")] == [large(2)]


async def test_a_value_beyond_all_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.journal._rules.LARGEST_VALUE", 70_000)
    clock = HandClock()
    async with opened(tmp_path, clock) as (journal, _):
        await begun(as_journal(journal), clock)
        with pytest.raises(UserError, match="70,000"):
            await journal.write("run-1", 1, [Put(a_leaf("/a", "x" * 70_000))])


async def test_a_run_of_thousands_of_entries_is_loaded_lazily_and_whole(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as (journal, _):
        await begun(as_journal(journal), clock)
        await asyncio.gather(*(journal.write("run-1", 1, [Put(a_leaf(f"/{i}", i))]) for i in range(3000)))
        await journal.release()
        history = await journal.claim("run-1")
        assert history is not None
        assert len(history.entries) == 3000
        assert history.entries["/2999"].output == 2999
        assert isinstance(history.entries["/7"], Entry)
