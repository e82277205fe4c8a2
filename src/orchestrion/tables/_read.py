"""Files of decision tables: text in, a table and findings out."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrion.core import Json, digest
from orchestrion.spec import Finding, editor_schema, finding_at, parse_yaml, pointer_step, to_json

from ._analysis import Analysis, TooLarge
from ._condition import ANY, BadCondition, Condition, Kind, read_condition, read_value
from ._csv import BadSheet, read_sheet
from ._table import Column, HitPolicy, Row, Table

MOST_ROWS = 1_000
_MOST_FINDINGS = 5
_TYPE = re.compile(r"(number|integer|text|boolean)(\?)?(?:\s+(.+))?", re.DOTALL)

Place = Callable[[str, str, str | None], Finding]
"""Pointer, message, hint → a finding at its place."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, description="What the rule is called in the record of a run.")
    when: dict[str, JsonValue] = Field(
        default_factory=dict, description="Input column → condition. A column that is left out takes any value."
    )
    then: dict[str, JsonValue] = Field(description="Output column → value.")


class TableFile(BaseModel):
    """A decision table."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="A decision table")

    hit: HitPolicy = Field(
        default="unique",
        description="How many rows may match: exactly one, the first of several, or all of them collected.",
    )
    inputs: dict[_Name, str] = Field(
        min_length=1, description="Input column → type and what may occur: `number [0..1]`, `text? low, high`."
    )
    outputs: dict[_Name, str] = Field(min_length=1, description="Output column → type and what may occur.")
    rules: list[_Rule] = Field(min_length=1, max_length=MOST_ROWS, description="The rows, in order.")


def table_schema() -> dict[str, Json]:
    """JSON Schema of a decision table in YAML, for editors."""
    return editor_schema(TableFile)


def read_table(text: str | bytes, *, file: str, name: str) -> tuple[Table | None, list[Finding]]:
    """The table of a `.csv` or `.yaml` file, and everything wrong with it. There is none when a finding is an error."""
    if file.endswith(".csv"):
        return _read_csv(text, file=file, name=name)
    source, findings = parse_yaml(text, file=file)
    if source is None or findings:
        return None, findings

    def place(pointer: str, message: str, hint: str | None) -> Finding:
        return finding_at(source, pointer, "bad-table", message, hint=hint)

    return _compile(to_json(source.root), name, place)


def _read_csv(text: str | bytes, *, file: str, name: str) -> tuple[Table | None, list[Finding]]:
    def at(line: int, column: int, message: str, hint: str | None, path: str = "") -> Finding:
        return Finding(
            file=file,
            line=line,
            column=column,
            severity="error",
            code="bad-table",
            message=message,
            hint=hint,
            path=path,
        )

    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        sheet = read_sheet(decoded)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return None, [at(line, 1, "The text is not UTF-8.", "Save the file as UTF-8.")]
    except BadSheet as error:
        return None, [at(error.line, error.column, error.message, error.hint)]

    def place(pointer: str, message: str, hint: str | None) -> Finding:
        near = pointer
        while near not in sheet.places:
            near = near.rpartition("/")[0]
        return at(*sheet.places[near], message, hint, pointer)

    return _compile(sheet.document, name, place)


def _compile(document: Json, name: str, place: Place) -> tuple[Table | None, list[Finding]]:
    try:
        file = TableFile.model_validate(document)
    except ValidationError as error:
        return None, [_of_form(one["loc"], one["type"], one["msg"], place) for one in error.errors(include_url=False)]
    compiler = _Compiler(file, place)
    table = compiler.table(name, digest(document))
    if not compiler.findings:
        compiler.findings += list(_judge(table, place))
    broken = any(finding.severity == "error" for finding in compiler.findings)
    return (None if broken else table), compiler.findings


def _of_form(location: Sequence[int | str], kind: str, message: str, place: Place) -> Finding:
    steps = [str(step) for step in location if step != "[key]"]
    pointer = "".join(pointer_step(step) for step in steps)
    if kind == "missing":
        return place(pointer.rpartition("/")[0], f"`{steps[-1]}` is missing.", f"Add `{steps[-1]}:`.")
    if kind == "extra_forbidden":
        known = TableFile.model_fields if len(steps) == 1 else _Rule.model_fields
        return place(pointer, f"{steps[-1]!r} is not known here.", f"Known here: {', '.join(known)}.")
    if location and location[-1] == "[key]":
        return place(pointer, f"{steps[-1]!r} is no name of a column.", "Use letters, digits and _, a letter first.")
    if not location:
        return place("", "A decision table is an object with `inputs`, `outputs` and `rules`.", None)
    return place(pointer, f"{message}.", None)


@dataclass
class _Compiler:
    file: TableFile
    place: Place

    def __post_init__(self) -> None:
        self.findings: list[Finding] = []

    def table(self, name: str, version: str) -> Table:
        inputs = self._columns(self.file.inputs, "/inputs")
        outputs = self._columns(self.file.outputs, "/outputs")
        rows = [self._row(index, rule, inputs, outputs) for index, rule in enumerate(self.file.rules)]
        return Table(
            name=name,
            version=version,
            hit=self.file.hit,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            rows=rows,
        )

    def _columns(self, written: Mapping[str, str], at: str) -> dict[str, Column]:
        columns: dict[str, Column] = {}
        for name, text in written.items():
            found = _TYPE.fullmatch(text.strip())
            if found is None:
                hint = "Write number, integer, text or boolean; a ? for what may be null; then what may occur: `number [0..1]`."
                self._wrong(f"{at}/{name}", f"{text!r} is no type of a column.", hint)
                continue
            kind = cast("Kind", found[1])
            domain = self._condition(found[3], kind, f"{at}/{name}") if found[3] else ANY
            columns[name] = Column(name=name, kind=kind, optional=bool(found[2]), domain=domain)
        return columns

    def _row(self, index: int, rule: _Rule, inputs: Mapping[str, Column], outputs: Mapping[str, Column]) -> Row:
        at = f"/rules/{index}"
        for side, given, known in (("when", rule.when, self.file.inputs), ("then", rule.then, self.file.outputs)):
            for name in given:
                if name not in known:
                    hint = f"There are: {', '.join(known)}."
                    self._wrong(f"{at}/{side}{pointer_step(name)}", f"There is no column {name!r}.", hint)
        conditions = {
            name: self._condition(cast("Json", rule.when[name]), column.kind, f"{at}/when/{name}")
            for name, column in inputs.items()
            if name in rule.when
        }
        values = {name: self._output(rule, column, f"{at}/then") for name, column in outputs.items()}
        return Row(number=index + 1, name=rule.name, conditions=conditions, outputs=values)

    def _condition(self, written: Json, kind: Kind, at: str) -> Condition:
        try:
            return read_condition(written, kind)
        except BadCondition as error:
            self._wrong(at, error.message, error.hint)
            return ANY

    def _output(self, rule: _Rule, column: Column, at: str) -> Json:
        written = cast("Json", rule.then.get(column.name))
        if written is None or written == "":
            if not column.optional:
                message = f"The output {column.name!r} is missing."
                hint = f"A value that may be left out has the type `{column.kind}?`."
                self._wrong(f"{at}/{column.name}" if column.name in rule.then else at, message, hint)
            return None
        try:
            value = read_value(written, column.kind)
        except BadCondition as error:
            self._wrong(f"{at}/{column.name}", error.message, error.hint)
            return None
        if not column.accepts(value):
            self._wrong(f"{at}/{column.name}", f"{value!r} is not among {column.domain.text}.", None)
        return value

    def _wrong(self, pointer: str, message: str, hint: str | None) -> None:
        self.findings.append(self.place(pointer, message, hint))


def _judge(table: Table, place: Place) -> Iterator[Finding]:
    """What the rows say together: what none matches, what two match, what never can."""
    analysis = Analysis(table.inputs, table.rows)

    def row_at(row: Row) -> str:
        return f"/rules/{row.number - 1}"

    impossible = list(analysis.impossible())
    for row, column in impossible:
        message = (
            f"Nothing that may occur fulfils {row.conditions[column.name].text!r}: {column.name} is {column.told()}."
        )
        yield place(f"{row_at(row)}/when/{column.name}", message, None)
    if impossible:
        return
    try:
        if table.hit != "collect":
            for gap in islice(analysis.gaps(), _MOST_FINDINGS):
                hint = "Add a row for it, a last row with - in every column, or say what may occur after the column's type."
                yield place("/rules", f"No row matches when {gap}.", hint)
        if table.hit == "unique":
            for earlier, later, where in islice(analysis.overlaps(), _MOST_FINDINGS):
                message = f"Row {later.number} matches what row {earlier.number} matches: when {where}."
                hint = "With `unique` one row at most may match. Narrow one of them, or say `first`."
                yield place(_narrowest(later, row_at(later)), message, hint)
        if table.hit == "first":
            for row in islice(analysis.unreached(), _MOST_FINDINGS):
                message = f"Row {row.number} is never reached: the rows before it match all that it matches."
                yield place(_narrowest(row, row_at(row)), message, "Remove it, or move it up.")
    except TooLarge:
        message = "The table has too many combinations to look for gaps and overlaps in all of them."
        found = place("/rules", message, "It is used as it is. Split it, or declare fewer columns.")
        yield Finding(
            file=found.file,
            line=found.line,
            column=found.column,
            severity="warning",
            code=found.code,
            message=message,
            hint=found.hint,
        )


def _narrowest(row: Row, at: str) -> str:
    """The first cell of a row that says anything."""
    name = next((name for name, condition in row.conditions.items() if not condition.any), None)
    return at if name is None else f"{at}/when/{name}"
