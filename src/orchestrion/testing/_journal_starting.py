"""Checks of a journal: documents, starting, claiming, writing, fencing."""

import asyncio
from dataclasses import replace

from orchestrion.core import (
    Entry,
    EntryKind,
    EntryStatus,
    Journal,
    Move,
    Put,
    RunStatus,
    SetRun,
    Write,
)

from ._journal_materials import HandClock, a_leaf, a_run, begun, fenced, refused, the_run


async def check_documents_are_kept_once(journal: Journal, clock: HandClock) -> None:
    await journal.keep_document("d1", "do: []")
    await journal.keep_document("d1", "something else")
    assert await journal.document("d1") == "do: []"
    assert await refused(journal.document("d2")) == "unknown-document"


async def check_a_run_comes_back_as_it_was_started(journal: Journal, clock: HandClock) -> None:
    run = a_run(
        "run-1",
        clock,
        start_key="k",
        batch="b",
        row=7,
        input={"text": "ä\n\u2028", "n": [1, 2.5, None, True]},
        labels={"": ["pii"]},
        decision={"verdict": "allow"},
        cost={"usd_micros": 3},
        versions={"agents": {"a": "1"}},
        subject="User::ana",
        parent_id="p",
        parent_key="/do/0",
        root_id="r",
        copied_from="c",
    )
    assert await journal.start(run) == run
    assert await journal.run("run-1") == run
    assert await journal.run("run-2") is None


async def check_a_repeated_start_key_joins_the_run(journal: Journal, clock: HandClock) -> None:
    first = await journal.start(a_run("run-1", clock, start_key="order-7"))
    again = await journal.start(a_run("run-2", clock, start_key="order-7", input="other"))
    assert again == first
    assert await journal.run("run-2") is None
    await journal.start(a_run("run-3", clock))
    await journal.start(a_run("run-4", clock))
    assert await journal.count() == {RunStatus.PENDING: 3}


async def check_starts_at_the_same_time_agree(journal: Journal, clock: HandClock) -> None:
    starts = [journal.start(a_run(f"run-{i}", clock, start_key=f"key-{i % 3}")) for i in range(30)]
    runs = await asyncio.gather(*starts)
    assert len({run.id for run in runs}) == 3
    assert all(run.start_key == f"key-{i % 3}" for i, run in enumerate(runs))


async def check_a_copy_has_its_history(journal: Journal, clock: HandClock) -> None:
    entries = [a_leaf("/do/1/b#1", {"b": 1}), a_leaf("/do/0/a#1", {"a": 1})]
    await journal.copy(a_run("run-2", clock, copied_from="run-1"), entries)
    assert await journal.entries("run-2") == entries
    history = await journal.claim("run-2")
    assert history is not None
    assert dict(history.entries) == {entry.key: entry for entry in entries}
    assert history.run.copied_from == "run-1"


async def check_a_claim_takes_the_run_once(journal: Journal, clock: HandClock) -> None:
    await journal.start(a_run("run-1", clock))
    history = await journal.claim("run-1")
    assert history is not None
    assert (history.run.epoch, history.run.status) == (1, RunStatus.RUNNING)
    assert not history.entries
    assert not history.messages
    assert await journal.claim("run-1") is None
    assert await journal.claim("unknown") is None
    assert await journal.runnable(clock.now(), 10) == []


