"""Where a project's runs are kept."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from orchestrion.core import Clock, Journal, UserError
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.project import Project
from orchestrion.store import Store, database_path, is_postgresql

Mode = Literal["own", "join", "express"]
"""own: this process advances runs. join: it looks, and sends answers, beside one that does. express: nothing is kept."""

StandBy = Callable[[UserError], None]
"""Told, once, why a process that stands by has to wait."""

STAND_BY_S = 0.3
"""How often a process that stands by looks whether it can take over."""


@asynccontextmanager
async def open_journal(
    project: Project, *, mode: Mode, clock: Clock, stand_by: StandBy | None = None
) -> AsyncGenerator[Journal]:
    """The project's journal. With `stand_by`, a process waits on PostgreSQL until it may own it.

    Raises: UserError about the store, `store-in-use` and `store-missing` among them.
    """
    if mode == "express":
        yield MemoryJournal(clock)
        return
    store = await _open_store(project, mode, clock, stand_by)
    try:
        journal = DurableJournal(store, clock)
        try:
            yield journal
        finally:
            await journal.close()
    finally:
        store.close()


async def _open_store(project: Project, mode: Literal["own", "join"], clock: Clock, stand_by: StandBy | None) -> Store:
    url, blobs = project.store_url(project.secrets()), project.blobs_url()
    if not is_postgresql(url):
        default_folder = project.root / ".orchestrion"
        if mode == "own" and database_path(url).parent == default_folder:
            default_folder.mkdir(exist_ok=True)
        return Store.open(url, mode=mode, clock=clock, blobs=blobs)
    blobs = blobs or str(project.root / ".orchestrion" / "blobs")
    waiting = False
    while True:
        try:
            return await asyncio.to_thread(Store.open, url, mode=mode, clock=clock, blobs=blobs)
        except UserError as error:
            if stand_by is None or not _may_pass(error, waiting=waiting):
                raise
            if not waiting:
                stand_by(error)
                waiting = True
        await asyncio.sleep(STAND_BY_S)


def _may_pass(error: UserError, *, waiting: bool) -> bool:
    """A server that goes away while somebody stands by comes back; one that was never there is a mistake."""
    return error.code == "store-in-use" or (waiting and error.code in {"store-unreachable", "store-busy"})


def migrate_store(project: Project) -> Path | None:
    """Bring the project's database to this release; the backup made before, None if nothing was to do."""
    return Store.migrate(project.store_url(project.secrets()))
