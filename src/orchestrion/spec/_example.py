"""A value that a JSON Schema describes, made up: the plainest one that fits."""

from collections.abc import Mapping, Sequence

from orchestrion.core import Json

_TEXTS: Mapping[str, str] = {
    "date": "2000-01-01",
    "time": "00:00:00Z",
    "date-time": "2000-01-01T00:00:00Z",
    "duration": "PT0S",
    "email": "somebody@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_DEEPEST = 12
SIMULATED = "simulated"
"""The text of a made-up value."""


def example_of(schema: Json) -> Json:
    """What the schema says itself (`default`, `const`, `enum`, `examples`), else the plainest value of its type.

    Objects have the fields they must have and those with a default; nothing described is null. A schema may ask for more
    than that, such as a pattern: whoever needs a value that fits checks it.
    """
    return _made(schema, schema, 0)


def _made(schema: Json, root: Json, depth: int) -> Json:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    for keyword in ("default", "const"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("enum", "examples"):
        if offered := _items(schema.get(keyword)):
            return offered[0]
    if isinstance(reference := schema.get("$ref"), str):
        return _made(_at(root, reference), root, depth + 1)
    for keyword in ("oneOf", "anyOf"):
        if choices := _items(schema.get(keyword)):
            return _made(_merged(schema, choices[0], keyword), root, depth + 1)
    if parts := _items(schema.get("allOf")):
        for part in parts:
            schema = _merged(schema, part, "allOf")
        return _made(schema, root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Mapping[str, Json], root: Json, depth: int) -> Json:
    kind = schema.get("type")
    if several := _items(kind):
        kind = "null" if "null" in several else several[0]
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "array":
            return [_made(schema.get("items"), root, depth + 1) for _ in range(_number(schema.get("minItems")))]
        case "string":
            return _text(schema)
        case "integer" | "number":
            return _least(schema)
        case "boolean":
            return False
        case _:
            return _object(schema, root, depth) if _fields(schema.get("properties")) else None


def _object(schema: Mapping[str, Json], root: Json, depth: int) -> Json:
    fields = _fields(schema.get("properties"))
    needed = _items(schema.get("required"))
    defaults = [name for name, field in fields.items() if isinstance(field, Mapping) and "default" in field]
    names = dict.fromkeys([*(str(name) for name in needed), *defaults])
    return {name: _made(fields.get(name), root, depth + 1) for name in names}


def _text(schema: Mapping[str, Json]) -> str:
    text = _TEXTS.get(str(schema.get("format")), SIMULATED)
    longest = schema.get("maxLength")
    return text.ljust(_number(schema.get("minLength")), ".")[: longest if isinstance(longest, int) else None]


def _least(schema: Mapping[str, Json]) -> int | float:
    for keyword, step in (("minimum", 0), ("exclusiveMinimum", 1)):
        bound = schema.get(keyword)
        if isinstance(bound, int | float) and bound + step > 0:
            return bound + step
    most = schema.get("maximum")
    return most if isinstance(most, int | float) and most < 0 else 0


def _merged(schema: Mapping[str, Json], part: Json, without: str) -> Mapping[str, Json]:
    own = {name: value for name, value in schema.items() if name != without}
    if not isinstance(part, Mapping):
        return own
    fields = [each for each in (own.get("properties"), part.get("properties")) if isinstance(each, Mapping)]
    return {
        **own,
        **part,
        **({"properties": {name: field for each in fields for name, field in each.items()}} if fields else {}),
        "required": [*_items(own.get("required")), *_items(part.get("required"))],
    }


def _at(root: Json, reference: str) -> Json:
    """What a reference within the schema means; nothing is fetched."""
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = _fields(found).get(step.replace("~1", "/").replace("~0", "~"))
    return found if reference.startswith("#") else None


def _fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _number(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
