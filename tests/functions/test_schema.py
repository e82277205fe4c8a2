"""Violations in words: the field, what it must be, and never the value."""

import pytest
from inline_snapshot import snapshot

from orchestrion.core import Json, UserError
from orchestrion.functions import check_schema, require_valid, sentences, violations

FORM: Json = {
    "type": "object",
    "required": ["reply", "cents"],
    "additionalProperties": False,
    "properties": {
        "reply": {"type": "string", "minLength": 1, "maxLength": 9},
        "cents": {"type": ["integer", "null"], "minimum": 1},
        "mood": {"enum": ["calm", "angry"]},
        "day": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]+$"},
        "to": {"type": "object", "properties": {"email": {"type": "string", "format": "email"}}},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 2},
        "who": {"oneOf": [{"type": "integer"}, {"type": "object", "required": ["name"]}]},
    },
}


def test_everything_wrong_is_said_at_once_without_showing_values() -> None:
    value: Json = {
        "reply": "",
        "mood": "SECRET",
        "day": "2030-02-30",
        "code": "secret",
        "to": {"email": "SECRET"},
        "tags": ["a", "a", 1],
        "who": {},
        "extra": 1,
    }

    found = violations(FORM, value)

    assert [each.sentence for each in found] == snapshot(
        [
            "cents is missing",
            "reply must not be empty",
            "mood must be one of 'calm', 'angry'",
            "day must be a date such as 2030-01-31",
            "code must match the pattern '^[A-Z]+$'",
            "to.email must be an e-mail address",
            "tags must have at most 2 entries",
            "tags must not have the same entry twice",
            "tags[2] must be text",
            "who fits none of the forms allowed here (who must be a whole number; or who.name is missing)",
            "extra is not expected here",
        ]
    )
    assert "secret" not in sentences(found).lower()


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"type": "object"}, [], "the value must be an object"),
        ({"required": ["a"]}, {}, "a is missing"),
        ({"properties": {"a/b": {"items": {"minimum": 3}}}}, {"a/b": [3, 2]}, "a/b[1] must be at least 3"),
        ({"exclusiveMaximum": 1.5}, 2, "the value must be less than 1.5"),
        ({"multipleOf": 5}, 7, "the value must be a multiple of 5"),
        ({"const": "yes"}, "no", "the value must be 'yes'"),
        ({"minItems": 1}, [], "the value must not be empty"),
        ({"contains": {"const": 1}}, [2], "the value lacks an entry of the required form"),
        ({"not": {"type": "null"}}, None, "the value has a form that is ruled out here"),
        (False, 1, "the value is not allowed"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "b is missing"),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, "the value has a field whose name does not fit: it must have at most 1 characters"),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "the value fits more than one of the forms allowed here"),
        ({"enum": list(range(20))}, 99, "the value must be one of 0, 1, 2, 3, 4, 5, 6, 7 or 12 others"),
    ],
)  # fmt: skip
def test_words(schema: Json, value: Json, sentence: str) -> None:
    assert [each.sentence for each in violations(schema, value)] == [sentence]


def test_a_value_that_fits_has_no_violations() -> None:
    assert violations(FORM, {"reply": "yes", "cents": None}) == []


@pytest.mark.parametrize(
    "schema",
    [None, [], "object", {"type": "objekt"}, {"$ref": "https://example.com/schema"}, {"$ref": "#/nowhere"}, {"pattern": "("}, {"pattern": "^(?=a)b"}],
)  # fmt: skip
def test_what_is_no_schema_is_refused(schema: Json) -> None:
    with pytest.raises(UserError) as caught:
        check_schema(schema)
    assert caught.value.code == "bad-schema"


def test_a_pattern_cannot_take_for_ever() -> None:
    assert violations({"pattern": "^(a+)+$"}, "a" * 50_000 + "b")


def test_require_valid_raises_with_the_given_code() -> None:
    with pytest.raises(UserError, match=r"^The answer does not fit its schema: reply is missing; cents is missing\.$"):
        require_valid(FORM, {}, code="answer-does-not-fit", what="The answer")
