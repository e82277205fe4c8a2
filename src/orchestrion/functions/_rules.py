"""`rules`: what a decision table says of an input, and which rows say it."""

import difflib
from collections.abc import Mapping
from typing import cast

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome, UserError
from orchestrion.tables import Table

from ._naming import naming

_DECLARATION = Declaration(
    name="rules",
    version="1.0.0",
    title="Decide by a table",
    description=(
        "Looks an input up in a decision table of the project (`tables/NAME.csv` or `.yaml`) and gives what the rows that match "
        "say, with the rows and the conditions that were met. Gaps and overlaps of a table are found by `orchestrion validate`."
    ),
    input_schema={
        "type": "object",
        "required": ["table", "input"],
        "additionalProperties": False,
        "properties": {
            "table": {"type": "string", "minLength": 1, "description": "A table of the project."},
            "input": {
                "type": "object",
                "description": "A value for each input column. What no column asks for is not looked at.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["result", "rows"],
        "properties": {
            "result": {
                "type": ["object", "array"],
                "description": "The outputs of the row that matched; of a table with `collect`, a list of those of all that did.",
            },
            "rows": {
                "type": "array",
                "description": "The rows that matched: `row` (from 1), its `name` if it has one, and the conditions that were met (`when`).",
                "items": {
                    "type": "object",
                    "required": ["row", "when"],
                    "properties": {
                        "row": {"type": "integer"},
                        "name": {"type": "string"},
                        "when": {"type": "object"},
                    },
                },
            },
        },
    },
    effect="none",
    idempotent=True,
)


class Rules:
    """A leaf that only computes."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._declaration = naming(_DECLARATION, "table", tables)

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", "rules"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-table`, `bad-table-input`, `no-matching-row`, `several-matching-rows`."""
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        table = self._table(cast("str", arguments["table"]))
        decision = table.decide(cast("Mapping[str, Json]", arguments["input"]))
        rows: list[Json] = [row.to_json() for row in decision.rows]
        why: dict[str, Json] = {"answered_by": "a decision table", "table": table.name, "hit": table.hit, "rows": rows}
        # The labels of the input do not stick to a choice among what the table's author wrote.
        output = Datum({"result": decision.result, "rows": rows})
        return Outcome(output=output, model=f"table:{table.name}@{table.version[:12]}", why=why)

    def _table(self, name: str) -> Table:
        if name in self._tables:
            return self._tables[name]
        near = difflib.get_close_matches(name, self._tables, n=1)
        listed = ", ".join(sorted(self._tables)) or "none"
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
        raise UserError("unknown-table", f"There is no decision table {name!r}.", hint=hint)
