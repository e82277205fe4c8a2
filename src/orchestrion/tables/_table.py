"""Decision tables: columns, rows, and what a table decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from orchestrion.core import Json, UserError

from ._condition import ANY, Condition, Kind, is_number

HitPolicy: TypeAlias = Literal["unique", "first", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of conditions, or of what follows from them."""

    name: str
    kind: Kind
    optional: bool = False
    """May be null."""
    domain: Condition = ANY
    """The values that may occur."""

    def accepts(self, value: Json) -> bool:
        """Whether the value is of the column's kind and may occur."""
        if value is None:
            return self.optional
        return _is_kind(value, self.kind) and self.domain.holds(value)

    def told(self) -> str:
        domain = "" if self.domain.any else f" {self.domain.text}"
        return f"{self.kind}{'?' if self.optional else ''}{domain}"


def _is_kind(value: Json, kind: Kind) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "number":
            return is_number(value)
        case "integer":
            return is_number(value) and value == int(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule: conditions by column (absent: any value), and what follows."""

    number: int
    """From 1, as they stand."""
    name: str | None
    conditions: Mapping[str, Condition]
    outputs: Mapping[str, Json]

    def holds(self, values: Mapping[str, Json]) -> bool:
        return all(condition.holds(values[name]) for name, condition in self.conditions.items())

    def to_json(self) -> dict[str, Json]:
        """Which row, and the conditions that were met."""
        met: dict[str, Json] = {name: each.text for name, each in self.conditions.items() if not each.any}
        return {"row": self.number, **({"name": self.name} if self.name else {}), "when": met}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows, and from which rows."""

    result: Json
    """The outputs of the row that matched; of `collect`, a list of them."""
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A decision table that can be used."""

    name: str
    version: str
    """Digest of what it says."""
    hit: HitPolicy
    inputs: Sequence[Column]
    outputs: Sequence[Column]
    rows: Sequence[Row]

    def decide(self, given: Mapping[str, Json]) -> Decision:
        """Raises: UserError `bad-table-input`, `no-matching-row`, `several-matching-rows`."""
        values = self._values(given)
        if self.hit == "first":
            found = [row for row in self.rows if row.holds(values)][:1]
        else:
            found = [row for row in self.rows if row.holds(values)]
        if self.hit == "collect":
            return Decision(result=[dict(row.outputs) for row in found], rows=found)
        if not found:
            raise UserError(
                "no-matching-row",
                f"No row of the table {self.name!r} matches {', '.join(values)} as given.",
                hint="Add a row for what is left, with - in every column.",
            )
        if len(found) > 1:
            numbers = ", ".join(str(row.number) for row in found)
            raise UserError(
                "several-matching-rows",
                f"Rows {numbers} of the table {self.name!r} match, and it says `unique`.",
                hint="Make the rows exclude each other, or say `first` or `collect`.",
            )
        return Decision(result=dict(found[0].outputs), rows=found)

    def _values(self, given: Mapping[str, Json]) -> dict[str, Json]:
        """The value of each input column. What no column asks for is left out."""
        wrong: list[str] = []
        for column in self.inputs:
            if column.name not in given and not column.optional:
                wrong.append(f"{column.name} is missing")
            elif not column.accepts(given.get(column.name)):
                wrong.append(f"{column.name} must be {column.told()}")
        if wrong:
            raise UserError(
                "bad-table-input",
                f"The input of the table {self.name!r} does not fit its columns: {'; '.join(wrong)}.",
                hint="A column that may be null has a ? after its type: `text?`.",
            )
        return {column.name: given.get(column.name) for column in self.inputs}
