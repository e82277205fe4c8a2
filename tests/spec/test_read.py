"""A document becomes a typed workflow, every reference in it resolved."""

import json

import pytest
from inline_snapshot import snapshot

from orchestrion.core import Declaration, Json, Problem, digest
from orchestrion.spec import (
    CallTask,
    Catch,
    Continue,
    Document,
    DoTask,
    Duration,
    EmitTask,
    End,
    ErrorFilter,
    Exit,
    Expression,
    ForkTask,
    ForTask,
    Goto,
    RaiseTask,
    Retry,
    RunWorkflowTask,
    SetTask,
    SwitchTask,
    Task,
    Template,
    TryTask,
    WaitTask,
    read,
)

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"


def document(body: str) -> Document:
    reading = read(HEAD + body)
    assert [str(finding) for finding in reading.errors] == []
    assert reading.document is not None
    return reading.document


def only(body: str) -> Task:
    return document("do:\n  - it:\n" + "\n".join(f"      {line}" for line in body.splitlines())).tasks[0]


def test_every_kind_of_task_has_its_type() -> None:
    found = document("""
do:
  - greet: { set: { a: 1 } }
  - group: { do: [ inner: { set: { b: 2 } } ] }
  - each: { for: { in: .list }, do: [ step: { set: { c: '${ $item }' } } ] }
  - both: { fork: { branches: [ left: { set: { d: 1 } }, right: { wait: PT1S } ] } }
  - tell: { emit: { event: { with: { type: com.example.told } } } }
  - fail: { if: .bad, raise: { error: { type: https://example.com/bad, status: 400 } } }
  - other: { run: { workflow: { namespace: test, name: other, version: latest } } }
  - choose: { switch: [ default: { then: exit } ] }
  - careful: { try: [ risky: { call: http, with: { method: get, endpoint: 'https://example.com' } } ], catch: {} }
""")
    assert [(task.pointer, type(task)) for task in found.every_task()] == snapshot(
        [
            ("/do/0/greet", SetTask),
            ("/do/1/group", DoTask),
            ("/do/1/group/do/0/inner", SetTask),
            ("/do/2/each", ForTask),
            ("/do/2/each/do/0/step", SetTask),
            ("/do/3/both", ForkTask),
            ("/do/3/both/fork/branches/0/left", SetTask),
            ("/do/3/both/fork/branches/1/right", WaitTask),
            ("/do/4/tell", EmitTask),
            ("/do/5/fail", RaiseTask),
            ("/do/6/other", RunWorkflowTask),
            ("/do/7/choose", SwitchTask),
            ("/do/8/careful", TryTask),
            ("/do/8/careful/try/0/risky", CallTask),
        ]
    )


def test_then_leads_to_a_task_of_the_same_list() -> None:
    found = document(
        "do:\n - a: { set: { x: 1 }, then: c }\n - b: { set: { x: 1 }, then: exit }\n - c: { set: { x: 1 }, then: end }\n - d: { set: { x: 1 } }\n"
    )
    assert [task.then for task in found.tasks] == [Goto("c", 2), Exit(), End(), Continue()]


def test_expressions_may_be_bare_only_where_nothing_else_can_stand() -> None:
    task = only(
        "if: '${ .ok }'\ninput: { from: .a }\noutput: { as: { b: '${ .b }', c: .c } }\nexport: { as: '$context + .' }\nset: { d: .d, e: [ '${.e}' ] }"
    )
    assert isinstance(task, SetTask)
    assert task.condition == ".ok"
    assert task.input.from_ is not None
    assert task.input.from_.node == Expression(".a")
    assert task.output.as_ is not None
    assert task.output.as_.node == {"b": Expression(".b"), "c": ".c"}
    assert task.export.as_ is not None
    assert task.export.as_.programs == ("$context + .",)
    assert task.value.node == {"d": ".d", "e": [Expression(".e")]}
    assert task.value.fill([7]) == {"d": ".d", "e": [7]}


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("PT30S", Duration(30)),
        ("P1DT2H", Duration(93_600)),
        ("P2W", Duration(1_209_600)),
        ("PT0.5S", Duration(0.5)),
        ("{ minutes: 1, milliseconds: 250 }", Duration(60.25)),
        ("'${ .pause }'", Expression(".pause")),
    ],
)
def test_lengths_of_time(written: str, length: Duration | Expression) -> None:
    task = only(f"wait: {written}")
    assert isinstance(task, WaitTask)
    assert task.duration == length


