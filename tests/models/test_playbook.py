"""Playbooks: which rule holds, what templates give, and that data is never evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestrion.models
from orchestrion.core import Json, UserError
from orchestrion.models import (
    CallTool,
    Conversation,
    Playbook,
    Say,
    ToolCall,
    lookup,
    next_step,
    parse_playbook,
    playbook_schema,
    read_playbook,
    render,
)
from orchestrion.spec import parse_yaml, to_json

REST: dict[str, Json] = {"name": "rest", "answer": "no"}


def playbook(*rules: Mapping[str, Json], **more: Json) -> Playbook:
    parsed = parse_playbook({**more, "rules": [*rules, REST]}, name="test")
    assert isinstance(parsed, Playbook), parsed
    return parsed


def says(message: str, when: Mapping[str, Json], calls: Sequence[ToolCall] = (), **more: Json) -> bool:
    rules = playbook({"name": "yes", "when": when, "answer": "yes"}, **more)
    step = next_step(rules, Conversation(input={"message": message, "plan": "Basic", "age": 40}, calls=calls))
    return isinstance(step, Say) and step.answer == "yes"


def told(message: str, answer: str, **more: Json) -> Json:
    step = next_step(playbook({"name": "a", "answer": answer}, **more), Conversation(input={"message": message}))
    return step.answer if isinstance(step, Say) else None


def call(tool: str, status: Any = "done", result: Json = None, rule: str | None = None) -> ToolCall:
    return ToolCall(tool=tool, arguments={}, status=status, result=result, rule=rule)


def documented() -> str:
    text = orchestrion.models.__doc__ or ""
    return text.split("```yaml\n")[1].split("```")[0]


def test_the_documented_example_is_right_and_fits_the_editor_schema() -> None:
    _, found = read_playbook(documented(), file="p.yaml", name="p")
    assert [str(one) for one in found] == []
    source, _ = parse_yaml(documented(), file="p.yaml")
    assert source is not None
    validator = jsonschema_rs.validator_for(cast("dict[str, object]", playbook_schema()))
    assert [error.message for error in validator.iter_errors(to_json(source.root))] == []


@pytest.mark.parametrize(
    ("message", "when", "holds"),
    [
        ("I was CHARGED  twice!", {"says": "charged twice"}, True),
        ("I was discharged twice", {"says": "charged twice"}, False),
        ("two refunds please", {"says": ["refund*"]}, True),
        ("two refunds please", {"says": ["refund"]}, False),
        ("Die Rückzahlung", {"says": "ruckzahlung"}, True),
        ("a top-up", {"says": "top up"}, True),
        ("card and pin", {"says_all": ["card", "pin"]}, True),
        ("card", {"says_all": ["card", "pin"]}, False),
        ("order 7781 late", {"matches": r"\b\d{4}\b"}, True),
        ("hi", {"compare": {"input.plan": {"is": "basic"}}}, True),
        ("hi", {"compare": {"input.plan": {"is_not": "basic"}}}, False),
        ("hi", {"compare": {"input.age": {"above": 39, "at_most": 40}}}, True),
        ("hi", {"compare": {"input.age": {"below": 40}}}, False),
        ("hi", {"compare": {"input.plan": {"above": 1}}}, False),
        ("hi", {"compare": {"input.plan": {"one_of": ["plus", "basic"]}}}, True),
        ("hi", {"compare": {"input.message": {"contains": "H"}}}, True),
        ("hi", {"has": "input.plan"}, True),
        ("hi", {"has": ["input.plan", "input.nothing"]}, False),
        ("hi", {"not": {"says": "hi"}}, False),
        ("hi", {"any": [{"says": "ho"}, {"says": "hi"}]}, True),
        ("hi", {"any": [{"says": "ho"}]}, False),
        ("hi", {"says": "hi", "has": "input.nothing"}, False),
    ],
)
def test_conditions(message: str, when: Mapping[str, Json], holds: bool) -> None:
    assert says(message, when) is holds


@pytest.mark.parametrize(
    ("when", "status", "holds"),
    [
        ({"done": "pay"}, "done", True),
        ({"done": "pay"}, "refused", False),
        ({"refused": "pay"}, "refused", True),
        ({"failed": "pay"}, "failed", True),
        ({"called": "pay"}, "failed", True),
        ({"called": "other"}, "done", False),
    ],
)
def test_conditions_on_tools(when: Mapping[str, Json], status: str, holds: bool) -> None:
    assert says("hi", when, [call("pay", status)]) is holds


def test_the_last_call_of_a_tool_counts() -> None:
    calls = [call("pay", "refused"), call("pay", "done")]
    assert says("hi", {"done": "pay"}, calls)
    assert not says("hi", {"refused": "pay"}, calls)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("pay 12.50 now", 1250),
        ("pay 12,50 now", 1250),
        ("€12", 1200),
        ("it was 1,250.00 EUR", 125000),
        ("1.250,5 euros", 125050),
        ("USD 900", 90000),
        ("twelve", None),
        ("on 1.3.2026", None),
        ("invoice 12345", None),
    ],
)
def test_amounts(text: str, cents: int | None) -> None:
    rules = playbook({"name": "a", "answer": {"cents": "{entities.amount}"}}, entities={"amount": "money"})
    step = next_step(rules, Conversation(input={"message": text}))
    assert isinstance(step, Say)
    assert step.answer == {"cents": cents}


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on 2026-03-01", "2026-03-01"),
        ("on 1.3.2026", "2026-03-01"),
        ("on 1 March 2026", "2026-03-01"),
        ("on March 1st, 2026", "2026-03-01"),
        ("on 31.2.2026", ""),
    ],
)
def test_dates(text: str, day: str) -> None:
    assert told(text, "{entities.day}", entities={"day": "date"}) == day


def test_entities_by_pattern_give_their_group() -> None:
    assert told("about inv-77", "{entities.id}", entities={"id": {"pattern": r"\binv-(\d+)"}}) == "77"
    assert told("a@b.example wrote 7", "{entities.who} {entities.n}", entities={"who": "email", "n": "number"}) == (
        "a@b.example 7"
    )


ROWS: list[Json] = [
    {"id": 1, "shop": "A", "cents": 100},
    {"id": 2, "shop": "B", "cents": 200},
    {"id": 3, "shop": "A", "cents": 100},
]


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        ({"same": ["shop", "cents"]}, ROWS[2]),
        ({"same": "id"}, ""),
        ({"where": {"shop": "a"}}, ROWS[0]),
        ({"where": {"shop": "A"}, "take": "last"}, ROWS[2]),
        ({"where": {"id": "{input.id}"}}, ROWS[1]),
        ({"take": "count"}, 3),
        ({"take": {"sum": "cents"}}, 400),
        ({"where": {"shop": "B"}, "take": "all"}, [ROWS[1]]),
    ],
)
def test_facts(fact: Mapping[str, Json], expected: Json) -> None:
    rules = playbook({"name": "a", "answer": {"it": "{facts.f}"}}, facts={"f": {"from": "tools.find.rows", **fact}})
    step = next_step(rules, Conversation(input={"id": 2}, calls=[call("find", result={"rows": ROWS})]))
    assert isinstance(step, Say)
    assert isinstance(step.answer, Mapping)
    assert step.answer["it"] == (None if expected == "" else expected)


def test_a_rule_calls_once_and_the_next_goes_on() -> None:
    rules = playbook(
        {"name": "one", "call": "find", "arguments": {"a": "{input.a}", "b": "{input.b}"}},
        {"name": "two", "call": "find", "arguments": {"a": 2}},
    )
    first = next_step(rules, Conversation(input={"a": 1}))
    assert isinstance(first, CallTool)
    assert first.arguments == {"a": 1}
    second = next_step(rules, Conversation(input={"a": 1}, calls=[call("find", rule="one")]))
    assert second.rule.name == "two"
    third = next_step(rules, Conversation(input={"a": 1}, calls=[call("find", rule="one"), call("find", rule="two")]))
    assert third.rule.name == "rest"


def test_what_another_model_has_called_is_not_called_again() -> None:
    rules = playbook({"name": "one", "call": "find", "arguments": {"a": 2}})
    before = ToolCall(tool="find", arguments={"a": 2}, status="done")
    assert next_step(rules, Conversation(input={}, calls=[before])).rule.name == "rest"


def test_a_playbook_without_a_last_rule_says_that_none_fits() -> None:
    rules = parse_playbook({"rules": [{"name": "a", "when": {"says": "x"}, "answer": "x"}]}, name="p")
    assert isinstance(rules, Playbook)
    with pytest.raises(UserError) as caught:
        next_step(rules, Conversation(input={"message": "y"}))
    assert caught.value.code == "no-rule-fits"


SCOPE: Json = {"a": {"b": [10, {"c": "x"}]}, "cents": -1250, "day": "2026-03-01", "none": None, "yes": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a.b.0}", 10),
        ("{a.b.1.c}!", "x!"),
        ("{a.b.7}", None),
        ("[{a.b.7}]", "[]"),
        ("{cents|money}", "-12.50"),
        ("{day|date}", "1 March 2026"),
        ("{a.b|count}", 2),
        ("{none|default:nobody}", "nobody"),
        ("{{literal}} {yes}", "{literal} true"),
        ("{a.b.1}", {"c": "x"}),
        ("is {a.b.1}", 'is {"c":"x"}'),
        ("{a.__class__}", None),
        ("{day.upper}", None),
    ],
)
def test_templates(text: str, expected: Json) -> None:
    assert render(text, SCOPE) == expected


@pytest.mark.parametrize("text", ["{", "}", "{a b}", "{a!r}", "{a[0]}", "{}", "{0}", "{a|shout}", "{{a}"])
def test_bad_templates_are_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        render(text, SCOPE)
    assert caught.value.code == "bad-template"


@given(st.text())
def test_what_data_contains_is_never_read_as_a_template(text: str) -> None:
    assert render("<{a}>", {"a": text}) == f"<{text}>"
    assert lookup({"a": text}, "a") == text


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            "- { name: a, answer: x, call: y }\n  - { name: z, answer: x }",
            "3:5 Rule 'a' needs one of `call`, `engage`, `plan`, `answer`, `ask`.",
        ),
        ("- { name: a, when: { says: x }, answer: x }", "3:5 The last rule does not always answer"),
        ("- { name: a, answer: x }\n  - { name: b, answer: y }", "3:5 Rule 'a' always answers"),
        ("- { name: a, when: { matches: '(' }, answer: x }\n  - { name: b, answer: y }", "3:33 '(' is not a regular"),
        ("- { name: a, answer: '{entities.x}' }", "3:24 There is no 'x' in `entities`."),
        ("- { name: a, when: { sayz: x }, answer: x }", "3:24 'sayz' is not known here."),
        ("- { answer: x }", "3:5 'name' is missing."),
        ("- { name: a, answer: x }\n  - { name: a, answer: y }", "4:13 There is a rule 'a' already."),
    ],
)
def test_flaws_are_found_at_their_place(rules: str, message: str) -> None:
    _, found = read_playbook(f"description: d\nrules:\n  {rules}\n", file="p.yaml", name="p")
    lines = [f"{one.line}:{one.column} {one.message}" for one in found]
    assert any(line.startswith(message) for line in lines), lines
