"""A store is copied whole, from a file to a server and back, or not at all."""

import asyncio
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrion.core import Ask, Json, Put, Quarantined, RunFilter, SetRun, UserError
from orchestrion.journal import DurableJournal
from orchestrion.registry import PRODUCTION, Bundle, Registry, Rollouts, RolloutStatus
from orchestrion.store import Copied, Store
from orchestrion.testing.journal_suite import HandClock, a_leaf, a_request, a_run, approved, begun

pytestmark = pytest.mark.anyio

LARGE: Json = {"text": "x" * 400_000}


@contextmanager
def owned(where: str | Path, folder: Path) -> Generator[Store]:
    with closing(Store.open(where, mode="own", blobs=str(folder / "blobs"))) as store:
        yield store


async def fill(store: Store, clock: HandClock) -> None:
    """Runs that ended, wait, and are in progress, with all that belongs to them."""
    journal = DurableJournal(store, clock)
    await journal.keep_document("d1", "document: …")
    for i in range(3):
        await begun(journal, clock, f"run-{i}", start_key=f"key-{i}")
        writes = [journal.write(f"run-{i}", 1, [Put(a_leaf(f"/{n}", {"n": n, "text": "ü\0"}))]) for n in range(700)]
        await asyncio.gather(*writes)
    await journal.write("run-0", 1, [Put(a_leaf("/large", LARGE)), SetRun(output=LARGE, started_at=1.25)])
    await journal.write("run-1", 1, [Ask(a_request("q", "run-1", "/pay", clock))])
    await journal.answer("q", approved(clock))
    await journal.late("run-2", a_leaf("/late"))
    await journal.quarantine([Quarantined(batch="b", row=7, value={"a": 1}, reasons=["bad"], created_at=1.0)])
    await fill_registry(journal, clock)
    await journal.close()


async def fill_registry(journal: DurableJournal, clock: HandClock) -> None:
    """Two versions, one deployed and one that was on trial, and what an evaluation found."""
    registry, rollouts = Registry(journal, clock), Rollouts(journal, clock)
    one, other = (
        Bundle(workflow="shop/greet", version="1", document="d1", pieces={"agents/a.yaml": name}) for name in "ab"
    )
    for bundle, content in ((one, b"\x00one"), (other, b"other")):
        await registry.keep(bundle, {bundle.pieces["agents/a.yaml"]: content}, by="ana", source="git 1234")
    await registry.move(one, PRODUCTION, by="ana", why="to begin", expected=None)
    begun = await rollouts.begin(other, one, {"shares": [0.1]}, by="ana")
    await rollouts.end(begun, RolloutStatus.ROLLED_BACK, verdict="worse", evidence={"pairs": 17}, by="orchestrion")
    row = ("b1", "case 1", "", '{"status":"completed"}', 1.5)
    await journal.change(
        lambda connection: connection.execute("insert into results values (?, ?, ?, ?, ?)", row) and None
    )


async def contents(store: Store, clock: HandClock) -> list[object]:
    journal = DurableJournal(store, clock)
    found: list[object] = [await journal.runs(RunFilter(limit=100)), await journal.requests()]
    found += [await journal.entries(f"run-{i}") for i in range(3)]
    found += [await journal.inbox("run-1", 0), await journal.late_outcomes("run-2"), await journal.quarantined("b")]
    found.append(await journal.document("d1"))
    registry = Registry(journal, clock)
    kept = await registry.listed(None, 10)
    assert len(kept) == 2
    found += [kept, [await registry.contents(each.bundle) for each in kept], await registry.moves("shop/greet")]
    found += [await Rollouts(journal, clock).listed(10)]
    found += await journal.look(lambda connection: [tuple(row) for row in connection.execute("select * from results")])
    await journal.close()
    return found


def copy(source: Store, target: Store) -> Copied:
    told: list[tuple[str, int, int]] = []
    copied = source.copy(target, lambda what, done, total: told.append((what, done, total)))
    assert {what: done for what, done, total in told if done == total} == {
        **({"large values": copied.blobs} if copied.blobs else {}),
        **{table: count for table, count in copied.rows.items() if count},
    }
    return copied


async def test_from_a_file_to_a_server_and_back(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    with owned(folders[0] / "journal.db", folders[0]) as file, owned(postgresql, folders[1]) as server:
        await fill(file, clock)
        before = await contents(file, clock)
        copied = copy(file, server)
        assert copied.rows["entries"] == 2101
        assert copied.blobs == 1
        assert await contents(server, clock) == before

        journal = DurableJournal(server, clock)  # what is written next continues the numbers, and the runs
        await journal.late("run-2", a_leaf("/later"))
        await journal.release()
        history = await journal.claim("run-1")
        assert history is not None
        assert len(history.entries) == 700
        assert history.run.epoch == 2
        await journal.close()

        with owned(folders[2] / "journal.db", folders[2]) as back:
            there = await contents(server, clock)
            copy(server, back)
            assert await contents(back, clock) == there


async def test_what_has_rows_is_not_copied_into(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    with owned(tmp_path / "journal.db", tmp_path) as file, owned(postgresql, tmp_path) as server:
        await fill(file, clock)
        journal = DurableJournal(server, clock)
        await journal.start(a_run("mine", clock))
        await journal.close()
        with pytest.raises(UserError) as caught:
            copy(file, server)
        assert caught.value.code == "store-not-empty"


async def test_a_copy_that_fails_leaves_nothing_and_can_be_repeated(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    with owned(tmp_path / "journal.db", tmp_path) as file, owned(postgresql, tmp_path) as server:
        await fill(file, clock)
        connection = file.connect(writes=True)
        connection.execute("update entries set task = 'a' || char(0) where key = '/699' and run_id = 'run-2'")
        with pytest.raises(UserError) as caught:
            copy(file, server)
        assert caught.value.code == "cannot-copy"
        assert "'entries'" in caught.value.message
        connection.execute("update entries set task = 'a' where key = '/699' and run_id = 'run-2'")
        connection.close()
        assert copy(file, server).rows["runs"] == 3
