"""Waits until it leads, then writes to its run for ever: URL BLOBS NOTES. Run by test_leadership.py and test_postgresql.py.

Every transaction is one numbered entry. A number stands in the file NOTES before it is written (`try`) and once that was
acknowledged (`done`). When nothing it writes is accepted any more, it notes `fenced`, leaves what it knows as evidence, tries to start a
run, notes whether that was `refused` or `started`, and ends.
"""

import asyncio
import os
import sys
from dataclasses import replace

from orchestrion.core import Entry, EntryKind, EntryStatus, Fenced, Put, Run, SystemClock, UserError
from orchestrion.journal import DurableJournal
from orchestrion.store import Store

RUN = Run(id="run", namespace="a", workflow="b", version="1", digest="d", semantics=1, created_at=1.0)


async def lead(url: str, blobs: str) -> Store:
    while True:
        try:
            return Store.open(url, mode="own", blobs=blobs)
        except UserError as error:
            if error.code != "store-in-use":
                raise
        await asyncio.sleep(0.1)


async def write(url: str, blobs: str, notes: int) -> None:
    def note(*words: object) -> None:
        os.write(notes, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())

    note("waits")
    journal = DurableJournal(await lead(url, blobs), SystemClock())
    note("leads")
    await journal.release()
    await journal.start(RUN)
    history = await journal.claim("run")
    assert history is not None
    number = len(history.entries)
    try:
        while True:
            note("try", number)
            entry = Entry(key=f"/{number}", kind=EntryKind.LEAF, status=EntryStatus.COMPLETED, output=os.getpid())
            await journal.write("run", history.run.epoch, [Put(entry)])
            note("done", number)
            number += 1
    except Fenced:
        note("fenced", journal.leading(), await journal.regain())
    await journal.late("run", Entry(key="/late", kind=EntryKind.LEAF, status=EntryStatus.COMPLETED, output=os.getpid()))
    try:
        await journal.start(replace(RUN, id="another"))
        note("started")
    except Fenced:
        note("refused")


asyncio.run(write(sys.argv[1], sys.argv[2], os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)))
