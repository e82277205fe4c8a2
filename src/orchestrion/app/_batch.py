"""A file of rows as a batch of runs: read, mapped, checked; bad rows set aside with their reasons."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from orchestrion.core import Json, OrchestrionError, UserError, parse
from orchestrion.project import Batch
from orchestrion.spec import Document

LARGEST_ROW = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file: the input of a run, or why it cannot be one."""

    number: int
    """Counting from 1; a header does not count."""
    value: Json
    """The input; for a bad row, what was read."""
    reasons: tuple[str, ...] = ()
    record: Json = None
    """What was read, with the columns that are no input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFile:
    """A file, opened and understood as far as its header."""

    path: Path
    digest: str
    document: Document
    columns: Mapping[str, str]
    """Input field → column."""
    defaults: Mapping[str, Json]
    content: bytes

    @property
    def batch(self) -> str:
        """The same file and the same version of the workflow are the same batch."""
        return f"{self.digest[:16]}-{self.document.digest[:16]}"

    def rows(self) -> Iterator[Row]:
        """Every row in order, checked against the workflow's input schema."""
        source = _json_lines(self.content) if self.path.suffix == ".jsonl" else _csv_rows(self.content)
        for number, (record, reasons) in enumerate(source, start=1):
            if reasons:
                yield Row(number=number, value=record, reasons=tuple(reasons), record=record)
                continue
            value = self._input(cast("Mapping[str, Json]", record), number)
            wrong = self._wrong(value)
            yield Row(number=number, value=record if wrong else value, reasons=wrong, record=record)

    def _input(self, record: Mapping[str, Json], number: int) -> dict[str, Json]:
        value: dict[str, Json] = {}
        for field, column in self.columns.items():
            if column in record:
                value[field] = _typed(record[column], self._property(field))
        for field, default in self.defaults.items():
            if field not in value:
                value[field] = _dealt(default, number)
        return value

    def _wrong(self, value: Json) -> tuple[str, ...]:
        schema = self.document.input.schema
        if schema is None or schema.accepts(value):
            return ()
        return tuple(f"{v.pointer.lstrip('/') or 'row'}: {v.message}" for v in schema.violations(value))

    def _property(self, field: str) -> Mapping[str, Json]:
        return _properties(self.document).get(field, {})


def open_rows(path: Path, document: Document, settings: Batch | None, overrides: Mapping[str, str]) -> RowFile:
    """Read a .csv or .jsonl file as input for a workflow.

    Raises: UserError `unreadable-file`, `unknown-file-type`, `missing-column` naming what is there, `empty-file`.
    """
    if path.suffix not in {".csv", ".jsonl"}:
        raise UserError("unknown-file-type", f"{path.name!r} is neither .csv nor .jsonl.", hint="Convert it to one.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError("unreadable-file", f"{str(path)!r} cannot be read: {error.strerror}.") from None
    mapped = {**(settings.map if settings else {}), **overrides}
    columns = {field: mapped.get(field, field) for field in [*_properties(document), *mapped]}
    file = RowFile(
        path=path,
        digest=hashlib.sha256(content).hexdigest(),
        document=document,
        columns=columns,
        defaults=settings.defaults if settings else {},
        content=content.removeprefix(b"\xef\xbb\xbf"),
    )
    if path.suffix == ".csv":
        _require_columns(file, frozenset(overrides))
    return file


def _require_columns(file: RowFile, named: frozenset[str]) -> None:
    header = next(csv.reader(io.StringIO(file.content.split(b"\n", 1)[0].decode(errors="replace"))), None)
    if not header:
        raise UserError("empty-file", f"{file.path.name!r} is empty.", hint="The first line names the columns.")
    schema = file.document.input.schema
    declared = schema.document if schema else None
    needed = cast("Sequence[str]", declared.get("required", ())) if isinstance(declared, Mapping) else ()
    for field in dict.fromkeys([*needed, *named]):
        column = file.columns.get(field, field)
        if column not in header and (field in named or field not in file.defaults):
            raise UserError(
                "missing-column",
                f"{file.path.name!r} has no column {column!r} for the input field {field!r}. Its columns: {', '.join(header)}.",
                hint=f"Say which column it is: --map {field}=COLUMN.",
            )


def _properties(document: Document) -> Mapping[str, Mapping[str, Json]]:
    schema = document.input.schema.document if document.input.schema else None
    return cast("Mapping[str, Mapping[str, Json]]", schema.get("properties", {}) if isinstance(schema, Mapping) else {})


def _csv_rows(content: bytes) -> Iterator[tuple[Json, list[str]]]:
    """Rows with what is wrong with their shape. Bytes that are not UTF-8 spoil their own row only."""
    text = io.StringIO(content.decode(errors="surrogateescape"), newline="")
    csv.field_size_limit(LARGEST_ROW)
    reader = csv.reader(text, strict=False)
    header = next(reader)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield {"line": reader.line_num}, [f"row: not readable as CSV: {error}"]
            continue
        if cells:
            record = {name: _shown(cell) for name, cell in zip(header, cells, strict=False)}
            yield cast("Json", record), _shape(header, cells)


def _shape(header: Sequence[str], cells: Sequence[str]) -> list[str]:
    reasons = [
        f"{header[i] if i < len(header) else i + 1}: not UTF-8 text"
        for i, cell in enumerate(cells)
        if _shown(cell) != cell
    ]
    if len(cells) != len(header):
        count = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        reasons.append(f"row: {count} where the header has {len(header)}")
    return reasons


def _shown(cell: str) -> str:
    return cell.encode(errors="surrogateescape").decode(errors="replace")


def _json_lines(content: bytes) -> Iterator[tuple[Json, list[str]]]:
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            value = parse(line)
        except OrchestrionError as error:
            yield line.decode(errors="replace")[:1000], [f"row: {error.message}"]
            continue
        yield value, [] if isinstance(value, Mapping) else ["row: not an object"]


def _typed(cell: Json, schema: Mapping[str, Json]) -> Json:
    """A cell's text as the type the schema wants, where it can be read so; else as it is, for the schema to refuse."""
    if not isinstance(cell, str):
        return cell
    kind = schema.get("type")
    if kind in {"integer", "number", "boolean"}:
        try:
            value = parse(cell.strip().lower() if kind == "boolean" else cell.strip())
        except OrchestrionError:
            return cell
        return value if isinstance(value, int | float) else cell
    if kind in {"array", "object"}:
        try:
            return parse(cell)
        except OrchestrionError:
            return cell
    return cell


def _dealt(default: Json, number: int) -> Json:
    """A default; `{prefix, base, modulo}` deals rows out in turn: prefix1001, prefix1002, … and from the beginning again."""
    if isinstance(default, Mapping) and set(default) == {"prefix", "base", "modulo"}:
        base, modulo = cast("int", default["base"]), cast("int", default["modulo"])
        return f"{default['prefix']}{base + (number - 1) % modulo}"
    return default
