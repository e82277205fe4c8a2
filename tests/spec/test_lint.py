"""What is valid and hardly meant is warned about, and nothing else is."""

import pytest
from inline_snapshot import snapshot

from orchestrion.spec import read

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"


def warned(body: str) -> list[str]:
    reading = read(HEAD + body)
    assert reading.document is not None, [str(f) for f in reading.errors]
    return [f"{f.path} {f.code}" for f in reading.findings]


@pytest.mark.parametrize(
    "text", [".name", ".a.b[0].c", "$context.key", "$error", ".a | length", "{ a: .b }", ".[0]", ".a == 1"]
)
def test_text_that_looks_like_an_expression(text: str) -> None:
    assert warned(f"do: [ a: {{ set: {{ x: '{text}' }} }} ]") == ["/do/0/a/set/x bare-expression"]


@pytest.mark.parametrize(
    "text", ["${ .name }", "Dear customer.", ".NET is a framework", "$5", "{petId}", "...", "{ROOM}: {NAME}", "a.b"]
)
def test_text_that_is_text(text: str) -> None:
    assert warned(f"do: [ a: {{ set: {{ x: '{text}' }} }} ]") == []


def test_an_expression_inside_a_longer_text() -> None:
    assert warned("do: [ a: { set: { x: 'Dear ${ .name }!' } } ]") == ["/do/0/a/set/x partial-expression"]


def test_an_export_that_drops_what_was_exported_before() -> None:
    body = """
do:
  - first: { set: { x: 1 }, export: { as: { a: '${ . }' } } }
  - second: { set: { x: 1 }, export: { as: '{ b: . }' } }
  - third: { set: { x: 1 }, export: { as: '$context + { c: . }' } }
  - side: { fork: { branches: [ l: { set: { x: 1 }, export: { as: '$context + .' } }, r: { set: { x: 1 } } ] } }
"""
    assert warned(body) == ["/do/1/second/export export-drops-context"]
    branches = "do: [ f: { fork: { branches: [ l: { set: { x: 1 }, export: { as: . } } ] } }, a: { set: { x: 1 }, export: { as: . } } ]"
    assert warned(branches) == []


def test_tasks_that_nothing_leads_to() -> None:
    body = """
do:
  - a: { set: { x: 1 }, then: c }
  - b: { set: { x: 1 } }
  - c: { switch: [ one: { when: .x, then: e }, other: { then: end } ] }
  - d: { raise: { error: { type: 'https://example.com/e', status: 400 } } }
  - e: { try: [], catch: { then: g }, then: end }
  - f: { wait: PT1S }
  - g: { do: [ h: { raise: { error: { type: 'https://example.com/e', status: 400 } } }, i: { wait: PT1S } ] }
"""
    assert warned(body) == snapshot(
        [
            "/do/1/b unreachable-task",
            "/do/3/d unreachable-task",
            "/do/5/f unreachable-task",
            "/do/6/g/do/1/i unreachable-task",
        ]
    )
    assert warned("do: [ a: { if: .x, set: { x: 1 }, then: end }, b: { wait: PT1S } ]") == []


def test_a_switch_without_a_default() -> None:
    case = "{ switch: [ x: { when: .x, then: end } ] }"
    assert warned(f"do: [ a: {case} ]") == ["/do/0/a/switch switch-without-default"]
    assert warned("do: [ a: { switch: [ x: { when: .x, then: end } ], then: end } ]") == []
    assert warned("do: [ a: { switch: [ x: { when: .x, then: end }, y: { then: end } ] } ]") == []


def test_waiting_for_a_person_without_end() -> None:
    call = "call: human:1.0.0@default, with: { role: lead, title: Look }"
    assert warned(f"do: [ a: {{ {call} }} ]") == ["/do/0/a wait-without-timeout"]
    assert warned(f"do: [ a: {{ {call}, timeout: {{ after: PT8H }} }} ]") == []
    assert warned(f"do: [ a: {{ do: [ b: {{ {call} }} ], timeout: {{ after: PT8H }} }} ]") == []
    assert warned(f"timeout: {{ after: P3D }}\ndo: [ a: {{ {call} }} ]") == []


@pytest.mark.parametrize(
    "data",
    [
        "{ password: hunter2 }",
        "{ nested: [ { api_key: abc } ] }",
        "{ x: sk-proj-abcdefghijklmnopqrstuvwx }",
        "{ Authorization: 'Bearer abcdefghijklmnop' }",
        "{ x: AKIAABCDEFGHIJKLMNOP }",
    ],
)
def test_secrets_in_clear_are_found_and_not_repeated(data: str) -> None:
    reading = read(f"{HEAD}do: [ a: {{ set: {data} }} ]")
    assert [f.code for f in reading.findings] == ["secret-in-clear"]
    assert "hunter2" not in str(reading.findings[0])


@pytest.mark.parametrize(
    "data", ["{ password: '${ .password }' }", "{ maxTokens: 5 }", "{ token: /oauth/token }", "{ secret: '' }"]
)
def test_what_only_speaks_of_secrets(data: str) -> None:
    assert warned(f"do: [ a: {{ set: {data} }} ]") == []


def test_secrets_in_policies() -> None:
    body = "use: { authentications: { a: { bearer: { token: abc } } } }\ndo: []"
    assert warned(body) == ["/use/authentications/a/bearer/token secret-in-clear"]
