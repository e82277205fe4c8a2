"""What has ended long ago goes, whole trees at a time, and nothing that anybody may still need."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from orchestrion.core import (
    Ask,
    Put,
    Quarantined,
    Retention,
    RunFilter,
    RunStatus,
    SetRun,
    SystemClock,
    UserError,
)
from orchestrion.journal import DurableJournal, Sweep
from orchestrion.store import Connection, Store
from orchestrion.testing.journal_suite import HandClock, a_leaf, a_request, a_run, begun

pytestmark = pytest.mark.anyio

T = TypeVar("T")
DAY = 86_400.0
POLICY = Retention(
    runs={RunStatus.COMPLETED: 90 * DAY, RunStatus.FAULTED: 365 * DAY, RunStatus.CANCELLED: None},
    workflows={"brief": {RunStatus.COMPLETED: 7 * DAY}},
    events=30 * DAY,
    quarantined=365 * DAY,
)


@asynccontextmanager
async def opened(folder: Path, clock: HandClock) -> AsyncGenerator[DurableJournal]:
    store = Store.open(folder / "journal.db", mode="own", clock=clock)
    journal = DurableJournal(store, clock)
    yield journal
    await journal.close()
    store.close()


async def ended(
    journal: DurableJournal,
    clock: HandClock,
    name: str,
    status: RunStatus = RunStatus.COMPLETED,
    *,
    entries: int = 2,
    **changes: object,
) -> None:
    """A run that ended now."""
    await begun(journal, clock, name, **changes)
    puts = [Put(a_leaf(f"/do/{number}")) for number in range(entries)]
    await journal.write(name, 1, [*puts, SetRun(status=status, ended_at=clock.now())])


async def names(journal: DurableJournal) -> set[str]:
    return {run.id for run in await journal.runs(RunFilter(limit=10_000))}


async def rows(journal: DurableJournal, table: str) -> int:
    return await journal.look(lambda connection: int(connection.execute(f"select count(*) from {table}").fetchone()[0]))


async def test_runs_go_by_how_they_ended_and_when(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        for status in (RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED):
            await ended(journal, clock, f"old-{status}", status)
        await ended(journal, clock, "old-brief", workflow="brief")
        await begun(journal, clock, "open")
        clock.pass_s(8 * DAY)
        assert (await journal.retain(POLICY)).runs == {RunStatus.COMPLETED: 1}
        assert "old-brief" not in await names(journal)
        clock.pass_s(83 * DAY)
        await ended(journal, clock, "new")
        assert (await journal.expirable(POLICY)).runs == {RunStatus.COMPLETED: 1}
        assert (await journal.retain(POLICY)).runs == {RunStatus.COMPLETED: 1}
        assert await names(journal) == {"old-faulted", "old-cancelled", "open", "new"}
        clock.pass_s(300 * DAY)
        await journal.retain(POLICY)
        assert await names(journal) == {"old-cancelled", "open"}
        assert await rows(journal, "entries") == 2


async def test_a_tree_goes_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        for tree in ("open-child", "young-child", "asking", "gone"):
            await ended(journal, clock, tree)
            await ended(journal, clock, f"{tree}/1", parent_id=tree, root_id=tree)
            await ended(journal, clock, f"{tree}/2", parent_id=f"{tree}/1", root_id=tree)
        await begun(journal, clock, "open-child/3", parent_id="open-child/1")
        await journal.write("asking/2", 1, [Ask(a_request("q1", "asking/2", "/do/0", clock))])
        clock.pass_s(91 * DAY)
        await ended(journal, clock, "young-child/3", parent_id="young-child/2")
        removed = await journal.retain(POLICY)
        assert removed.runs == {RunStatus.COMPLETED: 3}
        assert {name.partition("/")[0] for name in await names(journal)} == {"open-child", "young-child", "asking"}
        assert len(await names(journal)) == 11


async def test_a_large_tree_and_a_long_run_go_in_pieces(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await ended(journal, clock, "long", entries=1800)
        for number in range(450):
            await ended(journal, clock, f"child-{number}", entries=1, parent_id="long", root_id="long")
        clock.pass_s(91 * DAY)
        assert (await journal.retain(POLICY)).runs == {RunStatus.COMPLETED: 451}
        assert [await rows(journal, table) for table in ("runs", "entries")] == [0, 0]


class Dying:
    """A journal whose process is killed after so many changes."""

    def __init__(self, journal: DurableJournal, changes: int) -> None:
        self._journal = journal
        self._left = changes

    async def look(self, work: Callable[[Connection], T]) -> T:
        return await self._journal.look(work)

    async def change(self, work: Callable[[Connection], T]) -> T:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return await self._journal.change(work)


@pytest.mark.parametrize("changes", [2, 3, 4])
async def test_a_sweep_that_was_killed_is_finished_by_the_next(tmp_path: Path, changes: int) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await ended(journal, clock, "failed", RunStatus.FAULTED, entries=1200, start_key="order 7")
        await ended(journal, clock, "child", RunStatus.FAULTED, parent_id="failed")
        clock.pass_s(366 * DAY)
        with pytest.raises(KeyboardInterrupt):
            await Sweep(Dying(journal, changes), POLICY, clock).removed()
        with pytest.raises(UserError) as refused:
            await journal.retry("failed", "ana")
        assert refused.value.code in {"not-faulted", "unknown-run"}
        await journal.retain(POLICY)
        assert [await rows(journal, table) for table in ("runs", "entries")] == [0, 0]
        again = await journal.start(replace(a_run("again", clock), start_key="order 7"))
        assert again.id == "again"


async def test_a_run_set_going_again_meanwhile_stays(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        await ended(journal, clock, "failed", RunStatus.FAULTED)
        clock.pass_s(366 * DAY)

        class Retried(Dying):
            async def change(self, work: Callable[[Connection], T]) -> T:
                if (run := await journal.run("failed")) is not None and run.status is RunStatus.FAULTED:
                    await journal.retry("failed", "ana")
                return await super().change(work)

        assert (await Sweep(Retried(journal, 100), POLICY, clock).removed()).runs == {}
        assert await names(journal) == {"failed"}


async def test_documents_go_when_no_run_names_them_for_a_day(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:
        for digest in ("used", "unused", "needed"):
            await journal.keep_document(digest, "text")
        clock.pass_s(2 * DAY)
        await begun(journal, clock, "run", digest="used")
        await journal.keep_document("needed", "text")
        assert (await journal.retain(POLICY)).documents == 1
        assert await journal.document("needed") == await journal.document("used") == "text"
        with pytest.raises(UserError, match="No document"):
            await journal.document("unused")


async def test_events_and_rows_set_aside_go_by_their_age(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as journal:

        def receive(connection: Connection) -> None:
            for number in range(1200):
                routed = None if number == 7 else clock.now()
                connection.execute(
                    "insert into events (source, id, type, body, received_at, routed_at, deliveries)"
                    " values ('s', ?, 't', '{}', ?, ?, 0)",
                    (str(number), clock.now(), routed),
                )
            connection.execute("insert into gathered values ('w', 'c', 0, 5)")

        await journal.change(receive)
        await journal.quarantine([Quarantined(batch="b", row=1, value=1, reasons=["odd"], created_at=clock.now())])
        clock.pass_s(31 * DAY)
        removed = await journal.retain(POLICY)
        assert (removed.events, removed.quarantined) == (1198, 0)
        clock.pass_s(365 * DAY)
        assert (await journal.retain(POLICY)).quarantined == 1


async def test_nothing_goes_when_everything_is_kept_for_good(tmp_path: Path) -> None:
    clock = HandClock(SystemClock().now())
    async with opened(tmp_path, clock) as journal:
        await ended(journal, clock, "old")
        clock.pass_s(10_000 * DAY)
        forever = Retention(runs={RunStatus.COMPLETED: None})
        assert (await journal.expirable(forever)).nothing
        assert (await journal.retain(forever)).nothing
        assert await names(journal) == {"old"}
