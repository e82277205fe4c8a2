"""The inbox rules: each event once for each task, whenever it comes. On both journals."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from orchestrion.core import (
    Datum,
    EntryKind,
    Event,
    EventQuery,
    Journal,
    Json,
    Outcome,
    Run,
    RunStatus,
    SystemClock,
    TransientError,
    UserError,
    Woken,
)
from orchestrion.engine import Fit
from orchestrion.engine._router import Router  # the part alone: through an engine the refusals could not be told apart
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.testing import DocumentRouting, Scripted, Stage, an_event, desk, read_document, run_of

pytestmark = pytest.mark.anyio

ONE_TICK = "{ listen: { to: { one: { with: { type: tick } } } } }"


async def test_an_early_event_waits_for_its_listener(journal: Journal, expressions: Expressions) -> None:
    """It comes after the run began and before it listens; nobody wanted it, until then."""
    body = f"do:\n  - first: {{ listen: {{ to: {{ one: {{ with: {{ type: go }} }} }} }} }}\n  - then: {ONE_TICK}\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        await ears.send("tick", "before the run")
        run = await ears.start()
        await ears.send("tick", "early")
        assert [event.body["data"] for event in await journal.events(EventQuery(unwanted=True))] == [
            "early",
            "before the run",
        ]
        await ears.send("go")
        run = await ears.settled(run)
        assert run.output == ["early"]
        assert [event.body["data"] for event in await journal.events(EventQuery(unwanted=True))] == ["before the run"]


async def test_events_are_taken_in_the_order_they_were_received(journal: Journal, expressions: Expressions) -> None:
    """Whatever their own times say, and whether they came early or late."""
    body = (
        "do:\n  - first: { listen: { to: { one: { with: { type: go } } } } }\n"
        "  - then: { listen: { to: { any: [ { with: { type: tick } } ], until: 'length == 3' } } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("tick", 1, time="2030-01-03T00:00:00Z")
        await ears.send("tick", 2, time="2030-01-02T00:00:00Z")
        await ears.send("go")
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("tick", 3, time="2030-01-01T00:00:00Z")
        assert (await ears.settled(run)).output == [1, 2, 3]


async def test_a_duplicate_is_dropped(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - two: { listen: { to: { any: [ { with: { type: tick } } ], until: 'length == 2' } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        assert await ears.send("tick", 1, id="same")
        assert not await ears.send("tick", 2, id="same")
        assert (await ears.settled(run)).status is RunStatus.WAITING
        assert await ears.send("tick", 3, id="same", source="/elsewhere")
        assert (await ears.settled(run)).output == [1, 3]


async def test_a_task_takes_an_event_once_on_all_its_visits(journal: Journal, expressions: Expressions) -> None:
    body = (
        "do:\n  - begin: { set: { seen: [] }, export: { as: .seen } }\n"
        f"  - wait: {ONE_TICK[:-2]}, export: {{ as: '${{ $context + . }}' }} }}\n"
        "  - again: { switch: [ { more: { when: '($context | length) < 4', then: wait } }, { done: { then: tell } } ] }\n"
        "  - tell: { set: { seen: '${ $context }' } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for n in range(3):
            await ears.send("tick", n)
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("tick", 3)
        assert (await ears.settled(run)).output == {"seen": [0, 1, 2, 3]}


async def test_two_listeners_hear_of_the_same_event(journal: Journal, expressions: Expressions) -> None:
    body = f"do:\n  - both: {{ fork: {{ branches: [ {{ left: {ONE_TICK} }}, {{ right: {ONE_TICK} }} ] }} }}\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        first, second = await ears.start(), await ears.start()
        await ears.send("tick", 1)
        for run in (first, second):
            assert (await ears.settled(run)).output == [[1], [1]]
        (event,) = await journal.events(EventQuery())
        assert event.deliveries == 4


async def test_a_refused_event_is_offered_again_on_the_next_visit(journal: Journal, expressions: Expressions) -> None:
    body = (
        'do:\n  - each:\n      for: { each: name, in: \'${ ["b", "a"] }\' }\n      do:\n'
        "        - wait: { listen: { to: { one: { with: { type: tick, subject: '${ $name }' } } } }, "
        "export: { as: '${ ($context // []) + . }' } }\n"
        "  - tell: { set: { seen: '${ $context }' } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("tick", "for a", subject="a")
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("tick", "for b", subject="b")
        assert (await ears.settled(run)).output == {"seen": ["for b", "for a"]}


async def test_an_event_that_comes_while_the_run_falls_asleep_wakes_it(expressions: Expressions) -> None:
    """Routed after the run decided to rest and before that was written; and between the rest and the eviction."""

    class Drowsy(MemoryJournal):
        moment = "before"

        async def rest(self, run_id: str, epoch: int, *, seen_seq: int, wake_at: float | None) -> bool:
            if self.moment == "before":
                await ears.send("tick", "just in time")
            asleep = await super().rest(run_id, epoch, seen_seq=seen_seq, wake_at=wake_at)
            if self.moment == "after":
                self.moment = "never"
                await ears.send("tick", "just in time")
            return asleep

    for moment in ("before", "after"):
        journal = Drowsy(SystemClock())
        journal.moment = moment
        async with desk([f"do:\n  - wait: {ONE_TICK}\n"], journal=journal, evaluator=expressions) as ears:
            run = await ears.start()
            while not run.status.ended:
                await asyncio.sleep(0)
                run = await ears.settled(run)
            assert run.output == ["just in time"]


async def test_a_run_that_is_tried_again_listens_again(journal: Journal, expressions: Expressions) -> None:
    """It failed while it worked on an event; what came meanwhile is found."""
    failures = [1]

    async def act(arguments: object, context: object) -> Outcome:
        if failures.pop() if failures else 0:
            raise TransientError("away", "The other side is away.")
        return Outcome(output=Datum(cast("Json", arguments)))

    body = (
        "do:\n  - each:\n      listen: { to: { any: [ { with: { type: tick } } ], until: 'length == 3' } }\n"
        "      foreach:\n        item: n\n        do:\n"
        "          - work: { call: 'act:1.0.0@default', with: { n: '${ $n }' } }\n"
    )
    stage = Stage(functions=(Scripted(name="act", act=act),))
    async with desk([body], journal=journal, evaluator=expressions, stage=stage) as ears:
        run = await ears.start()
        await ears.send("tick", 1)
        assert (await ears.settled(run)).status is RunStatus.FAULTED
        assert not await journal.interests("tick")
        await ears.send("tick", 2)
        await ears.engine.retry(run.id, "ana")
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("tick", 3)
        assert (await ears.settled(run)).output == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_an_event_that_came_while_nobody_worked_is_heard(journal: Journal, expressions: Expressions) -> None:
    body = f"do:\n  - wait: {ONE_TICK}\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
    assert await journal.receive(an_event("tick", "meanwhile"))
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        assert (await ears.settled(run)).output == ["meanwhile"]


async def test_cancel_and_timeout_end_listening(journal: Journal, expressions: Expressions) -> None:
    body = (
        "do:\n  - trying:\n      try:\n        - wait: { timeout: { after: { milliseconds: 30 } }, "
        "listen: { to: { one: { with: { type: tick } } } } }\n"
        "      catch: { errors: { with: { status: 408 } }, do: [ { late: { set: { late: true } } } ] }\n"
        "  - ever: { listen: { to: { one: { with: { type: tock } } } } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        assert await journal.interests("tock")
        assert not await journal.interests("tick")
        await ears.engine.cancel(run.id, "ana")
        assert (await ears.settled(run)).status is RunStatus.CANCELLED
        assert not await journal.interests("tock")


async def test_a_filter_that_cannot_be_evaluated_is_seen(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - wait: { listen: { to: { one: { with: { type: tick, data: '${ .n + 1 > 2 }' } } } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("tick", {"n": "text"})
        assert (await ears.settled(run)).status is RunStatus.WAITING
        (event,) = await journal.events(EventQuery(unwanted=True))
        assert "cannot be added" in str(event.notes)
        await ears.send("tick", {"n": 3})
        assert (await ears.settled(run)).output == [{"n": 3}]


async def test_every_event_of_an_any_starts_a_run_once(journal: Journal, expressions: Expressions) -> None:
    body = (
        "schedule: { on: { any: [ { with: { type: a } }, { with: { type: 'a|b' } } ] }, read: envelope }\n"
        "do:\n  - keep: { set: { type: '${ .[0].type }' } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        for type_, name in (("a", "1"), ("b", "2"), ("b", "2"), ("c", "3")):
            await ears.send(type_, id=name)
        runs = await ears.runs("workflow-0")
        assert [run.output for run in runs] == [{"type": "a"}, {"type": "b"}]
        assert [run.labels for run in runs] == [{"/type": ["untrusted"]}] * 2


async def test_events_that_start_a_run_together_wait_for_each_other(journal: Journal, expressions: Expressions) -> None:
    """Two of one kind wait for a round each; rooms do not mix."""
    body = (
        "schedule: { on: { all: [ { with: { type: t }, correlate: { room: { from: .roomid } } }, "
        "{ with: { type: h }, correlate: { room: { from: .roomid } } } ] } }\n"
        "do:\n  - keep: { set: { got: '${ . }' } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        for type_, room, value in (
            ("t", "a", 1),
            ("t", "a", 2),
            ("t", "b", 3),
            ("h", "a", 4),
            ("h", "a", 5),
            ("h", "b", 6),
        ):
            await ears.send(type_, value, roomid=room)
        found: list[Run] = list(await ears.runs("workflow-0"))
        assert [cast("dict[str, Json]", run.output)["got"] for run in found] == [[1, 4], [2, 5], [3, 6]]


async def test_what_was_learned_outside_stays_untrusted_in_what_is_told_on(
    journal: Journal, expressions: Expressions
) -> None:
    relay = (
        f"do:\n  - wait: {ONE_TICK}\n"
        "  - tell: { emit: { event: { with: { type: told, data: { of: '${ .[0] }', own: 1 } } } } }\n"
    )
    hears = "do:\n  - wait: { listen: { to: { one: { with: { type: told } } } } }\n"
    async with desk([relay, hears], journal=journal, evaluator=expressions) as ears:
        first, second = await ears.start(), await ears.start(document=1)
        await ears.send("tick", "outside")
        await ears.settled(first)
        second = await ears.settled(second)
        assert second.output == [{"of": "outside", "own": 1}]
        assert second.labels == {"/0/of": ["untrusted"]}


async def test_a_bad_event_is_not_emitted(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - tell: { emit: { event: { with: { type: told, source: '${ .source }' } } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start({"source": "has spaces"})
        assert isinstance(run.problem, dict)
        assert (run.problem["code"], run.problem["instance"]) == ("bad-event", "/do/0/tell")
        assert not await journal.events(EventQuery())


@pytest.mark.soak
async def test_ten_thousand_events_recover_from_the_last_scope_row(expressions: Expressions) -> None:
    body = (
        "do:\n  - each:\n      listen: { to: { any: [ { with: { type: tick } } ], "
        "until: { one: { with: { type: enough } } } } }\n"
        "      foreach: { do: [ { keep: { set: { n: '${ $item }' } } } ], output: { as: .n } }\n"
        "  - count: { set: { n: '${ length }', last: '${ .[-1] }' } }\n"
    )
    journal = MemoryJournal(SystemClock())
    document = read_document("document: { dsl: '1.0.3', namespace: test, name: workflow-0, version: '1.0.0' }\n" + body)
    run = run_of(document, None)
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        await ears.start(run_id=run.id)
        for n in range(10_000):
            await journal.receive(an_event("tick", n))
        await ears.engine.receive(an_event("tock"))
        await ears.settled(run)
    began = SystemClock().monotonic()
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        await ears.send("enough")
        ended = await ears.settled(run)
        assert ended.output == {"n": 10_000, "last": 9_999}
    assert SystemClock().monotonic() - began < 5
    events = [entry for entry in await journal.entries(run.id) if entry.kind is EntryKind.EVENT]
    assert len(events) == 10_001


async def test_an_event_that_cannot_start_its_run_does_not_hold_up_the_others(
    journal: Journal, expressions: Expressions
) -> None:
    """The input it would give is too large, or the workflow refuses to be pinned: it is said with the event."""
    body = f"do:\n  - wait: {ONE_TICK}\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()

        class Refusing(DocumentRouting):
            async def fits(self, event: Event) -> tuple[Sequence[Fit], Sequence[str]]:
                return [Fit(trigger="d", start=starting)] if event.type == "start" else [], []

        async def starting(events: Sequence[Event]) -> Run:
            if events[0].body["data"] == "refused":
                raise UserError("unknown-document", "It cannot be pinned.")
            return replace(run_of(ears.documents[0], None), input=cast("Json", float("nan")))

        tellers: list[Woken] = []
        router = Router(journal, Refusing(ears.documents, expressions), tellers.extend)
        for type_, content in (("start", "refused"), ("start", "stored"), ("tick", 1)):
            await journal.receive(an_event(type_, content))
        await router.route_all()
        assert [each.run_id for each in tellers] == [run.id]
        said = [str(event.notes) for event in reversed(await journal.events(EventQuery()))]
        assert ["cannot be pinned" in said[0], "NaN" in said[1] or "JSON" in said[1], said[2]] == [True, True, "None"]


async def test_a_loop_does_not_look_at_the_same_events_on_every_visit(expressions: Expressions) -> None:
    """Neither at those it took, nor at those that can never be for it."""

    class Watched(MemoryJournal):
        def __init__(self) -> None:
            super().__init__(SystemClock())
            self.looked: Counter[int] = Counter()

        async def earlier(
            self, types: Sequence[str] | None, *, since: float, after_seq: int, limit: int
        ) -> Sequence[Event]:
            found = await super().earlier(types, since=since, after_seq=after_seq, limit=limit)
            self.looked.update(event.seq for event in found)
            return found

    wait = "{ listen: { to: { one: { with: { type: tick, data: { order: '${ $workflow.input }' } } } } } }"
    body = (
        "do:\n  - go: { listen: { to: { one: { with: { type: go } } } } }\n"
        f"  - wait: {wait[:-2]}, export: {{ as: '${{ $context + . }}' }} }}\n"
        "  - again: { switch: [ { more: { when: '($context | length) < 20', then: wait } }, { done: { then: tell } } ] }\n"
        "  - tell: { set: { n: '${ $context | length }' } }\n"
    )
    journal = Watched()
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start("mine")
        for n in range(20):
            for order in ("yours", "theirs", "mine"):
                await ears.send("tick", {"order": order, "n": n})
        await ears.send("go")
        run = await ears.settled(run)
        assert run.output == {"n": 20}
    seen = [count for seq, count in journal.looked.items() if seq < 30]
    assert max(seen) <= 15, "a page is read ahead, and not more than that"
    assert sum(journal.looked.values()) < 20 * 40
