"""SIGKILL at any moment: what was acknowledged is there, whole transactions only, and without gaps in their order."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrion.core import SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.store import Store

RUNS = 8


async def survive(folder: Path, rounds: int, seed: int) -> None:
    database, notes = folder / "journal.db", folder / "acknowledged"
    program = Path(__file__).parent / "killed_writer.py"
    command = [sys.executable, str(program), str(database), str(notes), str(rounds), str(seed)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    acknowledged = {int(line) for line in notes.read_text().splitlines()}
    store = Store.open(database, mode="own")
    journal = DurableJournal(store, SystemClock())
    stored: dict[int, int] = {}
    for i in range(RUNS):
        numbers = [int(entry.key[1:-2]) for entry in await journal.entries(f"run-{i}")]
        assert numbers == sorted(numbers)
        run = await journal.run(f"run-{i}")
        assert run is not None
        assert run.output == (numbers[-1] if numbers else None)
        for number in numbers:
            stored[number] = stored.get(number, 0) + 1
    assert acknowledged
    assert acknowledged <= stored.keys()
    assert set(stored.values()) == {2}
    assert sorted(stored) == list(range(len(stored)))
    await journal.close()
    store.close()


@pytest.mark.anyio
async def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    await survive(tmp_path, rounds=5, seed=1)


@pytest.mark.anyio
@pytest.mark.soak
async def test_a_writer_killed_many_times_loses_nothing(tmp_path: Path) -> None:
    await survive(tmp_path, rounds=200, seed=2)
