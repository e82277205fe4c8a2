"""Where a project's runs are kept."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from orchestrion.core import Clock, Journal, SystemClock, UserError
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.project import Project
from orchestrion.store import BackedUp, Copied, Migrated, Restored, Store, Tell, database_path, is_postgresql

Mode = Literal["own", "join", "express"]
"""own: this process advances runs. join: it looks, and sends answers, beside one that does. express: nothing is kept."""

StandBy = Callable[[UserError], None]
"""Told, once, why a process that stands by has to wait."""

DEFAULT_BLOBS = ".orchestrion/blobs"
"""Where large values go when runs are kept on a server and the project does not say."""

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
    url = project.store_url(project.secrets())
    blobs = blobs_of(project, url)
    if not is_postgresql(url):
        if mode == "own":
            _make_default_folder(project, url)
        return Store.open(url, mode=mode, clock=clock, blobs=blobs)
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


def check_store(project: Project) -> str | None:
    """Whether the project's large values can be written; the process that leads. Raises: UserError about the store, `blobs-unusable`."""
    url = project.store_url(project.secrets())
    blobs = blobs_of(project, url)
    with closing(Store.open(url, mode="join", clock=SystemClock(), blobs=blobs)) as store:
        if blobs is not None:
            store.blobs.require_writable()
        return store.leader()


def blobs_of(project: Project, url: str) -> str | None:
    """Where large values go; None: beside the file."""
    return project.blobs_url() or (str(project.root / DEFAULT_BLOBS) if is_postgresql(url) else None)


def migrate_store(project: Project) -> Migrated | None:
    """Bring the project's database to this release; None if nothing was to do."""
    return Store.migrate(project.store_url(project.secrets()))


def copy_store(project: Project, to: str, blobs: str | None, tell: Tell) -> Copied:
    """Copy the project's store into an empty one: a path, a URL without a password, or the name of a secret that holds a URL.

    Raises: UserError about either store, `store-not-empty`, `cannot-copy`.
    """
    clock = SystemClock()
    target_url = _target(project, to)
    if blobs is None and is_postgresql(target_url):
        blobs = str(project.root / DEFAULT_BLOBS)
    url = project.store_url(project.secrets())
    source_blobs = blobs_of(project, url)
    Store.open(url, mode="join", clock=clock, blobs=source_blobs).close()  # copying what does not exist creates nothing
    with (
        closing(Store.open(url, mode="own", clock=clock, blobs=source_blobs)) as source,
        closing(Store.open(target_url, mode="own", clock=clock, blobs=blobs)) as target,
    ):
        return source.copy(target, tell)


def back_up_store(project: Project, file: Path) -> BackedUp:
    """Write the project's store, as it is at one moment, into one file; a server may be at work. Raises: UserError."""
    url = project.store_url(project.secrets())
    with closing(Store.open(url, mode="join", blobs=blobs_of(project, url))) as store:
        return store.back_up(file.absolute())


def restore_store(project: Project, file: Path, *, force: bool) -> Restored:
    """Put a backup where the project keeps its runs. Raises: UserError about either, `store-in-use` and `store-not-empty` among them."""
    url = project.store_url(project.secrets())
    if not is_postgresql(url):
        _make_default_folder(project, url)
    with closing(Store.open(url, mode="own", blobs=blobs_of(project, url))) as store:
        return store.restore(file.absolute(), force=force)


def _make_default_folder(project: Project, url: str) -> None:
    default_folder = project.root / ".orchestrion"
    if database_path(url).parent == default_folder:
        default_folder.mkdir(exist_ok=True)


def _target(project: Project, to: str) -> str:
    """Raises: UserError `secret-in-clear`, `unknown-secret`."""
    if to in project.settings.secrets:
        found = project.secrets().get(to)
        if not isinstance(found, str):
            raise UserError("secret-not-text", f"The secret {to!r} must be text to be used as a URL.")
        return found
    address = urlsplit(to) if "://" in to else None
    if address is not None and address.password:
        raise UserError(
            "secret-in-clear",
            "A password must not stand in a command, where other users of this machine can read it.",
            hint="Put the URL into a secret of orchestrion.yaml and name that: --to DATABASE_URL.",
        )
    return to
