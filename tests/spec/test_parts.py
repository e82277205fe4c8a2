"""Templates, schemas and durations, each alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.core import BugError, Json, UserError
from orchestrion.spec import Duration, Schema, Template, compile_expression, compile_template, duration_of

JSON: st.SearchStrategy[Json] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5).filter(lambda text: "${" not in text)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(JSON)
def test_a_template_without_expressions_is_its_value(value: Json) -> None:
    template = compile_template(value)
    assert template.programs == ()
    assert template.fill() == value


@given(JSON)
def test_results_land_where_their_programs_stood(result: Json) -> None:
    template = compile_template({"a/b": ["x", "${ .one }"], "c": {"d": "  ${.two}\n"}, "e": "x ${ .no }"})
    assert template.programs == (".one", ".two")
    assert template.places == ("/a~1b/1", "/c/d")
    assert template.fill([result, 2]) == {"a/b": ["x", result], "c": {"d": 2}, "e": "x ${ .no }"}


def test_a_template_takes_as_many_results_as_it_has_programs() -> None:
    with pytest.raises(BugError):
        compile_template("${ .a }").fill([])


@pytest.mark.parametrize("text", [".a | .b", "${ .a | .b }", " ${.a | .b}\n"])
def test_an_expression_may_be_bare_or_wrapped(text: str) -> None:
    template: Template = compile_expression(text)
    assert template.programs == (".a | .b",)
    assert template.fill([None]) is None


def test_a_schema_says_where_and_why_without_the_value() -> None:
    schema = Schema({"type": "object", "properties": {"a/b": {"type": "integer"}}, "required": ["c"]})
    found = schema.violations({"a/b": "hunter2"})
    assert {(v.pointer, v.keyword) for v in found} == {("", "required"), ("/a~1b", "type")}
    assert "hunter2" not in str(found)
    assert schema.accepts({"c": 1})
    assert schema.violations({"c": 1}) == []
    assert len(schema.violations({"a/b": "x"}, limit=1)) == 1


@pytest.mark.parametrize(
    "document",
    [{"type": "objekt"}, {"$ref": "https://example.com/x"}, {"$ref": "file:///etc/passwd"}, "x", {"pattern": "("}],
)
def test_a_schema_that_cannot_be_used_is_refused(document: Json) -> None:
    with pytest.raises(UserError) as refused:
        Schema(document)
    assert refused.value.code == "bad-schema"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "P",
        "PT",
        "5",
        "P1Y",
        "P1M",
        "-PT1S",
        "PT1S\n",
        "PT٣S",
        {},
        {"hours": True},
        {"hours": -1},
        {"days": 10**30},
        None,
        5,
        [1],
    ],
)
def test_what_is_no_length_of_time_is_refused(value: Json) -> None:
    with pytest.raises(UserError) as refused:
        duration_of(value)
    assert refused.value.code == "bad-duration"


@given(st.integers(0, 999), st.integers(0, 999))
def test_both_ways_to_write_a_length_agree(minutes: int, milliseconds: int) -> None:
    units = duration_of({"minutes": minutes, "milliseconds": milliseconds})
    assert units == Duration(round(minutes * 60 + milliseconds / 1000, 3))
    assert duration_of(f"PT{minutes}M{milliseconds // 1000}.{milliseconds % 1000:03}S").seconds == pytest.approx(
        units.seconds
    )
