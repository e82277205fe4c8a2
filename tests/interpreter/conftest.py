"""Every journal, and jq."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from orchestrion.core import Journal, SystemClock
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.store import Store


@pytest.fixture(params=["memory", "durable"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Journal]:
    clock = SystemClock()
    if request.param == "memory":
        yield MemoryJournal(clock)
        return
    store = Store.open(f"sqlite:///{tmp_path}/store.db", mode="own", clock=clock)
    durable = DurableJournal(store, clock)
    yield durable
    await durable.close()
    store.close()


@pytest.fixture
async def expressions() -> AsyncGenerator[Expressions]:
    async with Expressions() as found:
        yield found
