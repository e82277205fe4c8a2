"""Checks of a journal: lists, searches, evidence, large values."""

import asyncio
from dataclasses import replace

from orchestrion.core import (
    Answer,
    Ask,
    Datum,
    Journal,
    Json,
    Put,
    Quarantined,
    RunFilter,
    RunStatus,
    SetRun,
)

from ._journal_materials import HandClock, a_leaf, a_request, a_run, approved, begun, refused


async def check_runs_are_listed_newest_first(journal: Journal, clock: HandClock) -> None:
    for i in range(5):
        batch = "b1" if i % 2 else None
        workflow = "refund" if i == 4 else "triage"
        await journal.start(a_run(f"run-{i}", clock, batch=batch, workflow=workflow, start_key=f"key-{i}"))
        clock.pass_s(1)
    assert await journal.claim("run-1")

    async def listed(which: RunFilter) -> str:
        return "".join(run.id[-1] for run in await journal.runs(which))

    assert await listed(RunFilter()) == "43210"
    assert await listed(RunFilter(limit=2)) == "43"
    assert await listed(RunFilter(limit=2, before_id="run-3")) == "21"
    third = await journal.run("run-3")
    assert third is not None
    assert await listed(RunFilter(limit=2, before=(third.created_at, third.id))) == "21"
    assert await listed(RunFilter(ids=["run-4", "run-0", "other"])) == "40"
    assert await listed(RunFilter(start_keys=["key-1", "key-3", "other"])) == "31"
    assert await listed(RunFilter(start_keys=["key-1", "key-4"], workflow="refund")) == "4"
    assert await listed(RunFilter(since=third.created_at)) == "43"
    assert [(run.id, run.input) for run in await journal.runs(RunFilter(limit=1, bare=True))] == [("run-4", None)]
    assert await listed(RunFilter(batch="b1")) == "31"
    assert await listed(RunFilter(status=[RunStatus.RUNNING])) == "1"
    assert await listed(RunFilter(status=[RunStatus.RUNNING, RunStatus.PENDING], limit=3)) == "432"
    assert await listed(RunFilter(workflow="refund")) == "4"
    assert await listed(RunFilter(workflow="support/triage", batch="b1")) == "31"
    assert await listed(RunFilter(workflow="other/triage")) == ""
    assert await journal.count() == {RunStatus.PENDING: 4, RunStatus.RUNNING: 1}
    assert await journal.count(batch="b1") == {RunStatus.PENDING: 1, RunStatus.RUNNING: 1}


async def check_completed_rows_of_a_batch(journal: Journal, clock: HandClock) -> None:
    ended = (RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.COMPLETED, RunStatus.COMPLETED)
    for row, status in enumerate(ended, start=1):
        await begun(journal, clock, f"run-{row}", batch="b1" if row < 4 else "b2", row=row)
        await journal.write(f"run-{row}", 1, [SetRun(status=status)])
    await journal.start(a_run("run-5", clock, batch="b1", row=5))
    await begun(journal, clock, "run-6", batch="b1")
    await journal.write("run-6", 1, [SetRun(status=RunStatus.COMPLETED)])
    await begun(journal, clock, "run-7", batch="b1", row=7, copied_from="run-2")
    await journal.write("run-7", 1, [SetRun(status=RunStatus.COMPLETED)])
    assert set(await journal.completed_rows("b1")) == {1, 3}
    assert set(await journal.completed_rows("b3")) == set()


async def check_runs_are_found_by_a_fragment(journal: Journal, clock: HandClock) -> None:
    for i in range(12):
        await journal.start(a_run(f"abc-{i:02}", clock))
        clock.pass_s(1)
    assert await journal.find("c-03") == ["abc-03"]
    assert await journal.find("abc") == [f"abc-{i:02}" for i in range(11, 1, -1)]
    assert await journal.find("%") == []


async def check_open_semantics_are_named(journal: Journal, clock: HandClock) -> None:
    for i in range(7):
        await journal.start(a_run(f"run-{i}", clock, semantics=1 if i < 6 else 2))
        clock.pass_s(1)
    await begun(journal, clock, "run-9", semantics=3)
    await journal.write("run-9", 1, [SetRun(status=RunStatus.COMPLETED)])
    await journal.start(a_run("run-8", clock, semantics=4))
    await journal.cancel("run-8", "ana")
    found = await journal.open_semantics()
    assert {number: (runs.count, list(runs.ids)) for number, runs in found.items()} == {
        1: (6, [f"run-{i}" for i in range(5)]),
        2: (1, ["run-6"]),
    }, "a run that was asked to stop is not walked any more"


async def check_quarantined_rows_are_kept_by_row(journal: Journal, clock: HandClock) -> None:
    def row(number: int, reason: str) -> Quarantined:
        value: Json = {"text": "\ufffd"}
        return Quarantined(batch="b1", row=number, value=value, reasons=[reason, "x"], created_at=clock.now())

    await journal.quarantine([row(10, "late"), row(9, "bad")])
    await journal.quarantine([row(10, "again")])
    assert await journal.quarantined("b1") == [row(9, "bad"), row(10, "again")]
    assert await journal.quarantined("b2") == []


async def check_late_outcomes_are_evidence_only(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.release()
    assert await journal.claim("run-1")
    outcomes = [replace(a_leaf("/a", 1), epoch=1), replace(a_leaf("/a", 2), epoch=1)]
    for outcome in outcomes:
        await journal.late("run-1", outcome)
    assert await journal.late_outcomes("run-1") == outcomes
    assert await journal.entries("run-1") == []
    assert await refused(journal.late("unknown", outcomes[0])) == "unknown-run"


async def check_large_values_come_back(journal: Journal, clock: HandClock) -> None:
    large: Json = {"text": "ü" * 300_000, "n": 1}
    other: Json = ["blob:" + "0" * 64] * 5000
    history = await begun(journal, clock, input=large)
    assert history.run.input == large
    await journal.write("run-1", 1, [Put(replace(a_leaf("/a", large), input=other)), SetRun(output=other)])
    await journal.write("run-1", 1, [Put(a_leaf("/b", "blob:" + "0" * 64))])
    question = replace(a_request("q1", "run-1", "/c", clock).question, show=Datum(large))
    await journal.write("run-1", 1, [Ask(a_request("q1", "run-1", "/c", clock, question=question))])
    await journal.answer("q1", replace(approved(clock), value=Datum(large)))
    await journal.release()
    again = await journal.claim("run-1")
    assert again is not None
    assert (again.run.input, again.run.output) == (large, other)
    assert (again.entries["/a"].output, again.entries["/a"].input) == (large, other)
    assert again.entries["/b"].output == "blob:" + "0" * 64
    assert Answer.from_json(again.messages[0].body).value.value == large
    request = await journal.request("q1")
    assert request is not None
    assert request.question.show.value == large


async def check_own_writes_are_not_foreign(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    assert not await journal.foreign_change()
    await journal.write("run-1", 1, [Put(a_leaf("/a"))])
    assert not await journal.foreign_change()


async def check_many_writes_at_once_are_all_kept(journal: Journal, clock: HandClock) -> None:
    for i in range(20):
        await begun(journal, clock, f"run-{i}")
    await asyncio.gather(
        *(journal.write(f"run-{i}", 1, [Put(a_leaf(f"/do/{n}", n))]) for n in range(50) for i in range(20))
    )
    for i in range(20):
        assert [entry.output for entry in await journal.entries(f"run-{i}")] == list(range(50))
