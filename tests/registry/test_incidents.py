"""Incidents: one of a kind and a model at a time, whatever number of processes, with a timeline that is only added to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrion.core import UserError
from orchestrion.journal import DurableJournal
from orchestrion.registry import IncidentKind, Incidents
from orchestrion.store import Store
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

GONE = IncidentKind.GONE


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    return str(request.getfixturevalue("postgresql"))


@asynccontextmanager
async def process(url: str, folder: Path, clock: HandClock, *, own: bool = True) -> AsyncGenerator[Incidents]:
    store = Store.open(url, mode="own" if own else "join", blobs=str(folder / "blobs"))
    journal = DurableJournal(store, clock)
    try:
        yield Incidents(journal, clock)
    finally:
        await journal.close()
        store.close()


async def test_many_processes_open_one_and_tell_each_thing_once(url: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with process(url, tmp_path, clock) as one, process(url, tmp_path, clock, own=False) as other:
        opened = await asyncio.gather(
            *(each.open(GONE, "desk", "openai:x", what="it is gone", run_id="r") for each in (one, other) * 5)
        )
        assert len(set(opened)) == 1
        added = await asyncio.gather(
            *(each.note(opened[0], f"mark {n}", "said", count="followed") for each in (one, other) for n in range(5))
        )
        assert sum(added) == 5
        (incident,) = await one.current()
        assert (incident.subject, incident.followed) == ("desk", 10)
        assert next(iter(await other.steps(incident.id))).mark == "opened"
        assert len(await other.steps(incident.id)) == 6


async def test_one_of_all_processes_may_look_after_it_and_not_again_for_a_while(url: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with process(url, tmp_path, clock) as one, process(url, tmp_path, clock, own=False) as other:
        incident = await one.open(GONE, "desk", "openai:x", what="it is gone")
        assert sorted(await asyncio.gather(*(each.claim(incident, 60) for each in (one, other) * 3))) == [False] * 5 + [
            True
        ]
        clock.pass_s(60)
        assert await other.claim(incident, 60)


async def test_good_answers_in_a_row_end_it_and_a_failure_begins_the_count_anew(url: str, tmp_path: Path) -> None:
    clock = HandClock()
    async with process(url, tmp_path, clock) as incidents:
        first = await incidents.open(GONE, "desk", "openai:x", what="it is gone")
        assert not await incidents.answered(first, enough=2, run_id="r")
        await incidents.note(first, "again", "failed again", count="failed")
        assert not await incidents.answered(first, enough=2, run_id="r")
        assert await incidents.answered(first, enough=2, run_id="r")
        assert await incidents.current() == []
        assert not await incidents.note(first, "late", "too late", count="failed")
        assert (await incidents.find(first)).failed == 1
        clock.pass_s(1)
        assert await incidents.open(GONE, "desk", "openai:x", what="gone again") != first
        assert [each.closed_at is None for each in await incidents.listed(9)] == [True, False]


async def test_one_that_is_not_there(url: str, tmp_path: Path) -> None:
    async with process(url, tmp_path, HandClock()) as incidents:
        with pytest.raises(UserError, match="no incident 'feed'"):
            await incidents.find("feed")
