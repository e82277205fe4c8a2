"""JSON Schema of a workflow document, for editors: what completes and explains while somebody writes.

It follows what `read` takes. `read` remains the judge: names, expressions and references are checked there alone.
"""

from collections.abc import Iterable, Mapping, Sequence

from orchestrion.core import Declaration, Json

_EXPRESSION: Json = {
    "type": "string",
    "pattern": r"^\s*\$\{[\s\S]*\}\s*$",
    "description": "An expression in jq: ${ … }",
}
_TEXT: Json = {"type": "string"}
_ANY: Json = {"type": "object"}
_REFERRED: Json = {"oneOf": [{"type": "string", "description": "A name under `use`."}, {"type": "object"}]}
_TASKS: Json = {"$ref": "#/$defs/tasks"}
_LENGTH: Json = {"$ref": "#/$defs/length"}
_SHAPE: Json = {"$ref": "#/$defs/schema"}
_ALSO: Mapping[str, Sequence[str]] = {"for": ("do",), "try": ("catch",)}
"""What a kind cannot do without, beside its word."""
_SERVICES: Mapping[str, str] = {
    "http": "One request to a web service.",
    "openapi": "One operation that an OpenAPI document describes.",
    "mcp": "One request to an MCP server.",
    "a2a": "One request to an agent elsewhere, by the A2A protocol.",
}


def workflow_schema(functions: Iterable[Declaration] = ()) -> dict[str, Json]:
    """JSON Schema of a workflow document; `call` and `with` are those of `functions`."""
    declared = list(functions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A workflow",
        "description": "Open Workflow Specification, DSL 1.0.3.",
        **_object({"document": _DOCUMENT, **_DOCUMENT_FIELDS, "do": _TASKS}, needs=("document", "do")),
        "$defs": {
            "length": _duration(),
            "schema": _schema(),
            "tasks": {
                "type": "array",
                "description": "Tasks by name, one after another.",
                "items": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {"$ref": "#/$defs/task"},
                },
            },
            "task": _task(declared),
        },
    }


def _object(properties: Mapping[str, Json], *, needs: Sequence[str] = (), closed: bool = True) -> dict[str, Json]:
    found: dict[str, Json] = {"type": "object", "properties": dict(properties)}
    if needs:
        found["required"] = list(needs)
    if closed:
        found["additionalProperties"] = False
    return found


def _said(schema: Json, description: str) -> Json:
    return {**schema, "description": description} if isinstance(schema, Mapping) else schema


def _duration() -> Json:
    units: dict[str, Json] = {
        unit: {"type": "integer"} for unit in ("days", "hours", "minutes", "seconds", "milliseconds")
    }
    return {
        "description": "A length of time: PT15M, or { minutes: 15 }.",
        "anyOf": [{"type": "string"}, {**_object(units), "minProperties": 1}],
    }


def _schema() -> Json:
    return {
        "description": "What the data must look like.",
        **_object({"format": _TEXT, "document": {"description": "A JSON Schema."}, "resource": _ANY}),
    }


def _shaped(by: str, what: str) -> Json:
    moved: Json = {"description": "An expression, or an object with expressions in it."}
    return {"description": what, **_object({"schema": _SHAPE, by: moved})}


_TIMEOUT: Json = {
    "description": "How long it may take; the name of one under `use.timeouts`, or { after: … }.",
    "anyOf": [{"type": "string"}, _object({"after": _LENGTH}, needs=("after",))],
}
_DOCUMENT: Json = {
    "description": "What this document is.",
    **_object(
        {
            "dsl": {"type": "string", "pattern": r"^1\.0\.\d+$", "description": "The language: '1.0.3'."},
            "namespace": _said(_TEXT, "Whose workflow it is."),
            "name": _said(_TEXT, "Lower-case letters, digits and hyphens."),
            "version": _said(_TEXT, "A semantic version: '1.0.0'. A changed text needs another."),
            "title": _said(_TEXT, "For people."),
            "summary": _said(_TEXT, "For people, in Markdown."),
            "tags": {"type": "object", "additionalProperties": _TEXT},
            "metadata": _said(_ANY, "`timezone`, `labels` and what is your own."),
        },
        needs=("dsl", "namespace", "name", "version"),
    ),
}
_DOCUMENT_FIELDS: Mapping[str, Json] = {
    "input": _shaped("from", "What the workflow is given."),
    "output": _shaped("as", "What it gives back."),
    "timeout": _TIMEOUT,
    "schedule": {
        "description": "When it starts by itself.",
        **_object({"every": _LENGTH, "cron": _TEXT, "after": _LENGTH, "on": _ANY}),
    },
    "evaluate": _object({"language": {"const": "jq"}, "mode": {"enum": ["strict", "loose"]}}),
    "use": {
        "description": "What the tasks share, by name.",
        **_object(
            {
                "authentications": _ANY,
                "errors": _ANY,
                "extensions": {"type": "array", "items": _ANY},
                "functions": {"type": "object", "additionalProperties": {"$ref": "#/$defs/task"}},
                "retries": _ANY,
                "secrets": {"type": "array", "items": _TEXT},
                "timeouts": _ANY,
                "catalogs": _ANY,
            }
        ),
    },
}
_COMMON: Mapping[str, Json] = {
    "if": _said(_TEXT, "The task is left out where this expression does not hold."),
    "input": _shaped("from", "What the task is given, made of the data before it."),
    "output": _shaped("as", "What it gives on, made of its result."),
    "export": _shaped("as", "What $context becomes."),
    "timeout": _TIMEOUT,
    "then": _said(_TEXT, "A task of the same list, or: continue, exit, end."),
    "metadata": _said(_ANY, "`idempotent`, `labels` and what is your own."),
}


