"""Runs tell of their beginning and end, in the transaction in which it happens, where that is wanted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import anyio
import pytest

from orchestrion.app import open_app
from orchestrion.core import (
    Datum,
    Event,
    Journal,
    Json,
    LeafContext,
    Outcome,
    RunFilter,
    RunStatus,
    SystemClock,
    TransientError,
)
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Scripted, Stage, desk

pytestmark = pytest.mark.anyio

KIND = "io.serverlessworkflow.workflow."
WORK = "do:\n  - work: { call: work:1.0.0@default }\n  - done: { set: { n: 1 } }\n"


async def told(journal: Journal) -> Sequence[Event]:
    return await journal.earlier(None, since=0.0, after_seq=0, limit=100)


def working(failures: int = 0) -> Stage:
    left = [failures]

    async def work(_: Mapping[str, Json], __: LeafContext) -> Outcome:
        left[0] -= 1
        if left[0] >= 0:
            raise TransientError("away", "It is away.")
        return Outcome(output=Datum())

    return Stage(functions=(Scripted(name="work", act=work, effect="write"),), lifecycle=True)


async def test_a_run_tells_that_it_began_and_completed() -> None:
    journal = MemoryJournal(SystemClock())
    async with (
        Expressions() as expressions,
        desk([WORK], journal=journal, evaluator=expressions, stage=working()) as all_,
    ):
        run = await all_.start()
        started, completed = await told(journal)

    assert (started.type, completed.type) == (f"{KIND}started.v1", f"{KIND}completed.v1")
    assert started.source == completed.source == "/workflows/test/workflow-0"
    data = cast("Mapping[str, Json]", completed.body["data"])
    assert data["name"] == f"workflow-0-{run.id}.test"
    assert data["definition"] == {"namespace": "test", "name": "workflow-0", "version": "1.0.0"}
    assert data["output"] == {"n": 1}
    assert str(data["completedAt"]).endswith("Z")
    assert "startedAt" in cast("Mapping[str, Json]", started.body["data"])


async def test_a_fault_is_told_each_time_and_a_cancel_once() -> None:
    journal = MemoryJournal(SystemClock())
    async with (
        Expressions() as expressions,
        desk([WORK], journal=journal, evaluator=expressions, stage=working(2)) as all_,
    ):
        run = await all_.start()
        assert run.status is RunStatus.FAULTED
        await all_.engine.retry(run.id, "ana")
        await all_.engine.settle(run.id)
        await all_.engine.retry(run.id, "ana")
        assert (await all_.engine.settle(run.id)).status is RunStatus.COMPLETED
        kinds = [event.type.removeprefix(KIND) for event in await told(journal)]
        error = cast("Mapping[str, Mapping[str, Json]]", (await told(journal))[1].body["data"])["error"]

    assert kinds == ["started.v1", "faulted.v1", "faulted.v1", "completed.v1"]
    assert error["code"] == "away"


async def test_a_cancel_is_told() -> None:
    journal = MemoryJournal(SystemClock())
    body = "do: [ wait: { wait: { days: 1 } } ]\n"
    async with (
        Expressions() as expressions,
        desk([body], journal=journal, evaluator=expressions, stage=working()) as all_,
    ):
        run = await all_.start()
        await all_.engine.cancel(run.id, "ana")
        assert (await all_.engine.settle(run.id)).status is RunStatus.CANCELLED
        assert [event.type.removeprefix(KIND) for event in await told(journal)] == ["started.v1", "cancelled.v1"]


async def test_another_run_hears_of_the_end() -> None:
    listening = f"do: [ hear: {{ listen: {{ to: {{ one: {{ with: {{ type: {KIND}completed.v1 }} }} }} }} }} ]\n"
    journal = MemoryJournal(SystemClock())
    async with (
        Expressions() as expressions,
        desk([listening, WORK], journal=journal, evaluator=expressions, stage=working()) as all_,
    ):
        waiting = await all_.start()
        await all_.start(document=1)
        heard = await all_.settled(waiting)

    (event,) = cast("Sequence[Mapping[str, Json]]", heard.output)
    assert event["output"] == {"n": 1}


async def test_nothing_is_told_unless_it_is_wanted() -> None:
    journal = MemoryJournal(SystemClock())
    async with (
        Expressions() as expressions,
        desk(["do: [ a: { set: { x: 1 } } ]\n"], journal=journal, evaluator=expressions) as all_,
    ):
        await all_.start()

    assert await told(journal) == []


async def test_a_project_wants_it_and_no_workflow_begins_by_its_own_end(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "orchestrion.yaml").write_text("lifecycle: true\n")
    (tmp_path / "workflows" / "hello.yaml").write_text(
        "document: { dsl: '1.0.3', namespace: examples, name: hello, version: '1.0.0' }\n"
        "do: [ greet: { set: { greeting: Hello } } ]\n"
    )
    (tmp_path / "workflows" / "after.yaml").write_text(
        "document: { dsl: '1.0.3', namespace: examples, name: after, version: '1.0.0' }\n"
        f"schedule: {{ on: {{ one: {{ with: {{ type: {KIND}completed.v1 }} }} }} }}\n"
        "do: [ note: { set: { heard: '${ .[0].definition.name }' } } ]\n"
    )
    async with open_app(tmp_path) as app:
        run = await app.start(app.checked.shelf.named("hello"), {})
        with anyio.fail_after(20):
            await app.engine.settle(run.id)
            for _ in range(3):
                await app.engine.routed()
                for each in await app.journal.runs(RunFilter()):
                    await app.engine.settle(each.id)
        runs = await app.journal.runs(RunFilter())

    assert sorted((each.workflow, str(each.output)) for each in runs) == [
        ("after", "{'heard': 'hello'}"),
        ("hello", "{'greeting': 'Hello'}"),
    ]
