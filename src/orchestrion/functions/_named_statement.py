"""SQL statements with a name: a function of the catalog for each file `statements/NAME.sql` of a project."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome, UserError, digest
from orchestrion.models import findings_of, flaws_of
from orchestrion.project import Connection
from orchestrion.spec import Finding, Source, finding_at, parse_yaml, to_json

from ._connections import Connections
from ._query import DEFAULT_ROWS, ROWS_SCHEMA, bound, rows_json
from ._schema import arguments_of, check_schema, violations
from ._statement import IDEMPOTENCY_KEY, BadStatement, Statement, read_statement

BAD = "bad-statement"
TYPES = ("string", "integer", "number", "boolean")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HEADER = re.compile(r"(?:[ \t]*\n)*(?P<header>(?:--[^\n]*(?:\n|\Z))+)")
_FOR_EXAMPLE = "Begin the file with `-- connection: NAME`, `-- description: …`, and `-- parameters: { id: string }`."


class StatementHeader(BaseModel):
    """What stands in the comments at the head of a statement's file, as YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection: str
    description: str = ""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = "1.0.0"
    write: bool = False
    idempotent: bool = False
    """Whether repeating a statement that writes changes nothing more, though it does not bind the key."""
    rows: Annotated[int, Field(ge=1, le=100_000)] = DEFAULT_ROWS
    parameters: Mapping[str, str | Mapping[str, JsonValue]] = Field(default_factory=dict)
    """Parameter → type, or a JSON Schema. One that may be null may be left out, and is null then."""

    def schema_of(self, name: str) -> Mapping[str, Json]:
        said = self.parameters[name]
        return {"type": said} if isinstance(said, str) else cast("Mapping[str, Json]", said)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStatement:
    """A file of `statements`, sound."""

    name: str
    header: StatementHeader
    statement: Statement
    version: str
    """Digest of the whole file."""


