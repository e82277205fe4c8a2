"""Where a project's runs are kept."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from orchestrion.core import Clock, Journal
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.project import Project
from orchestrion.store import Store, database_path

Mode = Literal["own", "join", "express"]
"""own: this process advances runs. join: it looks, and sends answers, beside one that does. express: nothing is kept."""


@asynccontextmanager
async def open_journal(project: Project, *, mode: Mode, clock: Clock) -> AsyncGenerator[Journal]:
    """The project's journal. Raises: UserError about the store, `store-in-use` and `store-missing` among them."""
    if mode == "express":
        yield MemoryJournal(clock)
        return
    url = project.store_url(project.secrets())
    default_folder = project.root / ".orchestrion"
    if mode == "own" and database_path(url).parent == default_folder:
        default_folder.mkdir(exist_ok=True)
    store = Store.open(url, mode=mode, clock=clock)
    try:
        journal = DurableJournal(store, clock)
        try:
            yield journal
        finally:
            await journal.close()
    finally:
        store.close()


def migrate_store(project: Project) -> Path | None:
    """Bring the project's database to this release; the backup made before, None if nothing was to do."""
    return Store.migrate(project.store_url(project.secrets()))
