"""`rules`: what a table says, and which rows say it."""

from typing import Any, cast

import pytest

from orchestrion.core import Datum, Invocation, Json, LeafContext, Outcome, UserError
from orchestrion.functions import Rules, violations
from orchestrion.tables import read_table
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio

SHEET = "first,when score: number [0..1],then action: text\nsure,>= 0.9,block\n,-,dismiss\n"


@pytest.fixture
def rules() -> Rules:
    table, findings = read_table(SHEET, file="tables/act.csv", name="act")
    assert table is not None
    assert findings == []
    return Rules({"act": table})


async def decided(rules: Rules, **arguments: Json) -> Outcome:
    invocation = Invocation(
        key="/do/0/r#1~1",
        task="/do/0/r",
        function="rules:1.0.0",
        arguments=Datum({"table": "act", **arguments}, {"/input": frozenset({"untrusted"})}),
    )
    outcome = await rules.perform(invocation, LeafContext(run_id="r", idempotency_key="", secrets=NoSecrets()))
    assert violations(dict(rules.declaration.output_schema), outcome.output.value) == []
    return outcome


async def test_it_gives_what_the_row_says_and_why(rules: Rules) -> None:
    outcome = await decided(rules, input={"score": 0.95})

    rows = [{"row": 1, "name": "sure", "when": {"score": ">= 0.9"}}]
    assert outcome.output == Datum({"result": {"action": "block"}, "rows": rows})
    assert cast("Any", outcome.why)["rows"] == rows
    assert (outcome.model or "").startswith("table:act@")


async def test_its_arguments_name_the_tables_there_are(rules: Rules) -> None:
    (found,) = violations(dict(rules.declaration.input_schema), {"table": "acts", "input": {}})

    assert found.sentence == "table must be one of 'act'"


async def test_what_does_not_fit_is_named(rules: Rules) -> None:
    with pytest.raises(UserError, match="score is missing"):
        await decided(rules, input={})
    with pytest.raises(UserError, match="no decision table 'x'"):
        await decided(rules, table="x", input={})


async def test_it_computes_and_touches_nothing(rules: Rules) -> None:
    assert rules.nature({}).effect == "none"
    assert rules.nature({}).idempotent
