"""What `use.extensions` means, rule by rule."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from orchestrion.core import Datum, Journal, Json, LeafContext, Outcome, Run, RunStatus, SystemClock, TransientError
from orchestrion.expressions import Expressions
from orchestrion.journal import MemoryJournal
from orchestrion.spec import read
from orchestrion.testing import CrashingJournal, Ledger, Moment, Scripted, Stage, interpreting, read_document, run_of

pytestmark = pytest.mark.anyio

HEAD = "document: { dsl: '1.0.3', namespace: test, name: extended, version: '1.0.0' }\n"


class World:
    """What the workflow did outside, in order."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.said: list[Json] = []
        self.failing = 0

    async def say(self, arguments: Mapping[str, Json], context: LeafContext) -> Outcome:
        self.said.append(arguments.get("text"))
        self.ledger.note(str(arguments.get("text")), context)
        return Outcome(output=Datum({"said": arguments.get("text")}))

    async def fetch(self, arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
        self.said.append("fetched")
        if self.failing:
            self.failing -= 1
            raise TransientError("gone", "The other side is away.")
        return Outcome(output=Datum({"fetched": arguments}))

    @property
    def functions(self) -> tuple[Scripted, ...]:
        return (
            Scripted(name="say", act=self.say, effect="write"),
            Scripted(name="fetch", act=self.fetch, effect="read"),
        )


async def walk(
    body: str,
    value: object = None,
    *,
    world: World | None = None,
    journal: Journal | None = None,
    run: Run | None = None,
) -> Run:
    document = read_document(HEAD + body)
    stage = Stage(functions=(world or World()).functions)
    async with (
        Expressions() as expressions,
        stage.engine(
            journal or MemoryJournal(SystemClock()), interpreting({document.digest: document}, expressions)
        ) as engine,
    ):
        started = await engine.start(run or run_of(document, value))
        return await engine.settle(started.id)


async def keys(body: str, value: object = None) -> list[str]:
    journal = MemoryJournal(SystemClock())
    run = await walk(body, value, journal=journal)
    return [entry.key for entry in await journal.entries(run.id)]


LOGGED = """
use:
  extensions:
    - outer:
        extend: call
        before: [ outerBefore: { call: say:1.0.0@default, with: { text: '${ "outer before \\($task.name)" }' } } ]
        after: [ outerAfter: { call: say:1.0.0@default, with: { text: '${ "outer after \\($task.name)" }' } } ]
    - inner:
        extend: all
        before: [ innerBefore: { call: say:1.0.0@default, with: { text: '${ "inner before \\($task.name)" }' } } ]
        after: [ innerAfter: { call: say:1.0.0@default, with: { text: '${ "inner after \\($task.name)" }' } } ]
do:
  - load: { call: fetch:1.0.0@default, with: { id: '${ .id }' } }
"""


async def test_before_runs_in_the_order_of_declaration_and_after_in_reverse() -> None:
    world = World()
    run = await walk(LOGGED, {"id": 7}, world=world)

    assert world.said == [
        "outer before load",
        "inner before load",
        "fetched",
        "inner after load",
        "outer after load",
    ]
    assert run.output == {"fetched": {"id": 7}}, "what extensions give stays in them"


async def test_places_in_the_journal_name_the_side_the_extension_and_the_task() -> None:
    assert [key for key in await keys(LOGGED, {"id": 7}) if "inner" in key or key.endswith("#1")] == snapshot(
        [
            "/do/0/load#1/before/0/outer/0/outerBefore#1",
            "/do/0/load#1/before/1/inner/0/innerBefore#1",
            "/do/0/load#1",
            "/do/0/load#1/after/1/inner/0/innerAfter#1",
            "/do/0/load#1/after/0/outer/0/outerAfter#1",
        ]
    )


def extension(text: str, do: str = "load: { call: fetch:1.0.0@default, with: { id: '${ .id }' } }") -> str:
    return f"use:\n  extensions:\n    - only: {text}\ndo:\n  - {do}\n"


async def test_before_sees_the_raw_input_and_after_the_raw_output() -> None:
    run = await walk(
        "use:\n  extensions:\n    - seen:\n        extend: call\n"
        "        before: [ b: { set: { seen: '${ . }' }, export: { as: '${ { before: .seen } }' } } ]\n"
        "        after: [ a: { set: { seen: '${ . }' }, export: { as: '${ $context + { after: .seen } }' } } ]\n"
        "do:\n  - load:\n      input: { from: '${ { id: .wanted } }' }\n"
        "      call: fetch:1.0.0@default\n      with: { id: '${ .id }' }\n"
        "      output: { as: '${ { short: .fetched.id } }' }\n"
        "      export: { as: '${ $context + { short: .short } }' }\n"
        "output: { as: '${ $context }' }\n",
        {"wanted": 7},
    )

    assert run.output == {"before": {"wanted": 7}, "after": {"fetched": {"id": 7}}, "short": 7}


async def test_exit_in_before_takes_the_place_of_the_task() -> None:
    world = World()
    run = await walk(
        "use:\n  extensions:\n"
        "    - mock: { extend: call, before: [ given: { set: { fetched: { id: mocked } }, then: exit } ],\n"
        "              after: [ own: { call: say:1.0.0@default, with: { text: own } } ] }\n"
        "do:\n  - load: { call: fetch:1.0.0@default, with: {}, input: { schema: { document: { type: string } } },\n"
        "            output: { as: .fetched.id }, export: { as: '${ { got: . } }' }, then: last }\n"
        "  - never: { call: say:1.0.0@default, with: { text: never } }\n"
        "  - last: { set: { got: '${ $context.got }' } }\n",
        world=world,
    )

    assert (run.status, run.output, world.said) == (RunStatus.COMPLETED, {"got": "mocked"}, [])


async def test_a_replaced_task_is_completed_for_the_extensions_around_the_one_that_replaced_it() -> None:
    world = World()
    mock = "    - mock: { extend: call, before: [ given: { set: { fetched: mocked }, then: exit } ] }\n"
    await walk(LOGGED.replace("    - inner:", mock + "    - inner:"), {"id": 7}, world=world)

    assert world.said == ["outer before load", "outer after load"]


async def test_a_condition_in_before_replaces_only_where_it_leads_to_exit() -> None:
    text = "{ extend: call, before: [ way: { switch: [ one: { when: .id == 1, then: exit }, other: { then: continue } ] } ] }"
    assert (await walk(extension(text), {"id": 1})).output == {"id": 1}
    assert (await walk(extension(text), {"id": 2})).output == {"fetched": {"id": 2}}


async def test_exit_inside_a_do_of_before_leaves_only_that_do() -> None:
    text = "{ extend: call, before: [ group: { do: [ b: { set: { x: 1 }, then: exit } ] } ] }"
    assert (await walk(extension(text), {"id": 1})).output == {"fetched": {"id": 1}}


async def test_exit_in_after_gives_another_output() -> None:
    text = "{ extend: call, after: [ masked: { set: { id: '${ .fetched.id }', iban: '***' }, then: exit } ] }"
    run = await walk(
        extension(text).replace("'${ .id }' } }", "'${ .id }' }, output: { as: '${ . + { n: 1 } }' } }"), {"id": 1}
    )

    assert run.output == {"id": 1, "iban": "***", "n": 1}


async def test_end_in_an_extension_completes_the_workflow() -> None:
    world = World()
    text = "{ extend: call, before: [ stop: { set: { closed: true }, then: end } ] }"
    run = await walk(extension(text) + "  - never: { call: fetch:1.0.0@default }\n", world=world)

    assert (run.status, run.output, world.said) == (RunStatus.COMPLETED, {"closed": True}, [])


async def test_a_skipped_task_is_not_extended() -> None:
    world = World()
    skipped = "load: { if: .id == 2, call: fetch:1.0.0@default }"
    await walk(
        extension("{ extend: all, before: [ b: { call: say:1.0.0@default } ] }", skipped), {"id": 1}, world=world
    )

    assert world.said == []


async def test_after_does_not_run_for_a_task_that_failed() -> None:
    world = World()
    world.failing = 1
    run = await walk(extension("{ extend: call, after: [ a: { call: say:1.0.0@default } ] }"), {"id": 1}, world=world)

    assert (run.status, world.said) == (RunStatus.FAULTED, ["fetched"])


async def test_an_error_in_an_extension_is_one_of_the_task_and_can_be_caught() -> None:
    body = (
        "use:\n  extensions:\n    - check: { extend: call, before: [ refuse: { raise: { error: "
        "{ type: 'https://example.com/refused', status: 403, title: Refused } } } ] }\n"
        "do:\n  - careful:\n      try: [ load: { call: fetch:1.0.0@default } ]\n"
        "      catch: { do: [ told: { set: { title: '${ $error.title }', at: '${ $error.instance }' } } ] }\n"
    )
    assert (await walk(body)).output == {"title": "Refused", "at": "/use/extensions/0/check/before/0/refuse"}


async def test_each_attempt_of_a_retry_is_extended_anew() -> None:
    world = World()
    world.failing = 2
    body = (
        "use:\n  extensions:\n    - log: { extend: call, before: [ b: { call: say:1.0.0@default, with: { text: again } } ] }\n"
        "do:\n  - stubborn:\n      try: [ load: { call: fetch:1.0.0@default } ]\n"
        "      catch: { retry: { delay: PT0.001S, limit: { attempt: { count: 3 } } } }\n"
    )
    run = await walk(body, world=world)

    assert run.status is RunStatus.COMPLETED
    assert world.said == ["again", "fetched"] * 3


async def test_extensions_are_not_extended_nor_are_the_functions_they_call() -> None:
    world = World()
    body = (
        "use:\n  functions: { tell: { call: say:1.0.0@default, with: { text: '${ .text }' } } }\n"
        "  extensions:\n    - log: { extend: all, before: [ b: { do: [ c: { call: tell, with: { text: '${ $task.name }' } } ] } ] }\n"
        "do:\n  - group: { do: [ load: { call: fetch:1.0.0@default } ] }\n"
    )
    await walk(body, world=world)

    assert world.said == ["group", "load", "fetched"]


async def test_tasks_of_functions_are_extended_as_well() -> None:
    body = (
        "use:\n  functions: { get: { call: fetch:1.0.0@default, with: { url: secret } } }\n"
        '  extensions:\n    - mock: { extend: call, when: $task.call == "fetch:1.0.0@default",\n'
        "              before: [ given: { set: { mocked: true }, then: exit } ] }\n"
        "do:\n  - load: { call: get }\n"
    )
    assert (await walk(body)).output == {"mocked": True}


@pytest.mark.parametrize(
    ("extend", "names"),
    [
        ("all", ["s", "f", "i", "d", "j", "k", "b", "w", "sw", "t", "g", "e", "c"]),
        ("composite", ["d", "k"]),
        ("for", ["f"]),
        ("set", ["s", "i", "j", "b", "g"]),
        ("switch", ["sw"]),
        ("try", ["t"]),
        ("wait", ["w"]),
        ("emit", ["e"]),
        ("call", ["c"]),
        ("raise", []),
        ("run", []),
        ("listen", []),
    ],
)
async def test_extend_names_the_kinds_of_tasks(extend: str, names: list[str]) -> None:
    world = World()
    body = (
        f"use:\n  extensions:\n    - log: {{ extend: {extend}, "
        "before: [ told: { call: say:1.0.0@default, with: { text: '${ $task.name }' } } ] }\n"
        "do:\n  - s: { set: { x: 1 } }\n  - f: { for: { in: '${ [1] }' }, do: [ i: { set: { x: 1 } } ] }\n"
        "  - d: { do: [ j: { set: { x: 1 } } ] }\n  - k: { fork: { branches: [ b: { set: { x: 1 } } ] } }\n"
        "  - w: { wait: PT0.001S }\n  - sw: { switch: [ any: { then: t } ] }\n"
        "  - t: { try: [ g: { set: { x: 1 } } ], catch: {} }\n"
        "  - e: { emit: { event: { with: { source: /a, type: b } } } }\n  - c: { call: fetch:1.0.0@default }\n"
    )
    await walk(body, world=world)

    assert [said for said in world.said if said != "fetched"] == names


async def test_when_sees_the_task_its_definition_its_input_and_the_context() -> None:
    when = (
        '$task.name == "load" and $task.call == "fetch:1.0.0@default" and $task.with.id == "${ .id }" and $task.input.id == 1 '
        'and .id == 1 and $task.reference == "/do/0/load" and $context == null and $task.definition.call == $task.call'
    )
    text = f"{{ extend: call, when: '{when}', before: [ given: {{ set: {{ mocked: true }}, then: exit }} ] }}"
    assert (await walk(extension(text), {"id": 1})).output == {"mocked": True}
    assert (await walk(extension(text), {"id": 2})).output == {"fetched": {"id": 2}}


async def test_a_when_that_fails_is_an_error_and_never_a_no() -> None:
    world = World()
    run = await walk(
        extension("{ extend: call, when: '.id | startswith(\"x\")', before: [ b: { wait: PT1S } ] }"),
        {"id": 1},
        world=world,
    )

    assert (run.status, world.said) == (RunStatus.FAULTED, [])
    assert isinstance(run.problem, dict)
    assert run.problem["instance"] == "/do/0/load"


async def test_after_sees_the_output_of_the_task_as_task_output() -> None:
    text = "{ extend: call, after: [ a: { set: { was: '${ $task.output.fetched.id }', now: '${ .fetched.id }' }, then: exit } ] }"
    assert (await walk(extension(text), {"id": 1})).output == {"was": 1, "now": 1}


async def test_the_tasks_timeout_does_not_span_its_extensions() -> None:
    text = "{ extend: call, before: [ slow: { wait: PT0.2S } ] }"
    do = "load: { call: fetch:1.0.0@default, with: { id: '${ .id }' }, timeout: { after: PT0.1S } }"
    assert (await walk(extension(text, do), {"id": 1})).status is RunStatus.COMPLETED


async def test_labels_move_with_what_takes_the_place() -> None:
    text = "{ extend: call, before: [ given: { set: { m: '${ .id }', n: 1 }, then: exit } ] }"
    document = read_document(HEAD + extension(text))
    labelled = replace(run_of(document, {"id": "x"}), labels={"/id": ["untrusted"]})
    run = await walk(extension(text), run=labelled)

    assert run.labels == {"/m": ["untrusted"]}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_after_every_write_the_result_is_the_same_and_each_effect_happens_once(moment: Moment) -> None:
    quiet, world = MemoryJournal(SystemClock()), World()
    expected = (await walk(LOGGED, {"id": 7}, world=world, journal=quiet)).output
    document = read_document(HEAD + LOGGED)
    died = 0
    async with Expressions() as expressions:
        interpret = interpreting({document.digest: document}, expressions)
        for at in range(1, 30):
            world, journal = World(), MemoryJournal(SystemClock())
            run = run_of(document, {"id": 7}, f"run-{at}")
            crashing = CrashingJournal(journal, at=at, moment=moment)
            async with Stage(functions=world.functions).engine(crashing.journal, interpret) as engine:
                await engine.start(run)
                ended = asyncio.ensure_future(engine.settle(run.id))
                crashed = asyncio.ensure_future(crashing.crashed.wait())
                await asyncio.wait([ended, crashed], return_when=asyncio.FIRST_COMPLETED)
                survived = ended.done()
                if not survived:
                    await crashing.bury(engine)
                ended.cancel()
                crashed.cancel()
            died += not survived
            async with Stage(functions=world.functions).engine(journal, interpret) as engine:
                engine.advance(run)
                again = await engine.settle(run.id)
            assert (again.status, again.output) == (RunStatus.COMPLETED, expected)
            assert all(len(keys) == 1 for keys in world.ledger.keys.values()), world.ledger.keys
    assert died > 5


async def test_a_workflow_without_extensions_leaves_the_same_journal_as_before() -> None:
    assert await keys("do:\n  - load: { call: fetch:1.0.0@default, with: { id: 1 } }\n  - s: { set: { x: 1 } }\n") == [
        "/do/0/load#1",
        "/do/1/s#1",
    ]


async def test_the_standards_own_example_is_read(test_data: Path) -> None:
    text = (test_data / "open-workflow" / "examples" / "mock-service-extension.yaml").read_text()
    reading = read(text)

    assert reading.document is not None
    assert [each.name for each in reading.document.extensions] == ["mockService"]
