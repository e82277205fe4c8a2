"""What `listen` means: one, any, all; correlation; until; foreach; reading. On both journals."""

from collections.abc import Mapping

import pytest

from orchestrion.core import (
    Datum,
    EntryKind,
    EntryStatus,
    Journal,
    Json,
    LeafContext,
    Outcome,
    RunStatus,
    SystemClock,
)
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.testing import Scripted, Stage, desk

pytestmark = pytest.mark.anyio


async def test_one_takes_the_first_event_that_fits(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - wait: { listen: { to: { one: { with: { type: order.placed, data: '${ .cents > 100 }' } } } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        assert run.status is RunStatus.WAITING
        await ears.send("order.cancelled", {"cents": 500})
        await ears.send("order.placed", {"cents": 50})
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("order.placed", {"cents": 500})
        run = await ears.settled(run)
        assert (run.status, run.output) == (RunStatus.COMPLETED, [{"cents": 500}])
        assert run.labels == {"/0": ["untrusted"]}


@pytest.mark.parametrize(
    ("read", "output"),
    [
        ("data", {"n": 1}),
        ("raw", '{"n": 1}'),
        (
            "envelope",
            {
                "specversion": "1.0",
                "source": "/test",
                "type": "tick",
                "id": "1",
                "time": "2030-01-01T00:00:00Z",
                "data": {"n": 1},
            },
        ),
    ],
)
async def test_an_event_is_read_as_its_data_its_envelope_or_raw_text(
    read: str, output: Json, journal: Journal, expressions: Expressions
) -> None:
    body = f"do:\n  - wait: {{ listen: {{ to: {{ any: [] }}, read: {read} }} }}\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("tick", {"n": 1}, id="1", time="2030-01-01T00:00:00Z")
        assert (await ears.settled(run)).output == [output]


async def test_all_takes_one_of_each_in_the_order_they_came(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - both: { listen: { to: { all: [ { with: { type: a } }, { with: { type: b } } ] } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for type_, n in (("b", 1), ("b", 2), ("c", 3), ("a", 4)):
            await ears.send(type_, n)
        assert (await ears.settled(run)).output == [1, 4]


async def test_all_finds_a_place_for_each_event_whatever_came_first(journal: Journal, expressions: Expressions) -> None:
    """The first event fits both places; the second only the one it would have taken."""
    body = (
        "do:\n  - both: { listen: { to: { all: [ { with: { type: x } }, { with: { type: x, source: /lab } } ] } } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("x", "lab", source="/lab")
        await ears.send("x", "ward", source="/ward")
        assert (await ears.settled(run)).output == ["lab", "ward"]


async def test_until_a_condition_holds_over_what_was_taken(journal: Journal, expressions: Expressions) -> None:
    body = "do:\n  - some: { listen: { to: { any: [ { with: { type: tick } } ], until: '( . | length ) >= 3' } } }\n"
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for n in range(5):
            await ears.send("tick", n)
        assert (await ears.settled(run)).output == [0, 1, 2]


async def test_until_an_event_that_is_not_part_of_the_output(journal: Journal, expressions: Expressions) -> None:
    body = (
        "do:\n  - some: { listen: { to: { any: [ { with: { type: vital } } ], "
        "until: { one: { with: { type: checked.out } } } } } }\n"
    )
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for n in range(2):
            await ears.send("vital", n)
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("checked.out")
        assert (await ears.settled(run)).output == [0, 1]


async def test_foreach_works_on_each_event_before_the_next(journal: Journal, expressions: Expressions) -> None:
    body = """
do:
  - each:
      listen: { to: { any: [ { with: { type: tick } } ], until: '$context.sum >= 6' } }
      foreach:
        item: tick
        at: i
        do:
          - double: { set: { twice: '${ $tick * 2 }', at: '${ $i }' } }
        output: { as: '${ { n: $tick, twice: .twice, at: .at } }' }
        export: { as: '${ { sum: (($context.sum // 0) + .n) } }' }
  - after: { set: { list: '${ . }', sum: '${ $context.sum }' } }
"""
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for n in (1, 2, 3, 4):
            await ears.send("tick", n)
        assert (await ears.settled(run)).output == {
            "list": [{"n": 1, "twice": 2, "at": 0}, {"n": 2, "twice": 4, "at": 1}, {"n": 3, "twice": 6, "at": 2}],
            "sum": 6,
        }


async def test_until_false_listens_until_a_task_ends_it(journal: Journal, expressions: Expressions) -> None:
    body = """
do:
  - ever:
      listen: { to: { any: [], until: '${ false }' } }
      foreach:
        do:
          - stop: { switch: [ { enough: { when: '. == "stop"', then: end } }, { more: { then: exit } } ] }
"""
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        for word in ("go", "on", "stop", "late"):
            await ears.send("word", word)
        run = await ears.settled(run)
        assert (run.status, run.output) == (RunStatus.COMPLETED, "stop")
        assert not await ears.journal.interests("word")


async def test_the_first_value_is_expected_of_all_that_follow(journal: Journal, expressions: Expressions) -> None:
    body = """
do:
  - room:
      listen:
        to:
          all:
            - { with: { type: temperature }, correlate: { room: { from: .roomid } } }
            - { with: { type: humidity }, correlate: { room: { from: .roomid } } }
"""
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("temperature", "no room")
        await ears.send("temperature", 21, roomid="kitchen")
        await ears.send("humidity", 80, roomid="bath")
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("humidity", 40, roomid="kitchen")
        assert (await ears.settled(run)).output == [21, 40]


@pytest.mark.parametrize(
    "wanted",
    [
        "{ with: { type: paid }, correlate: { order: { from: .data.order, expect: '${ $context.order }' } } }",
        "{ with: { type: paid, data: { order: '${ $context.order }' } } }",
        "{ with: { type: paid, data: '${ .order == $context.order }' } }",
        "{ with: { type: paid, data: '${ .order as $o | $context.order == $o }' } }",
        "{ with: { type: 'pa.+', subject: '${ $context.order }' } }",
    ],
)
async def test_each_run_hears_of_its_own(wanted: str, journal: Journal, expressions: Expressions) -> None:
    body = f"""
do:
  - keep: {{ set: {{ order: '${{ .order }}' }}, export: {{ as: '${{ . }}' }} }}
  - wait: {{ listen: {{ to: {{ one: {wanted} }} }} }}
"""
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        first, second = await ears.start({"order": "A"}), await ears.start({"order": "B"})
        await ears.send("paid", {"order": "B", "cents": 7}, subject="B")
        second = await ears.settled(second)
        assert second.output == [{"order": "B", "cents": 7}]
        assert (await ears.settled(first)).status is RunStatus.WAITING
        (event,) = await ears.journal.numbered([1])
        assert event.deliveries == 1


async def test_express_refuses_to_wait(expressions: Expressions) -> None:
    body = "do:\n  - wait: { listen: { to: { any: [] } } }\n"
    stage = Stage(express=True)
    async with desk([body], journal=MemoryJournal(SystemClock()), evaluator=expressions, stage=stage) as ears:
        run = await ears.start()
        assert run.status is RunStatus.FAULTED
        assert isinstance(run.problem, dict)
        assert run.problem["code"] == "express-wait"


async def test_a_closed_scope_listens_no_more(journal: Journal, expressions: Expressions) -> None:
    body = """
do:
  - race:
      fork:
        compete: true
        branches:
          - slow: { listen: { to: { one: { with: { type: never } } } } }
          - fast: { listen: { to: { one: { with: { type: now } } } } }
  - after: { listen: { to: { one: { with: { type: after } } } } }
"""
    async with desk([body], journal=journal, evaluator=expressions) as ears:
        run = await ears.start()
        await ears.send("now", 1)
        await ears.settled(run)
        assert not await journal.interests("never")
        await ears.send("never", 2)
        await ears.send("after", 3)
        run = await ears.settled(run)
        assert run.output == [3]
        listens = {e.task: e.status for e in await journal.entries(run.id) if e.kind is EntryKind.LISTEN}
        assert listens["/do/0/race/fork/branches/0/slow"] is EntryStatus.ABANDONED


def emitter(type_: str, then: str = "") -> str:
    return (
        f"  - tell-{type_.replace('.', '-')}: {{ emit: {{ event: {{ with: {{ type: {type_}, data: '${{ . }}' }} }} }} }}\n"
        + then
    )


async def test_three_workflows_work_together_by_events(journal: Journal, expressions: Expressions) -> None:
    shop = (
        "do:\n"
        + emitter("order.placed")
        + "  - paid: { listen: { to: { one: { with: { type: order.paid, data: '${ .order == $workflow.input.order }' } } } } }\n"
        + "  - done: { set: { paid: '${ .[0].by }' } }\n"
    )
    bank = (
        "schedule: { on: { one: { with: { type: order.placed } } } }\n"
        "do:\n  - pay: { set: { order: '${ .[0].order }', by: bank } }\n" + emitter("order.paid")
    )
    depot = (
        "schedule: { on: { all: [ { with: { type: order.placed }, correlate: { order: { from: .data.order } } }, "
        "{ with: { type: order.paid }, correlate: { order: { from: .data.order } } } ] } }\n"
        "do:\n  - ship: { set: { ship: '${ .[0].order }', events: '${ length }' } }\n"
    )
    async with desk([shop, bank, depot], journal=journal, evaluator=expressions) as ears:
        for order in ("A", "B"):
            await ears.start({"order": order})
        assert [run.output for run in await ears.runs("workflow-0")] == [{"paid": "bank"}] * 2
        assert sorted(str(run.output) for run in await ears.runs("workflow-2")) == [
            "{'ship': 'A', 'events': 2}",
            "{'ship': 'B', 'events': 2}",
        ]
        assert len(await ears.runs("workflow-1")) == 2


async def test_what_foreach_did_with_the_last_event_is_not_done_again_on_a_later_walk(
    journal: Journal, expressions: Expressions
) -> None:
    performed: list[Json] = []

    async def pay(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        performed.append(arguments["n"])
        return Outcome(output=Datum(arguments["n"]))

    body = """do:
  - orders:
      listen: { to: { one: { with: { type: order } } } }
      foreach: { item: order, do: [ { pay: { call: 'pay:1.0.0@default', with: { n: '${ $order.n }' } } } ] }
  - next: { listen: { to: { one: { with: { type: note } } } } }
"""
    stage = Stage(functions=(Scripted(name="pay", act=pay, effect="write"),))
    async with desk([body], journal=journal, evaluator=expressions, stage=stage) as ears:
        run = await ears.start()
        await ears.send("order", {"n": 7})
        assert (await ears.settled(run)).status is RunStatus.WAITING
        await ears.send("note", "well")
        run = await ears.settled(run)
    assert (run.status, run.output, performed) == (RunStatus.COMPLETED, ["well"], [7])