def test_for_fork_emit_and_run_carry_their_settings() -> None:
    loop = only("for: { each: row, at: n, in: '${ .rows }' }\nwhile: $n < 3\ndo: [ x: { set: { y: 1 } } ]")
    assert isinstance(loop, ForTask)
    assert (loop.each, loop.at, loop.in_.programs, loop.while_) == ("row", "n", (".rows",), "$n < 3")
    race = only("fork: { compete: true, branches: [ x: { set: { y: 1 } } ] }")
    assert isinstance(race, ForkTask)
    assert race.compete
    told = only("emit: { event: { with: { type: t, source: https://example.com, data: { a: '${ .a }' }, mine: 1 } } }")
    assert isinstance(told, EmitTask)
    assert told.event.places == ("/data/a",)
    child = only("run: { await: false, workflow: { namespace: n, name: w, version: 1.2.3, input: { a: '${ .a }' } } }")
    assert isinstance(child, RunWorkflowTask)
    assert (child.namespace, child.workflow, child.version, child.await_) == ("n", "w", "1.2.3", False)
    assert child.arguments is not None
    assert child.arguments.programs == (".a",)


def test_what_use_defines_stands_where_it_is_used() -> None:
    found = document("""
timeout: day
use:
  secrets: [bank]
  timeouts: { day: { after: P1D } }
  errors: { broke: { type: 'https://serverlessworkflow.io/dsl/errors/types/validation', status: 400, detail: '${ .why }' } }
  retries: { often: { delay: PT1S, backoff: { exponential: {} }, limit: { attempt: { count: 3 } }, when: $problem.status == 503 } }
  authentications: { bank: { bearer: { use: bank } } }
do:
  - guard:
      timeout: day
      try:
        - pay:
            call: http
            with: { method: post, endpoint: { uri: 'https://bank.example/pay', authentication: { use: bank } }, body: '${ . }' }
        - stop: { raise: { error: broke } }
      catch:
        errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/communication', status: 503 } }
        as: problem
        retry: often
        do: [ note: { set: { why: '${ $problem }' } } ]
        then: end
""")
    guard = found.tasks[0]
    assert isinstance(guard, TryTask)
    assert (found.timeout, guard.timeout, found.secrets) == (Duration(86_400), Duration(86_400), ("bank",))
    pay, stop = guard.try_
    assert isinstance(pay, CallTask)
    assert isinstance(stop, RaiseTask)
    assert pay.function == "http:1.0.0"
    assert pay.arguments.fill([1]) == snapshot(
        {
            "method": "post",
            "endpoint": {"uri": "https://bank.example/pay", "authentication": {"bearer": {"use": "bank"}}},
            "body": 1,
        }
    )
    assert stop.error.node == snapshot(
        {
            "type": "https://open-workflow-specification.org/spec/1.0.0/errors/validation",
            "status": 400,
            "detail": Expression(program=".why"),
        }
    )
    assert guard.catch == snapshot(
        Catch(
            errors=ErrorFilter(
                type="https://open-workflow-specification.org/spec/1.0.0/errors/communication", status=503
            ),
            as_="problem",
            retry=Retry(when="$problem.status == 503", delay=Duration(seconds=1.0), backoff="exponential", attempts=3),
            do=(
                SetTask(
                    name="note",
                    pointer="/do/0/guard/catch/do/0/note",
                    value=Template(
                        node={"why": Expression(program="$problem")}, programs=("$problem",), places=("/why",)
                    ),
                ),
            ),
            then=End(),
        )
    )
    assert found.task("note") is guard.catch.do[0]


