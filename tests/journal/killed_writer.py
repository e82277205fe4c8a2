"""Writes to a journal until it is killed, again and again. Run by test_kill.py: DATABASE ACKNOWLEDGED ROUNDS SEED.

Every transaction has a number, in the order in which it was handed over, and consists of two entries and a change of the run. What was
acknowledged is noted in the file ACKNOWLEDGED.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

from orchestrion.core import Entry, EntryKind, EntryStatus, Put, Run, SetRun, SystemClock
from orchestrion.journal import DurableJournal
from orchestrion.store import Store

RUNS = 8


def _put(key: str, number: int) -> Put:
    return Put(Entry(key=key, kind=EntryKind.LEAF, status=EntryStatus.COMPLETED, output=number))


async def write(database: Path, acknowledged: int) -> None:
    journal = DurableJournal(Store.open(database, mode="own"), SystemClock())
    await journal.release()
    for i in range(RUNS):
        await journal.start(
            Run(id=f"run-{i}", namespace="a", workflow="b", version="1", digest="d", semantics=1, created_at=1.0)
        )
    claimed = [await journal.claim(f"run-{i}") for i in range(RUNS)]
    number = 1 + max((int(key[1:-2]) for history in claimed if history for key in history.entries), default=-1)

    async def keep_writing(i: int) -> None:
        nonlocal number
        history = claimed[i]
        assert history is not None
        while True:
            mine, number = number, number + 1
            writes = [_put(f"/{mine}/a", mine), _put(f"/{mine}/b", mine), SetRun(output=mine)]
            await journal.write(f"run-{i}", history.run.epoch, writes)
            os.write(acknowledged, f"{mine}\n".encode())

    await asyncio.gather(*(keep_writing(i) for i in range(RUNS)))


def main() -> None:
    database, notes, rounds, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    chance = random.Random(seed)
    notes.touch()
    for _ in range(rounds):
        before = notes.stat().st_size
        process = os.fork()
        if process == 0:
            asyncio.run(write(database, os.open(notes, os.O_WRONLY | os.O_APPEND)))
        enough = before + chance.randrange(1, 3000)
        while notes.stat().st_size < enough:
            if os.waitpid(process, os.WNOHANG)[0]:
                sys.exit("the writer ended by itself")
            time.sleep(chance.uniform(0.0001, 0.002))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


main()