async def check_a_released_run_is_claimed_with_the_next_epoch(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/do/0/a#1", {"x": 1}))])
    assert await journal.release() == ["run-1"]
    assert await journal.runnable(clock.now(), 10) == ["run-1"]
    history = await journal.claim("run-1")
    assert history is not None
    assert history.run.epoch == 2
    assert history.entries["/do/0/a#1"] == replace(a_leaf("/do/0/a#1", {"x": 1}), epoch=1)
    assert list(history.entries) == ["/do/0/a#1"]
    assert "/do/9" not in history.entries


async def check_an_older_epoch_is_fenced(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    await journal.release()
    assert await journal.claim("run-1")
    stale = journal.write("run-1", 1, [Put(a_leaf("/do/0/stale#1"))])
    valid = journal.write("run-2", 1, [Put(a_leaf("/do/0/valid#1"))])
    assert await fenced(stale)
    await valid
    assert await journal.entries("run-1") == []
    assert len(await journal.entries("run-2")) == 1
    assert await fenced(journal.rest("run-1", 1, seen_seq=0, wake_at=None))
    assert await refused(journal.write("unknown", 1, [Put(a_leaf("/x"))])) == "unknown-run"


async def check_what_was_queued_before_a_takeover_is_fenced_too(journal: Journal, clock: HandClock) -> None:
    names = [f"run-{i}" for i in range(10)]
    for name in [*names, "busy"]:
        await begun(journal, clock, name)
    await journal.release()
    assert await journal.claim("busy")
    for name in names:
        busy = [journal.write("busy", 2, [Put(a_leaf(f"/{name}/{i}"))]) for i in range(20)]
        claiming = asyncio.ensure_future(journal.claim(name))
        await asyncio.sleep(0)
        stale = journal.write(name, 1, [Put(a_leaf("/stale"))])
        await asyncio.gather(*busy)
        assert await claiming
        assert await fenced(stale)
        assert await journal.entries(name) == []


async def check_an_ended_run_is_not_claimed(journal: Journal, clock: HandClock) -> None:
    for i, status in enumerate((RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED, RunStatus.DIVERGED)):
        await begun(journal, clock, f"run-{i}")
        await journal.write(f"run-{i}", 1, [SetRun(status=status, ended_at=clock.now())])
        assert await journal.claim(f"run-{i}") is None
    assert await journal.runnable(clock.now(), 10) == []


async def check_an_entry_comes_back_as_it_was_put(journal: Journal, clock: HandClock) -> None:
    entry = Entry(
        key="/do/0/a#1~2",
        kind=EntryKind.LEAF,
        status=EntryStatus.FAILED,
        task="/do/0/a",
        function="http:1.0.0",
        digest="abc",
        input={"uri": "https://example.com/ü"},
        output=[0, "", False, {}],
        problem={"type": "about:blank", "status": 500},
        labels={"": ["untrusted"], "/0": ["pii"]},
        decision={"verdict": "allow", "policies": ["p"]},
        why={"examples": ["x"]},
        cost={"usd_micros": 12},
        model="openai:gpt",
        versions={"agent": "1"},
        subject="Agent::billing",
        started_at=clock.now(),
        ended_at=clock.now() + 0.25,
        epoch=1,
    )
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(entry)])
    assert await journal.entries("run-1") == [entry]


async def check_entries_keep_the_order_of_their_first_write(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/c", status=EntryStatus.INTENT)), Put(a_leaf("/a"))])
    await journal.write("run-1", 1, [Put(a_leaf("/b"))])
    await journal.write("run-1", 1, [Put(a_leaf("/c", {"done": True}))])
    found = await journal.entries("run-1")
    assert [entry.key for entry in found] == ["/c", "/a", "/b"]
    assert found[0].output == {"done": True}


async def check_a_transaction_is_written_whole_or_not_at_all(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    writes: list[Write] = [
        Put(a_leaf("/do/0/a#1")),
        SetRun(status=RunStatus.COMPLETED, output={"x": 1}),
        Put(a_leaf("/do/1/b#1", {"bad": float("nan")})),
    ]
    bad = journal.write("run-1", 1, writes)
    good = journal.write("run-2", 1, [Put(a_leaf("/do/0/a#1"))])
    assert await refused(bad) == "not-json"
    await good
    assert await journal.entries("run-1") == []
    assert (await the_run(journal, "run-1")).status is RunStatus.RUNNING
    assert len(await journal.entries("run-2")) == 1


async def check_a_cancelled_wait_does_not_stop_the_write(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    first = journal.write("run-1", 1, [Put(a_leaf("/a"))])
    first.cancel()
    await journal.write("run-1", 1, [Put(a_leaf("/b"))])
    assert [entry.key for entry in await journal.entries("run-1")] == ["/a", "/b"]


async def check_a_moved_entry_becomes_a_note(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/a", 1)), Put(a_leaf("/b", 2)), Put(a_leaf("/c", 3))])
    await journal.write(
        "run-1", 1, [Move("/a", "/a!1"), Put(a_leaf("/a", 4)), Move("/missing", "/b"), Move("/c", "/b")]
    )
    found = [(entry.key, entry.kind, entry.output) for entry in await journal.entries("run-1")]
    assert found == [("/a!1", EntryKind.NOTE, 1), ("/b", EntryKind.NOTE, 3), ("/a", EntryKind.LEAF, 4)]


async def check_changes_of_the_run_leave_the_rest_as_it_is(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [SetRun(started_at=5.0, cost={"usd_micros": 1})])
    await journal.write(
        "run-1", 1, [SetRun(status=RunStatus.FAULTED, problem={"status": 500}, fault_key="/a", ended_at=9.0)]
    )
    run = await the_run(journal, "run-1")
    assert (run.started_at, run.ended_at, run.cost, run.fault_key) == (5.0, 9.0, {"usd_micros": 1}, "/a")
    assert (run.status, run.problem, run.output, run.input) == (
        RunStatus.FAULTED,
        {"status": 500},
        None,
        {"message": "hello"},
    )