def test_a_filter_compares_types_in_their_canonical_form() -> None:
    task = only(
        "try: []\ncatch: { errors: { with: { type: 'https://open-workflow-specification.org/dsl/errors/types/timeout' } } }"
    )
    assert isinstance(task, TryTask)
    assert task.catch.errors.matches(
        Problem(type="https://serverlessworkflow.io/spec/1.0.0/errors/timeout", status=408)
    )
    assert not task.catch.errors.matches(Problem(type="https://example.com/timeout", status=408))


def test_a_function_of_the_document_is_a_task_that_calls_share() -> None:
    found = document("""
use:
  functions:
    double: { do: [ twice: { set: { n: '${ .n * 2 }' } } ] }
do:
  - first: { call: double, with: { n: 1 } }
  - second: { call: double, with: { n: '${ .n }' } }
""")
    first, second = found.tasks
    assert isinstance(first, CallTask)
    assert isinstance(second, CallTask)
    assert first.kind == "defined"
    assert isinstance(first.defined, DoTask)
    assert first.defined is second.defined
    assert [task.pointer for task in found.every_task()] == snapshot(
        ["/do/0/first", "/do/1/second", "/use/functions/double", "/use/functions/double/do/0/twice"]
    )


def test_switch_cases_have_programs_or_are_the_default() -> None:
    task = only("switch:\n  - big: { when: '${ .n > 9 }', then: end }\n  - other: { then: continue }")
    assert isinstance(task, SwitchTask)
    assert [(case.name, case.when, case.then) for case in task.cases] == [
        ("big", ".n > 9", End()),
        ("other", None, Continue()),
    ]


def test_every_expression_is_listed_with_its_place_and_scope() -> None:
    found = document("""
use:
  retries: { often: { when: $e.status == 503 } }
do:
  - loop:
      for: { each: row, in: .rows }
      do:
        - risky:
            try: [ step: { set: { a: '${ $row }' } } ]
            catch: { as: e, when: $e != null, retry: often }
""")
    common = {"context", "input", "output", "task", "workflow", "runtime"}
    assert [(e.pointer, e.program, sorted(e.variables - common)) for e in found.expressions] == snapshot(
        [
            ("/do/0/loop/for/in", ".rows", []),
            ("/do/0/loop/do/0/risky/try/0/step/set/a", "$row", ["index", "row"]),
            ("/do/0/loop/do/0/risky/catch/when", "$e != null", ["e", "index", "row"]),
            ("/use/retries/often/when", "$e.status == 503", ["e", "index", "row"]),
        ]
    )


def test_json_and_yaml_have_one_digest() -> None:
    text = HEAD + 'do:\n  - on: { set: { off: no, n: 1.5, big: 9007199254740993, text: "\\U0001F600" } }\n'
    found = read(text).document
    assert found is not None
    as_json = json.dumps(found.json, indent="\t")
    again = read(as_json, file="a.json").document
    assert again is not None
    assert again.json == found.json
    assert again.digest == found.digest == digest(found.json)
    assert found.json["do"] == [{"on": {"set": {"off": "no", "n": 1.5, "big": 9007199254740993, "text": "😀"}}}]


def test_the_head_is_read() -> None:
    found = read(
        "document: { dsl: 1.0.0, namespace: a, name: b, version: 1.2.3-rc.1, title: T, metadata: { timezone: Europe/Berlin } }\ndo: []"
    ).document
    assert found is not None
    assert (found.id, found.version, found.title, found.timezone) == ("a/b", "1.2.3-rc.1", "T", "Europe/Berlin")


def declared(name: str, **properties: Json) -> Declaration:
    return Declaration(
        name=name,
        version="1.0.0",
        title=name,
        description=name,
        input_schema={"type": "object", "required": ["n"], "additionalProperties": False, "properties": properties},
        output_schema={},
        effect="none",
        idempotent=True,
    )


COUNT = declared(
    "count",
    n={"type": "integer", "description": "how many"},
    kind={"enum": ["a", "b"]},
    list={"type": "array", "uniqueItems": True},
)
CATALOG = {"count": COUNT, "count:1.0.0": COUNT}


