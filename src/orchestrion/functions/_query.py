"""`query`: one SQL statement on a named connection, its parameters bound."""

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

from orchestrion.core import (
    Datum,
    Declaration,
    Invocation,
    Json,
    Labels,
    LeafContext,
    Nature,
    Outcome,
    PolicyDenied,
    UserError,
)

from ._connections import Connections, Rows
from ._schema import arguments_of
from ._statement import IDEMPOTENCY_KEY, Statement, read_statement

DEFAULT_ROWS = 1000

ROWS_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "required": ["rows", "rowcount"],
    "properties": {
        "rows": {
            "type": "array",
            "items": {"type": "object"},
            "description": (
                "Column → value. Decimals are text, so that no cent is lost; dates and times are ISO 8601, binary "
                "values base64."
            ),
        },
        "rowcount": {"type": "integer", "description": "Rows given, or rows changed by a statement that writes."},
    },
}
"""What a statement gives."""

_DECLARATION = Declaration(
    name="query",
    version="1.0.0",
    title="Ask or change a database",
    description=(
        "Runs one SQL statement on a connection of the project. Values go in as `:name` parameters only. Whether it reads "
        "or writes is seen from its first word, and the database enforces it; writing needs `write: true` in the "
        "connection's settings. An insert that must happen once binds `:idempotency_key` to a unique column and ends in "
        "`on conflict (…) do nothing`; repeated after a crash, it then gives a `rowcount` of 0."
    ),
    input_schema={
        "type": "object",
        "required": ["connection", "statement"],
        "additionalProperties": False,
        "properties": {
            "connection": {"type": "string", "minLength": 1, "description": "The connection's name in the settings."},
            "statement": {"type": "string", "minLength": 1, "description": "One SQL statement."},
            "parameters": {
                "type": "object",
                "description": "Values of its `:name` parameters; a list stands for several, as in `where id in :ids`.",
            },
            "rows": {
                "type": "integer",
                "minimum": 1,
                "maximum": 100_000,
                "default": DEFAULT_ROWS,
                "description": "How many rows there may be; more are an error.",
            },
        },
    },
    output_schema=ROWS_SCHEMA,
    effect="write",
    idempotent=False,
)


class Query:
    """A leaf whose nature depends on the statement: reads may be repeated, writes only when they bind the key."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        """Raises: UserError for arguments that do not fit, or a statement that cannot be run."""
        arguments = arguments_of(_DECLARATION, arguments)
        statement = read_statement(cast("str", arguments["statement"]))
        return Nature(
            effect="write" if statement.writes else "read",
            idempotent=statement.binds_key or not statement.writes,
            resource=("Connection", cast("str", arguments["connection"])),
        )

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError, PolicyDenied `untrusted-statement`, TransientError, Faulted; see `Connections.execute`."""
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        _refuse_untrusted(invocation.arguments.labels)
        statement = read_statement(cast("str", arguments["statement"]))
        parameters = bound(statement, cast("Mapping[str, Json]", arguments.get("parameters") or {}), context)
        rows = await self._connections.execute(
            cast("str", arguments["connection"]),
            statement,
            parameters,
            max_rows=cast("int", arguments.get("rows", DEFAULT_ROWS)),
        )
        return Outcome(output=Datum(rows_json(rows)))


def _refuse_untrusted(labels: Labels) -> None:
    if "untrusted" in labels.get("/statement", ()):
        raise PolicyDenied(
            "untrusted-statement",
            "The SQL text itself was made from untrusted data.",
            hint="Write the statement out, and pass data as `parameters`.",
        )


def bound(statement: Statement, given: Mapping[str, Json], context: LeafContext) -> dict[str, Json]:
    """A value for each parameter, and no other. Raises: UserError."""
    if IDEMPOTENCY_KEY in given:
        raise UserError(
            "reserved-parameter", f"The parameter {IDEMPOTENCY_KEY!r} is bound by the platform; leave it out."
        )
    missing = statement.names - given.keys() - {IDEMPOTENCY_KEY}
    if missing:
        raise UserError(
            "missing-parameter", f"The statement's parameter {min(missing)!r} has no value in `parameters`."
        )
    unused = given.keys() - statement.names
    if unused:
        raise UserError("unused-parameter", f"`parameters` has {min(unused)!r}, which the statement does not mention.")
    for name, value in given.items():
        _check_value(name, value)
    return {**given, IDEMPOTENCY_KEY: context.idempotency_key} if statement.binds_key else dict(given)


def _check_value(name: str, value: Json) -> None:
    several = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, Mapping | list | tuple) for each in several):
        raise UserError(
            "bad-parameter",
            f"The parameter {name!r} is neither a plain value nor a list of them.",
            hint="Turn objects into text first, with `tojson`.",
        )


def rows_json(rows: Rows) -> Json:
    """The output of a statement. Raises: UserError for what JSON cannot express."""
    repeated = {column for column in rows.columns if rows.columns.count(column) > 1}
    if repeated:
        raise UserError(
            "duplicate-column",
            f"The statement gives two columns called {min(repeated)!r}.",
            hint="Name one of them otherwise, with `as`.",
        )
    found = [
        {column: _plain(column, value) for column, value in zip(rows.columns, row, strict=True)} for row in rows.rows
    ]
    return {"rows": found, "rowcount": rows.rowcount}


def _plain(column: str, value: object) -> Json:
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case Decimal() if value.is_finite():
            return format(value, "f")
        case float() | Decimal():
            raise UserError("not-a-number", f"The column {column!r} holds a value that is no finite number.")
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return f"PT{value.total_seconds():g}S"
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(bytes(cast("bytes", value))).decode()
        case UUID():
            return str(value)
        case list() | tuple():
            return [_plain(column, each) for each in cast("list[object]", value)]
        case dict():
            return {str(key): _plain(column, each) for key, each in cast("dict[object, object]", value).items()}
        case _:
            raise UserError(
                "unsupported-value",
                f"The column {column!r} holds a {type(value).__name__}, which JSON cannot express.",
                hint="Cast it to text in the statement.",
            )
