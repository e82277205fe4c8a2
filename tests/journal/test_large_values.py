"""Large values are referred to: read when they are asked for, and not kept in memory by what has passed."""

import tracemalloc
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrion.core import BugError, Datum, EntryStatus, Json, LeafContext, Outcome, Put, RunStatus, SystemClock
from orchestrion.expressions import Expressions
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import Scripted, Stage, interpreting, read_document, run_of
from orchestrion.testing.journal_suite import HandClock, a_leaf, begun

pytestmark = pytest.mark.anyio

LARGE = "x" * 300_000


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[tuple[DurableJournal, Store]]:
    store = Store.open(folder / "journal.db", mode="own")
    journal = DurableJournal(store, SystemClock())
    yield journal, store
    await journal.close()
    store.close()


async def test_a_claimed_run_reads_a_large_value_when_it_is_asked_for(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path) as (journal, store):
        await begun(journal, clock)
        await journal.write("run-1", 1, [Put(a_leaf("/large", LARGE)), Put(a_leaf("/small", "y"))])
        await journal.release()
        blobs = [path for path in store.path.with_name("journal.db.blobs").rglob("*") if path.is_file()]
        whole = blobs[0].read_bytes()
        blobs[0].unlink()
        history = await journal.claim("run-1")
        assert history is not None
        assert history.entries["/small"].output == "y"
        entry = history.entries["/large"]
        assert entry.status == "completed"
        with pytest.raises(BugError, match="is not in"):
            _ = entry.output
        blobs[0].write_bytes(whole)
        assert entry.output == LARGE
        assert entry.ended(entry.status, 1.0, output=entry.output).output == LARGE


async def test_what_is_written_can_be_had_again_from_the_store(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path) as (journal, _):
        await begun(journal, clock)
        written = journal.write("run-1", 1, [Put(a_leaf("/small", "y")), Put(a_leaf("/large", LARGE))])
        await written
        assert [(entry.key, entry.output, entry.task) for entry in written.kept] == [("/large", LARGE, "/do/0/call")]


async def test_a_large_input_is_neither_read_nor_written_again_with_the_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as (journal, store):
        await begun(journal, HandClock())
        intent = replace(a_leaf("/call", None), status=EntryStatus.INTENT, input=LARGE, why={"long": LARGE})
        written = journal.write("run-1", 1, [Put(intent)])
        await written
        (kept,) = written.kept
        blobs = store.path.with_name("journal.db.blobs")
        blobs.rename(tmp_path / "elsewhere")
        await journal.write("run-1", 1, [Put(kept.ended(EntryStatus.COMPLETED, 2.0, output="done"))])
        assert not blobs.exists()
        (tmp_path / "elsewhere").rename(blobs)
        (entry,) = await journal.entries("run-1")
    assert (entry.status, entry.input, entry.output, entry.why) == ("completed", LARGE, "done", {"long": LARGE})


async def test_a_run_that_passes_large_values_holds_only_those_in_hand(tmp_path: Path) -> None:
    """Twelve values of 4 MB: all of them together would be 48 MB."""
    hops = "".join(
        f"  - hop{i}: {{ call: 'hop:1.0.0@default', with: {{ text: '${{ .text }}' }} }}\n" for i in range(12)
    )
    document = read_document(
        f"document: {{ dsl: '1.0.3', namespace: t, name: hops, version: '1.0.0' }}\ndo:\n{hops}  - last: {{ set: {{ n: 1 }} }}\n"
    )

    async def hop(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        text = str(arguments["text"] or "") or "a" * 4_000_000
        return Outcome(output=Datum({"text": text[1:] + "b"}))

    async with opened(tmp_path) as (journal, _), Expressions() as expressions:
        stage = Stage(functions=(Scripted(name="hop", act=hop, effect="write"),))
        async with stage.engine(journal, interpreting({document.digest: document}, expressions)) as engine:
            tracemalloc.start()
            try:
                run = await engine.settle((await engine.start(run_of(document, {}))).id)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert run.status is RunStatus.COMPLETED
    assert peak < 34_000_000
