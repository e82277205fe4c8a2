"""Several processes on one PostgreSQL: one leads, and whoever lost that can change nothing any more."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrion.core import Json, SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.store import Store

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).parent / "leading_writer.py"
Process = asyncio.subprocess.Process


class Notes:
    """What the processes noted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def of(self, process: Process, word: str) -> list[str]:
        """What one noted under a word, oldest first; without the line it may be writing."""
        lines = [line.split() for line in self.path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [" ".join(line[2:]) for line in lines if line[0] == str(process.pid) and line[1] == word]

    def done(self) -> set[int]:
        return {int(line.split()[2]) for line in self.path.read_text().splitlines() if line.split()[1] == "done"}


async def until(condition: Callable[[], object], within_s: float = 20.0) -> float:
    """How long it took until something was so."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it took too long"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


@asynccontextmanager
async def writer(url: str, folder: Path) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), url, str(folder / "blobs"), str(folder / "notes")
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def stored(url: str, folder: Path) -> list[tuple[int, int, int]]:
    """Number, epoch and process of every entry."""
    store = Store.open(url, mode="join", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, SystemClock())
    found = [(int(entry.key[1:]), entry.epoch, entry.output) for entry in await journal.entries("run")]
    await journal.close()
    store.close()
    return [(number, epoch, process) for number, epoch, process in found if isinstance(process, int)]


async def evidence(url: str, folder: Path) -> list[tuple[str, Json]]:
    """Outcomes of whoever had lost the run."""
    store = Store.open(url, mode="join", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, SystemClock())
    found = [(entry.key, entry.output) for entry in await journal.late_outcomes("run")]
    await journal.close()
    store.close()
    return found


async def test_a_frozen_leader_is_replaced_and_nothing_it_writes_afterwards_is_accepted(
    postgresql: str, tmp_path: Path
) -> None:
    notes = Notes(tmp_path / "notes")
    async with writer(postgresql, tmp_path) as first, writer(postgresql, tmp_path) as second:
        await until(lambda: any(len(notes.of(each, "done")) > 50 for each in (first, second)))
        leader, standby = (first, second) if notes.of(first, "done") else (second, first)
        assert notes.of(standby, "leads") == []

        leader.send_signal(signal.SIGSTOP)
        await until(lambda: notes.of(standby, "done"))
        before = {number for number, _, process in await stored(postgresql, tmp_path) if process == leader.pid}
        leader.send_signal(signal.SIGCONT)
        await until(lambda: notes.of(leader, "refused") + notes.of(leader, "started"))

        assert notes.of(leader, "fenced") == ["False False"]
        assert notes.of(leader, "started") == []
        assert await evidence(postgresql, tmp_path) == [("/late", leader.pid)]
        acknowledged = notes.done()
        after = await stored(postgresql, tmp_path)
        assert {number for number, _, process in after if process == leader.pid} == before
        assert sorted(number for number, _, _ in after) == list(range(len(after)))
        assert acknowledged <= {number for number, _, _ in after}


async def test_when_the_leader_is_killed_the_standby_leads_at_once(postgresql: str, tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    async with writer(postgresql, tmp_path) as first:
        await until(lambda: len(notes.of(first, "done")) > 50)
        async with writer(postgresql, tmp_path) as second:
            await until(lambda: notes.of(second, "waits"))
            first.kill()
            assert await until(lambda: notes.of(second, "done")) < 5
            acknowledged = notes.done()
            found = await stored(postgresql, tmp_path)
            assert acknowledged <= {number for number, _, _ in found}
            assert {epoch for _, epoch, process in found if process == second.pid} == {2}