@pytest.mark.parametrize(
    "arguments",
    ["{ n: 1 }", "{ n: '${ .n }' }", "{ n: 1, kind: '${ .k }' }", "{ n: 1, list: [1, '${ .l }', '${ .l }'] }"],
)
def test_literal_arguments_fit_what_the_function_declares(arguments: str) -> None:
    reading = read(f"{HEAD}do:\n  - it: {{ call: count:1.0.0@default, with: {arguments} }}", functions=CATALOG)
    assert reading.findings == []
    assert reading.document is not None
    task = reading.document.tasks[0]
    assert isinstance(task, CallTask)
    assert (task.function, task.kind) == ("count:1.0.0", "function")


@pytest.mark.parametrize(
    ("call", "rendered"),
    [
        (
            "{ call: count:1.0.0@default, with: { n: one } }",
            snapshot(
                [
                    '<text>:3:46 error[bad-arguments] `count:1.0.0` does not accept /n: the value is not of type "integer". n: how many'
                ]
            ),
        ),
        (
            "{ call: count:1.0.0@default, with: { m: '${ 1 }' } }",
            snapshot(
                [
                    "<text>:3:38 error[bad-arguments] `count:1.0.0` does not accept `with`: Additional properties are not allowed ('m' was unexpected). It takes: n (needed), kind, list.",
                    '<text>:3:38 error[bad-arguments] `count:1.0.0` does not accept `with`: "n" is a required property. It takes: n (needed), kind, list.',
                ]
            ),
        ),
        (
            "{ call: count:1.0.0@default, with: { n: 1, kind: c } }",
            snapshot(
                [
                    '<text>:3:52 error[bad-arguments] `count:1.0.0` does not accept /kind: the value is not one of "a" or "b".'
                ]
            ),
        ),
        (
            "{ call: count:2.0.0@default }",
            snapshot(
                [
                    "<text>:3:17 error[unknown-function] The default catalog has no 'count:2.0.0'. There is version 1.0.0."
                ]
            ),
        ),
        (
            "{ call: cuont:1.0.0@default }",
            snapshot(
                [
                    "<text>:3:17 error[unknown-function] The function 'cuont:1.0.0@default' does not exist here. Did you mean 'count:1.0.0@default'?"
                ]
            ),
        ),
        (
            "{ call: count }",
            snapshot(
                [
                    "<text>:3:17 error[unknown-function] The function 'count' does not exist here. Did you mean 'count:1.0.0@default'?"
                ]
            ),
        ),
        (
            "{ call: count@default }",
            snapshot(["<text>:3:17 error[no-version] The call names no version. Write `count:1.0.0@default`."]),
        ),
        (
            "{ call: count:1.0.0@mine }",
            snapshot(
                [
                    "<text>:3:17 error[unknown-catalog] The catalog 'mine' does not exist here. Define it under `use.catalogs`."
                ]
            ),
        ),
        (
            "{ call: teleport }",
            snapshot(
                [
                    "<text>:3:17 error[unknown-function] The function 'teleport' does not exist here. Known here: a2a, count:1.0.0@default, http, mcp, openapi."
                ]
            ),
        ),
    ],
)
def test_a_wrong_call_is_reported(call: str, rendered: list[str]) -> None:
    reading = read(f"{HEAD}do:\n  - it: {call}", functions=CATALOG)
    assert [str(finding) for finding in reading.findings] == rendered


def test_workflows_to_run_must_exist_when_they_are_known() -> None:
    text = HEAD + "do:\n  - it: { run: { workflow: { namespace: test, name: othr, version: '1.0.0' } } }"
    assert read(text).findings == []
    assert read(text, workflows=["test/othr:1.0.0"]).findings == []
    assert [str(finding) for finding in read(text, workflows=["test/other"]).findings] == snapshot(
        ["<text>:3:53 error[unknown-workflow] The workflow 'test/othr' does not exist here. Did you mean 'test/other'?"]
    )
