"""The rules that close the gaps of the specification, one by one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from orchestrion.core import Datum, EntryKind, Journal, Json, LeafContext, Outcome, Run, RunStatus, SystemClock
from orchestrion.expressions import Expressions
from orchestrion.functions import Human
from orchestrion.journal import MemoryJournal
from orchestrion.spec import read
from orchestrion.testing import Scripted, Stage, interpreting, read_document, run_of, walk_document

pytestmark = pytest.mark.anyio

HEAD = "document: { dsl: '1.0.3', namespace: test, name: rule, version: '1.0.0' }\n"


async def echo(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
    return Outcome(output=Datum(arguments))


ECHO = Scripted(name="echo", act=echo)


async def walk(body: str, value: object = None, *, journal: Journal | None = None) -> Run:
    async with Expressions() as expressions:
        return await walk_document(
            read_document(HEAD + body),
            value,
            journal=journal or MemoryJournal(SystemClock()),
            stage=Stage(functions=(ECHO, Human())),
            evaluator=expressions,
        )


def codes(body: str) -> list[str]:
    return [finding.code for finding in read(HEAD + body).findings if finding.severity == "error"]


async def test_1_on_is_a_string_and_the_digest_is_of_the_canonical_json() -> None:
    run = await walk("do:\n  - a: { set: { on: yes, no: on } }\n")
    assert run.output == {"on": "yes", "no": "on"}
    block = read_document(HEAD + "do:\n  - a:\n      set:\n        x: 1 # a remark\n")
    assert block.digest == read_document(HEAD + 'do: [ { a: { set: { "x": 1 } } } ]\n').digest


def test_2_task_names_are_unique_in_the_whole_document() -> None:
    assert codes("do:\n  - a: { do: [ { b: { set: { x: 1 } } } ] }\n  - b: { set: { x: 2 } }\n")


async def test_3_branches_start_from_the_same_context_and_keep_their_exports() -> None:
    run = await walk(
        "do:\n  - start: { set: { n: 1 }, export: { as: '${ { seen: 1 } }' } }\n"
        "  - both:\n      fork:\n        branches:\n"
        "          - left: { set: { l: '${ $context.seen }' }, export: { as: '${ { seen: 2 } }' } }\n"
        "          - right: { set: { r: '${ $context.seen }' } }\n"
        "  - after: { set: { branches: '${ . }', seen: '${ $context.seen }' } }\n"
    )
    assert run.output == {"branches": [{"l": 1}, {"r": 1}], "seen": 1}


async def test_4_a_catch_receives_the_input_of_its_try_and_the_error_by_name() -> None:
    body = (
        "do:\n  - risky:\n      input: { from: '${ { kept: .n } }' }\n      try:\n"
        "        - fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken } } }\n"
        "      catch:\n        AS\n        do:\n          - told: { set: { input: '${ . }', title: '${ $NAME.title }' } }\n"
    )
    for named, name in (("as: problem", "problem"), ("errors: { with: { status: 500 } }", "error")):
        run = await walk(body.replace("AS", named).replace("NAME", name), {"n": 7})
        assert run.output == {"input": {"kept": 7}, "title": "Broken"}


async def test_5_output_and_export_of_a_composite_see_the_context_its_children_left() -> None:
    run = await walk(
        "do:\n  - outer:\n      do:\n        - inner: { set: { x: 1 }, export: { as: '${ { left: 5 } }' } }\n"
        "      output: { as: '${ { seen: $context.left } }' }\n      export: { as: '${ $context + { also: $context.left } }' }\n"
        "  - after: { set: { seen: '${ .seen }', also: '${ $context.also }' } }\n"
    )
    assert run.output == {"seen": 5, "also": 5}


async def test_6_for_gives_the_last_iterations_output() -> None:
    run = await walk(
        "do:\n  - loop: { for: { each: n, in: '${ [1, 2] }' }, do: [ { one: { set: { n: '${ $n }' } } } ] }\n"
    )
    assert run.output == {"n": 2}
    empty = await walk(
        "do:\n  - loop: { for: { in: '${ [] }' }, do: [ { one: { set: { n: 1 } } } ] }\n", {"given": True}
    )
    assert empty.output == {"given": True}


async def test_7_the_callers_with_is_the_called_functions_raw_input() -> None:
    run = await walk(
        "use:\n  functions:\n    twice:\n      input: { from: '${ .n }' }\n      set: { doubled: '${ . * 2 }' }\n"
        "do:\n  - call: { call: twice, with: { n: '${ .value }' } }\n",
        {"value": 21},
    )
    assert run.output == {"doubled": 42}


@pytest.mark.parametrize(
    "uri",
    [
        "https://open-workflow-specification.org/spec/1.0.0/errors/timeout",
        "https://open-workflow-specification.org/dsl/errors/types/timeout",
        "https://serverlessworkflow.io/dsl/errors/types/timeout",
        "https://serverlessworkflow.io/spec/1.0.0/errors/timeout",
    ],
)
async def test_8_old_and_new_error_types_compare_equal(uri: str) -> None:
    run = await walk(
        "do:\n  - risky:\n      try:\n        - slow: { wait: { seconds: 5 }, timeout: { after: { milliseconds: 10 } } }\n"
        f"      catch: {{ errors: {{ with: {{ type: '{uri}' }} }}, do: [ {{ told: {{ set: {{ caught: true }} }} }} ] }}\n"
    )
    assert run.output == {"caught": True}


async def test_9_each_attempt_has_a_key_of_its_own_and_a_timeout_of_its_own() -> None:
    journal = MemoryJournal(SystemClock())
    run = await walk(
        "do:\n  - risky:\n      timeout: { after: { seconds: 20 } }\n      try:\n"
        "        - slow: { wait: { seconds: 5 }, timeout: { after: { milliseconds: 5 } } }\n"
        "      catch: { retry: { limit: { attempt: { count: 2 } } } }\n",
        journal=journal,
    )
    assert (run.status, cast("Mapping[str, Json]", run.problem)["code"]) == (RunStatus.FAULTED, "timed-out")
    keys = [entry.key for entry in await journal.entries(run.id) if entry.key.endswith("slow#1/deadline")]
    assert keys == [f"/do/0/risky#1/try~{attempt}/0/slow#1/deadline" for attempt in (1, 2, 3)]


async def test_10_facts_kept_in_the_context_stay_while_results_come_and_go() -> None:
    run = await walk(
        "do:\n  - first: { call: 'echo:1.0.0@default', with: { n: 1 }, export: { as: '${ $context + { first: . } }' } }\n"
        "  - second: { call: 'echo:1.0.0@default', with: { n: 2 }, export: { as: '${ $context + { second: . } }' } }\n"
        "  - both: { set: { previous: '${ .n }', facts: '${ $context }' } }\n"
    )
    assert run.output == {"previous": 2, "facts": {"first": {"n": 1}, "second": {"n": 2}}}


async def test_11_compensation_undoes_what_was_exported_and_ends_in_raise() -> None:
    run = await walk(
        "do:\n  - saga:\n      try:\n"
        "        - book: { call: 'echo:1.0.0@default', with: { id: 9 }, export: { as: '${ { receipt: .id } }' } }\n"
        "        - fail: { raise: { error: { type: 'https://example.com/full', status: 409 } } }\n"
        "      catch:\n        do:\n"
        "          - undo: { if: '$context.receipt != null', call: 'echo:1.0.0@default', with: { undo: '${ $context.receipt }' } }\n"
        "          - again: { raise: { error: { type: 'https://example.com/undone', status: 500, detail: '${ \"undid \\(.undo)\" }' } } }\n"
    )
    problem = cast("Mapping[str, Json]", run.problem)
    assert (run.status, problem["type"], problem["detail"]) == (
        RunStatus.FAULTED,
        "https://example.com/undone",
        "undid 9",
    )


@pytest.mark.parametrize(
    "around",
    [
        "      - each: { for: { each: n, in: '${ [1] }' }, do: [BOOK, FAIL] }\n",
        "      - bounded: { timeout: { after: { hours: 1 } }, do: [BOOK, FAIL] }\n",
        "      - inner: { try: [FAIL2], catch: { do: [BOOK, FAIL] } }\n",
    ],
    ids=["for", "timeout", "catch"],
)
async def test_11_what_was_exported_before_a_failure_is_undone_wherever_it_stood(around: str) -> None:
    book = "{ book: { set: { receipt: 7 }, export: { as: '${ . }' } } }"
    fail = "{ fail: { raise: { error: { type: 'https://example.com/no', status: 409 } } } }"
    again = fail.replace("fail:", "before:")
    run = await walk(
        "do:\n  - saga:\n      try:\n"
        + around.replace("FAIL2", again).replace("BOOK", book).replace("FAIL", fail)
        + "      catch: { do: [ { undo: { set: { undone: '${ $context.receipt }' } } } ] }\n"
    )
    assert run.output == {"undone": 7}


async def test_11_what_a_deadline_cut_off_leaves_no_export() -> None:
    """A later walk finds that the deadline came first and does not enter the task: it could not know."""
    run = await walk(
        "do:\n  - saga:\n      try:\n"
        "      - late:\n          timeout: { after: { milliseconds: 10 } }\n          do:\n"
        "          - book: { set: { receipt: 7 }, export: { as: '${ . }' } }\n"
        "          - nap: { wait: { hours: 1 } }\n"
        "      catch: { do: [ { undo: { set: { undone: '${ $context.receipt }' } } } ] }\n"
    )
    assert run.output == {"undone": None}


async def test_12_now_is_when_the_task_started_as_recorded() -> None:
    journal = MemoryJournal(SystemClock())
    document = read_document(
        HEAD + "do:\n  - a: { set: { at: '${ now }', same: '${ now }' } }\n  - wait: { wait: { milliseconds: 1 } }\n"
    )
    async with Expressions() as expressions:
        stage, interpret = Stage(), interpreting({document.digest: document}, expressions)
        async with stage.engine(journal, interpret) as engine:
            run = await engine.settle((await engine.start(run_of(document, None))).id)
    output = cast("Mapping[str, float]", run.output)
    recorded = next(entry for entry in await journal.entries(run.id) if entry.kind is EntryKind.VALUE)
    assert output["at"] == output["same"] == recorded.output


def test_13_the_timezone_is_the_documents() -> None:
    named = HEAD.replace("version: '1.0.0' }", "version: '1.0.0', metadata: { timezone: Europe/Madrid } }")
    document = read(named + "do:\n  - a: { set: { x: 1 } }\n").document
    assert document is not None
    assert document.timezone == "Europe/Madrid"
    assert read_document(HEAD + "do:\n  - a: { set: { x: 1 } }\n").timezone == "UTC"


async def test_14_labels_move_with_the_paths_they_stand_on() -> None:
    document = read_document(
        HEAD + "input: { from: '${ { message: .text, id: .id } }' }\ndo:\n"
        "  - keep:\n      set: { copy: '${ .message }', plain: '${ .id }' }\n"
        "      export: { as: '${ { kept: .copy, id: .plain } }' }\n"
        "  - mixed: { set: { both: '${ \"\\($context.kept) \\($context.id)\" }', id: '${ $context.id }' } }\n"
    )
    journal = MemoryJournal(SystemClock())
    given = replace(run_of(document, {"text": "hi", "id": 4}), labels={"/text": ["untrusted"]})
    async with (
        Expressions() as expressions,
        Stage().engine(journal, interpreting({document.digest: document}, expressions)) as engine,
    ):
        run = await engine.settle((await engine.start(given)).id)
    keep = next(entry for entry in await journal.entries(run.id) if entry.task.endswith("keep"))
    assert keep.labels == {"/copy": ["untrusted"]}
    assert run.labels == {"/both": ["untrusted"]}


async def test_a_task_is_skipped_when_its_condition_does_not_hold() -> None:
    run = await walk("do:\n  - a: { if: '.n > 3', set: { x: 1 } }\n", {"n": 2})
    assert run.output == {"n": 2}


async def test_exit_leaves_the_list_and_end_the_workflow() -> None:
    run = await walk(
        "do:\n  - outer:\n      do:\n        - a: { set: { a: 1 }, then: exit }\n        - b: { set: { b: 1 } }\n"
        "  - c: { set: { c: '${ .a }' }, then: end }\n  - d: { set: { d: 1 } }\n"
    )
    assert run.output == {"c": 1}


async def test_a_branch_may_end_the_workflow() -> None:
    run = await walk(
        "do:\n  - both: { fork: { branches: [ { a: { set: { x: 1 }, then: end } }, { b: { set: { x: 2 } } } ] } }\n"
        "  - never: { set: { x: 3 } }\n"
    )
    assert run.output == [{"x": 1}, {"x": 2}]


async def test_a_finished_iteration_is_not_walked_again() -> None:
    """Recovery starts at the scope row: earlier iterations are neither evaluated nor looked up."""
    document = read_document(
        HEAD + "do:\n  - loop: { for: { each: n, in: '${ [1, 2, 3] }' }, do: "
        "[ { one: { call: 'echo:1.0.0@default', with: { n: '${ $n }' } } } ] }\n"
        "  - ask: { call: 'human:1.0.0@default', timeout: { after: { days: 1 } }, "
        "with: { role: lead, title: go, form: { type: object } } }\n"
    )
    journal = MemoryJournal(SystemClock())

    class Counting:
        def __init__(self, inner: Expressions) -> None:
            self.inner, self.programs = inner, 0

        async def evaluate(self, programs: object, variables: object) -> list[Json]:
            self.programs += 1
            return await self.inner.evaluate(programs, variables)  # pyright: ignore[reportArgumentType] passed on

    async with Expressions() as expressions:
        stage = Stage(functions=(ECHO, Human()))
        counting = Counting(expressions)
        async with stage.engine(journal, interpreting({document.digest: document}, counting)) as engine:
            run = await engine.settle((await engine.start(run_of(document, None))).id)
        first, counting.programs = counting.programs, 0
        async with stage.engine(journal, interpreting({document.digest: document}, counting)) as engine:
            engine.advance(run)
            await engine.settle(run.id)
    assert (first, counting.programs) == (4, 1)
