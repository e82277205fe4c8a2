"""The schema of an answer with what the runtime asks for beside the agent's own fields."""

from collections.abc import Mapping

from pydantic import JsonValue

TEXT: Mapping[str, JsonValue] = {
    "type": "object",
    "required": ["reply"],
    "properties": {"reply": {"type": "string"}},
}
"""JSON Schema of the answer of an agent that declares none, once more is asked of it than text."""


def with_fields(output: Mapping[str, JsonValue] | None, fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """`output` with these fields, all of them required."""
    own = output or TEXT
    properties, required = own.get("properties"), own.get("required")
    return {
        **own,
        "properties": {**(properties if isinstance(properties, Mapping) else {}), **fields},
        "required": [*(required if isinstance(required, list | tuple) else []), *fields],
    }
