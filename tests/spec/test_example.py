"""Made-up values fit the schema that they are made from, as far as a plain value can."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.core import Json
from orchestrion.spec import Schema, example_of

PLAIN: list[Json] = [
    {"type": "string", "minLength": 12},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 5},
    {"type": "integer", "exclusiveMinimum": 5},
    {"type": "number", "maximum": -2},
    {"type": "boolean"},
    {"type": ["string", "null"]},
    {"enum": ["a", "b"]},
    {"const": {"x": 1}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2},
    {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer", "minimum": 2}}}]},
    {"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer", "minimum": 1}}},
    {},
]


@pytest.mark.parametrize("schema", PLAIN)
def test_a_plain_schema_is_met(schema: Json) -> None:
    value = example_of(schema)
    assert Schema(schema).accepts(value), value


@given(
    st.recursive(
        st.sampled_from(PLAIN[:11]),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3).map(
            lambda fields: cast("Json", {"type": "object", "properties": fields, "required": sorted(fields)})
        ),
        max_leaves=8,
    )
)
def test_objects_of_them_are_met_as_well(schema: Json) -> None:
    assert Schema(schema).accepts(example_of(schema))


def test_what_the_schema_suggests_is_taken() -> None:
    schema: Json = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer", "examples": [7]}, "b": {"default": "x"}, "c": {"type": "string"}},
    }
    assert example_of(schema) == {"a": 7, "b": "x"}


def test_a_schema_that_leads_to_itself_ends() -> None:
    value = example_of({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}})
    assert isinstance(value, dict)


def test_text_says_that_it_is_made_up() -> None:
    assert example_of({"type": "string"}) == "simulated"