def _task(functions: Sequence[Declaration]) -> Json:
    """One task: exactly one of the words that make a kind."""
    kinds = _kinds(functions)
    fields: dict[str, Json] = {name: schema for kind in kinds.values() for name, schema in kind.items()}
    return {
        **_object({**fields, **_COMMON}),
        "oneOf": [
            {"required": [kind, *_ALSO.get(kind, ())], **({"not": {"required": ["for"]}} if kind == "do" else {})}
            for kind in kinds
        ],
        "allOf": [
            *_withs(functions),
            *(
                {"if": {"required": [other]}, "then": {"required": [kind]}}
                for kind, own in kinds.items()
                for other in own
                if other not in (kind, "do")
            ),
        ],
    }


def _kinds(functions: Sequence[Declaration]) -> Mapping[str, Mapping[str, Json]]:
    """The word that makes a kind → its fields, that word among them."""
    case = _object(
        {"when": _said(_TEXT, "An expression. Without it the case always holds."), "then": _COMMON["then"]},
        needs=("then",),
    )
    loop = _object({"each": _TEXT, "in": {"anyOf": [_TEXT, {"type": "array"}]}, "at": _TEXT}, needs=("in",))
    flow = _object(
        {**dict.fromkeys(("namespace", "name", "version"), _TEXT), "input": _ANY},
        needs=("namespace", "name", "version"),
    )
    named: Json = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": case}
    found: dict[str, dict[str, Json]] = {
        "call": {"call": _call(functions), "with": _said(_ANY, "What the function is given.")},
        "do": {"do": _TASKS},
        "emit": {"emit": _object({"event": _object({"with": _ANY}, needs=("with",))}, needs=("event",))},
        "for": {"for": loop, "while": _said(_TEXT, "An expression: go on as long as it holds."), "do": _TASKS},
        "fork": {"fork": _object({"branches": _TASKS, "compete": {"type": "boolean"}}, needs=("branches",))},
        "listen": {"listen": _ANY, "foreach": _ANY},
        "raise": {"raise": _object({"error": _REFERRED}, needs=("error",))},
        "run": {"run": _object({"workflow": flow, "await": {"type": "boolean"}}, needs=("workflow",))},
        "set": {"set": {"anyOf": [{"type": "object", "minProperties": 1}, _EXPRESSION]}},
        "switch": {"switch": {"type": "array", "minItems": 1, "items": named}},
        "try": {"try": _TASKS, "catch": _catch()},
        "wait": {"wait": _LENGTH},
    }
    return found


def _catch() -> Json:
    fields: dict[str, Json] = {
        "errors": _said(_ANY, "Which errors: { with: { type, status } }."),
        "as": _said(_TEXT, "What the error is called in `do`."),
        "when": _TEXT,
        "exceptWhen": _TEXT,
        "retry": _REFERRED,
        "do": _TASKS,
        "then": _COMMON["then"],
    }
    return {"description": "What to do about an error.", **_object(fields)}


def _call(functions: Sequence[Declaration]) -> Json:
    """A function by name; names that are the document's own, or a catalog's, are texts like any other."""
    offered: list[Json] = [{"const": name, "description": text} for name, text in _SERVICES.items()]
    offered += [
        {"const": f"{each.id}@default", "description": f"{each.title}. {each.description}"} for each in functions
    ]
    return {"description": "What to call.", "anyOf": [*offered, _TEXT]}


def _withs(functions: Sequence[Declaration]) -> list[Json]:
    """What each function takes. Any value may be an expression."""
    return [
        {
            "if": {"properties": {"call": {"const": f"{each.id}@default"}}, "required": ["call"]},
            "then": {"properties": {"with": _open(each.input_schema)}},
        }
        for each in functions
    ]


def _open(schema: Mapping[str, Json]) -> Json:
    """The fields of a function, each of which may be an expression or have one inside."""
    fields = schema.get("properties")
    known: Mapping[str, Json] = fields if isinstance(fields, Mapping) else {}
    return {
        **{name: schema[name] for name in ("type", "required", "additionalProperties") if name in schema},
        "properties": {name: _or_expression(field) for name, field in known.items()},
    }


def _or_expression(field: Json) -> Json:
    if not isinstance(field, Mapping):
        return field
    told: dict[str, Json] = {"description": field["description"]} if "description" in field else {}
    if field.get("type") in ("object", "array") or not {"type", "enum", "const"} & field.keys():
        kind = field.get("type")
        plain: list[Json] = [{"type": kind}] if kind is not None else []
        return {**told, "anyOf": [*plain, _EXPRESSION]} if plain else told
    return {**told, "anyOf": [dict(field), _EXPRESSION]}
