"""A CSV file as the same document that a YAML file holds, with the place of every cell."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrion.core import Json

_CORNER = re.compile(r'"?(unique|first|collect)"?([,;\t])')
_TYPED = re.compile(r"(when|then)\s+([A-Za-z_]\w*)\s*:\s*(.+)", re.DOTALL)


class BadSheet(Exception):
    """A file that is no decision table: where, what, and a hint."""

    def __init__(self, line: int, column: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a CSV file says, and where."""

    document: Mapping[str, Json]
    places: Mapping[str, tuple[int, int]]
    """JSON pointer → line and column."""


def read_sheet(text: str) -> Sheet:
    """Raises: BadSheet."""
    corner = _CORNER.match(text)
    if corner is None:
        raise BadSheet(
            1, 1, "The first cell does not say how many rows may match.", "Write unique, first or collect in it."
        )
    records = list(_records(text, corner[2]))
    line, header = records[0]
    inputs: dict[str, Json] = {}
    outputs: dict[str, Json] = {}
    places: dict[str, tuple[int, int]] = {"": (1, 1), "/hit": (1, 1)}
    columns: list[tuple[str, str]] = []
    for place, cell in header[1:]:
        found = _TYPED.fullmatch(cell.strip())
        if found is None:
            hint = "Write `when NAME: TYPE` or `then NAME: TYPE`, such as `when score: number [0..1]`."
            raise BadSheet(*place, f"{cell!r} names no column.", hint)
        group, kind = (inputs, "inputs") if found[1] == "when" else (outputs, "outputs")
        if found[2] in inputs or found[2] in outputs:
            raise BadSheet(*place, f"There is a column {found[2]!r} already.")
        group[found[2]] = found[3]
        places[f"/{kind}/{found[2]}"] = place
        columns.append((found[1], found[2]))
    rules: list[Json] = []
    for line, record in records[1:]:
        if len(record) != len(header):
            message = f"This row has {len(record)} cells; the first has {len(header)}."
            raise BadSheet(line, 1, message, f"Put a cell in quotes when it holds {corner[2]!r}.")
        at = f"/rules/{len(rules)}"
        places[at] = places[f"{at}/name"] = record[0][0]
        sides: dict[str, dict[str, Json]] = {"when": {}, "then": {}}
        for (side, name), (place, cell) in zip(columns, record[1:], strict=True):
            sides[side][name] = cell
            places[f"{at}/{side}/{name}"] = place
        name = record[0][1].strip()
        rules.append({**({"name": name} if name else {}), **sides})
    return Sheet(document={"hit": corner[1], "inputs": inputs, "outputs": outputs, "rules": rules}, places=places)


_Cells = Sequence[tuple[tuple[int, int], str]]


def _records(text: str, delimiter: str) -> Iterator[tuple[int, _Cells]]:
    """Each record that is not empty: its line, and its cells with their places."""
    lines = text.splitlines(keepends=True)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise BadSheet(rows.line_num, 1, f"This is not CSV: {error}.") from None
        if row is None:
            return
        first, before = before + 1, rows.line_num
        if any(cell.strip() for cell in row):
            starts = _starts("".join(lines[first - 1 : before]), first, delimiter)
            yield first, list(zip(starts, row, strict=False))


def _starts(record: str, line: int, delimiter: str) -> list[tuple[int, int]]:
    """Where each cell of a record begins."""
    found, column, quoted = [(line, 1)], 1, False
    for character in record:
        column += 1
        if character == '"':
            quoted = not quoted
        elif character == "\n":
            line, column = line + 1, 1
        elif character == delimiter and not quoted:
            found.append((line, column))
    return found
