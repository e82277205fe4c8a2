"""`transform`: mapping, normalising, validating; setting aside with reasons; labels move with their fields."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import Datum, Invocation, Json, LeafContext, UserError
from orchestrion.functions import Transform, violations

pytestmark = pytest.mark.anyio


class NoSecrets:
    def get(self, name: str) -> Json:
        raise UserError("unknown-secret", name)


CONTEXT = LeafContext(run_id="r", idempotency_key="key", secrets=NoSecrets())
PERSON: Json = {
    "type": "object",
    "required": ["name", "cents"],
    "properties": {"name": {"type": "string", "minLength": 2}, "cents": {"type": "integer", "minimum": 0}},
}


async def transform(labels: dict[str, frozenset[str]] | None = None, **arguments: Json) -> Datum:
    found = violations(Transform().declaration.input_schema, arguments)
    assert not found, found
    asked = Datum(arguments, labels or {})
    outcome = await Transform().perform(
        Invocation(key="/do/0/t~1", task="/do/0/t", function="transform:1.0.0", arguments=asked), CONTEXT
    )
    assert not violations(Transform().declaration.output_schema, outcome.output.value)
    return outcome.output


async def test_good_records_go_on_and_bad_ones_are_set_aside_with_reasons() -> None:
    output = await transform(
        records=[
            {"Name": "  Ana   Li ", "Betrag": "1.234,56 €", "junk": 1},
            {"Name": "B", "Betrag": "twelve"},
            {"Betrag": "-5"},
            "not a record",
        ],
        schema=PERSON,
        mapping={"name": "Name", "cents": "Betrag"},
        normalise={"name": "collapse", "cents": ["cents"]},
        onInvalid="quarantine",
    )

    assert output.value == snapshot(
        {
            "records": [{"name": "Ana Li", "cents": 123456}],
            "quarantined": [
                {
                    "index": 1,
                    "record": {"Name": "B", "Betrag": "twelve"},
                    "reasons": [
                        "cents must be an amount such as 1.234,56 or 1,234.56",
                        "name must have at least 2 characters",
                    ],
                },
                {"index": 2, "record": {"Betrag": "-5"}, "reasons": ["name is missing", "cents must be at least 0"]},
                {"index": 3, "record": "not a record", "reasons": ["the record must be an object"]},
            ],
        }
    )


async def test_rejecting_names_records_fields_and_rules_but_no_values() -> None:
    with pytest.raises(UserError) as caught:
        await transform(records=[{"name": "SECRET"}, {"name": "Ana", "cents": 1}], schema=PERSON)

    assert caught.value.code == "invalid-record"
    assert caught.value.message == "1 of 2 records do not fit. record 0: cents is missing."


async def test_a_single_record() -> None:
    output = await transform(record={"name": "Ana", "cents": 1}, schema=PERSON)

    assert output.value == {"records": [{"name": "Ana", "cents": 1}], "quarantined": []}


async def test_fields_are_found_by_pointer() -> None:
    mapping: Json = {"name": "/person/names/0", "cents": "/a~1b"}
    output = await transform(record={"person": {"names": ["Ana"]}, "a/b": 5}, schema=PERSON, mapping=mapping)

    assert cast("dict[str, Any]", output.value)["records"] == [{"name": "Ana", "cents": 5}]


async def test_a_schema_that_is_none_is_said_so() -> None:
    with pytest.raises(UserError) as caught:
        await transform(records=[], schema={"type": "objekt"})
    assert caught.value.code == "bad-schema"


async def test_labels_move_with_their_records_and_fields() -> None:
    output = await transform(
        labels={"/records/1/Name": frozenset({"pii"}), "/records/0": frozenset({"untrusted"})},
        records=[{"Name": "X"}, {"Name": "Ana", "n": 1}],
        schema=PERSON,
        mapping={"name": "Name", "cents": "n"},
        onInvalid="quarantine",
    )

    assert output.labels == {
        "/records/0/name": frozenset({"pii"}),
        "/quarantined/0/record": frozenset({"untrusted"}),
    }


async def test_labels_stay_where_they_are_without_a_mapping() -> None:
    labels = {"/records/0/name": frozenset({"pii"}), "/schema": frozenset({"x"})}
    output = await transform(labels=labels, records=[{"name": "Ana", "cents": 1}], schema=PERSON)

    assert output.labels == {"/records/0/name": frozenset({"pii"})}


@pytest.mark.parametrize(
    "arguments",
    [
        {"schema": {}},
        {"schema": {}, "records": [], "record": {}},
        {"schema": {}, "record": {}, "normalise": {"a": "shout"}},
        {"schema": {}, "record": {}, "normalise": {"a": "phone+0"}},
        {"schema": {}, "record": {}, "onInvalid": "ignore"},
    ],
)
def test_wrong_arguments_break_the_input_schema(arguments: Json) -> None:
    assert violations(Transform().declaration.input_schema, arguments)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["name", "cents", "x"]), SCALARS) | SCALARS, max_size=6)


@given(RECORDS)
async def test_every_record_comes_out_exactly_once_and_what_goes_on_fits(records: list[Json]) -> None:
    output = await transform(
        records=records, schema=PERSON, normalise={"name": ["trim", "nfc"], "cents": "cents"}, onInvalid="quarantine"
    )
    value = cast("dict[str, Any]", output.value)

    aside = [each["index"] for each in value["quarantined"]]
    assert len(value["records"]) + len(aside) == len(records)
    assert sorted(set(aside)) == aside
    assert all(each["record"] == records[each["index"]] and each["reasons"] for each in value["quarantined"])
    assert not any(violations(PERSON, record) for record in value["records"])