class StatementFunction:
    """The leaf of one of them."""

    def __init__(self, named: NamedStatement, connections: Connections) -> None:
        header = named.header
        self._named = named
        self._connections = connections
        self.made_of = named.version
        schemas = {name: header.schema_of(name) for name in header.parameters}
        self._declaration = Declaration(
            name=named.name,
            version=header.version,
            title=named.name,
            description=header.description or f"The statement {named.name!r}.",
            input_schema={
                "type": "object",
                "additionalProperties": False,
                "required": [name for name, schema in schemas.items() if violations(schema, None)],
                "properties": schemas,
            },
            output_schema=ROWS_SCHEMA,
            effect="write" if named.statement.writes else "read",
            idempotent=header.idempotent or named.statement.binds_key or not named.statement.writes,
        )

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        declaration = self._declaration
        resource = ("Connection", self._named.header.connection)
        return Nature(effect=declaration.effect, idempotent=declaration.idempotent, resource=resource)

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError, TransientError, Faulted; see `Connections.execute`."""
        header, statement = self._named.header, self._named.statement
        arguments = arguments_of(self._declaration, invocation.arguments.value)
        given = {name: arguments.get(name) for name in header.parameters}
        rows = await self._connections.execute(
            header.connection, statement, bound(statement, given, context), max_rows=header.rows
        )
        return Outcome(output=Datum(rows_json(rows)), why={"statement": self._named.name, "version": self.made_of})


def read_named_statement(
    text: bytes, *, file: str, name: str, connections: Mapping[str, Connection]
) -> tuple[NamedStatement | None, list[Finding]]:
    """The statement of a file, and everything wrong with it at once. There is none when something is."""
    try:
        decoded = text.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        place = error.object.count(b"\n", 0, error.start) + 1
        return None, [_finding(file, place, 1, BAD, "The text is not UTF-8.", "Save the file as UTF-8.")]
    found = _HEADER.match(decoded)
    if found is None:
        return None, [_finding(file, 1, 1, BAD, "The statement says nothing of itself.", _FOR_EXAMPLE)]
    # What marks the comments becomes space, so that YAML's places are the file's.
    lines = decoded[: found.end()].split("\n")
    source, findings = parse_yaml("\n".join("  " + line[2:] for line in lines), file=file)
    if source is None:
        return None, findings
    value = to_json(source.root)
    try:
        header = StatementHeader.model_validate(value)
    except ValidationError as error:
        return None, [*findings, *findings_of(source, list(flaws_of(error, value)), BAD)]
    check = _Check(file=file, name=name, text=decoded, begins=found.end(), source=source, header=header)
    findings = [*findings, *check.header_findings(connections)]
    statement, wrong = check.statement()
    findings += wrong
    if statement is None or findings:
        return None, findings
    return NamedStatement(name=name, header=header, statement=statement, version=digest(decoded)), []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    file: str
    name: str
    text: str
    begins: int
    """Where the SQL begins."""
    source: Source
    header: StatementHeader

    def header_findings(self, connections: Mapping[str, Connection]) -> Iterator[Finding]:
        connection = self.header.connection
        if not _NAME.fullmatch(self.name):
            yield self._in_header("", f"{self.name!r} is no name of a function.", "Use letters, digits, - and _.")
        if connection not in connections:
            listed = ", ".join(sorted(connections)) or "none"
            yield self._in_header("/connection", f"There is no connection {connection!r}.", f"Known: {listed}.")
        elif self.header.write and not connections[connection].write:
            hint = f"Set `write: true` for the connection {connection!r} in orchestrion.yaml."
            yield self._in_header("/connection", f"The connection {connection!r} is for reading.", hint)
        for name in self.header.parameters:
            yield from self._parameter(name, f"/parameters/{name}")

    def _parameter(self, name: str, at: str) -> Iterator[Finding]:
        if name == IDEMPOTENCY_KEY:
            yield self._in_header(at, f"{name!r} is bound by the platform.", "Leave it out here.", key=True)
            return
        said = self.header.parameters[name]
        if isinstance(said, str) and said not in TYPES:
            yield self._in_header(at, f"{said!r} is no type.", f"Write one of {', '.join(TYPES)}, or a JSON Schema.")
            return
        try:
            check_schema(self.header.schema_of(name))
        except UserError as error:
            yield self._in_header(at, error.message, error.hint)
            return
        if not {"type", "enum", "const"} & self.header.schema_of(name).keys():
            yield self._in_header(at, f"The parameter {name!r} has no type.", "Add `type:` or `enum:`.")

    def statement(self) -> tuple[Statement | None, list[Finding]]:
        """The SQL, and where it and its header disagree."""
        try:
            statement = read_statement(self.text[self.begins :])
        except BadStatement as error:
            return None, [self._in_sql(error.at, error.message, error.hint or "", code=error.code)]
        return statement, list(self._disagreements(statement))

    def _disagreements(self, statement: Statement) -> Iterator[Finding]:
        declared = self.header.parameters
        for name, at in statement.places.items():
            if name not in declared and name != IDEMPOTENCY_KEY:
                hint = f"Add it under `parameters` in the header: `{name}: string`."
                yield self._in_sql(at, f"The parameter {name!r} is not declared.", hint)
        for name in declared:
            if name not in statement.places and name != IDEMPOTENCY_KEY:
                message = f"The statement does not mention the parameter {name!r}."
                yield self._in_header(f"/parameters/{name}", message, f"Use it as `:{name}`, or remove it.", key=True)
        if statement.writes and not self.header.write:
            yield self._in_sql(statement.begins, "The statement changes something.", "Say so: `-- write: true`.")
        elif self.header.write and not statement.writes:
            yield self._in_header("/write", "The statement only reads.", "Remove `write`.")
        if self.header.idempotent and not statement.writes:
            yield self._in_header("/idempotent", "Reading is idempotent anyway.", "Remove `idempotent`.")

    def _in_header(self, pointer: str, message: str, hint: str | None, *, key: bool = False) -> Finding:
        return finding_at(self.source, pointer, BAD, message, hint=hint, key=key)

    def _in_sql(self, at: int, message: str, hint: str, *, code: str = BAD) -> Finding:
        offset = self.begins + at
        line, column = self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)
        return _finding(self.file, line, column, code, message, hint)


def _finding(file: str, line: int, column: int, code: str, message: str, hint: str) -> Finding:
    return Finding(file=file, line=line, column=column, severity="error", code=code, message=message, hint=hint or None)
