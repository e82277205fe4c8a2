"""Every journal passes the shipped suite."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from orchestrion.core import Journal
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.store import Store
from orchestrion.testing.journal_suite import CHECKS, Check, HandClock

Factory = Callable[[HandClock, Path], AbstractAsyncContextManager[Journal]]


@asynccontextmanager
async def memory(clock: HandClock, folder: Path) -> AsyncGenerator[Journal]:
    yield MemoryJournal(clock)


@asynccontextmanager
async def durable(clock: HandClock, folder: Path) -> AsyncGenerator[Journal]:
    store = Store.open(folder / "journal.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    yield journal
    await journal.close()
    store.close()


@asynccontextmanager
async def on_postgresql(url: str, clock: HandClock, folder: Path) -> AsyncGenerator[Journal]:
    store = Store.open(url, mode="own", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, clock)
    yield journal
    await journal.close()
    store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("factory", [memory, durable])
async def test_journal(factory: Factory, check: Check, tmp_path: Path) -> None:
    clock = HandClock()
    async with factory(clock, tmp_path) as journal:
        await check(journal, clock)


@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
async def test_journal_on_postgresql(check: Check, postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with on_postgresql(postgresql, clock, tmp_path) as journal:
        await check(journal, clock)


def test_the_suite_is_not_empty() -> None:
    assert len(CHECKS) > 35
