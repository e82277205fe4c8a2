"""Arguments as policies see them: a JSON Schema becomes Cedar types, a value becomes a typed record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, assert_never, cast

from orchestrion.core import Json

_DEPTH = 8
_LONG = range(-(2**63), 2**63)
_DECIMAL_LIMIT = 922_337_203_685_477
_FOUR_PLACES = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Plain:
    """A value without parts."""

    kind: Literal["String", "Long", "Boolean", "decimal"]


@dataclass(frozen=True, slots=True)
class SetOf:
    """A list, of which policies see the members and not their order."""

    member: "Shape"


@dataclass(frozen=True, slots=True)
class Attribute:
    shape: "Shape"
    required: bool


@dataclass(frozen=True, slots=True)
class Record:
    """An object's typed members. Others are invisible to policies."""

    attributes: Mapping[str, Attribute]


Shape: TypeAlias = Plain | SetOf | Record

_PLAIN: Mapping[str, Plain] = {
    "string": Plain("String"),
    "integer": Plain("Long"),
    "boolean": Plain("Boolean"),
    "number": Plain("decimal"),
}


class Unfit(ValueError):
    """A value that does not have the shape policies count on; the message names the place, never the value."""

    def __init__(self, at: str, why: str) -> None:
        super().__init__(f"argument {at!r} {why}")


def shape_of(schema: Json, root: Json = None, depth: int = 0) -> Shape | None:
    """The Cedar type of what a JSON Schema describes; None where Cedar has none, such as a union or a free-form object."""
    root = schema if depth == 0 else root
    schema = _resolved(schema, root)
    if schema is None or depth > _DEPTH:
        return None
    match _type_of(schema):
        case "array":
            member = shape_of(schema.get("items"), root, depth + 1)
            return SetOf(member) if member else None
        case "object":
            return _record(schema, root, depth)
        case str() as name:
            return _PLAIN.get(name)
        case None:
            return None


def record_of(schema: Json) -> Record:
    """The shape of a call's arguments; empty when the schema says nothing that Cedar can type."""
    shape = shape_of(schema)
    return shape if isinstance(shape, Record) else Record({})


def merged(one: Record, other: Record) -> Record:
    """What two records have in common: required where both require it; what they disagree about is left out."""
    attributes: dict[str, Attribute] = {}
    for name, attribute in {**other.attributes, **one.attributes}.items():
        known, known_too = one.attributes.get(name), other.attributes.get(name)
        if known is None or known_too is None:
            attributes[name] = Attribute(attribute.shape, required=False)
        elif known.shape == known_too.shape:
            attributes[name] = Attribute(attribute.shape, required=known.required and known_too.required)
    return Record(attributes)


def cedar_type(shape: Shape) -> dict[str, Json]:
    """The shape in Cedar's JSON schema format."""
    match shape:
        case Plain(kind="decimal"):
            return {"type": "Extension", "name": "decimal"}
        case Plain(kind=kind):
            return {"type": kind}
        case SetOf(member=member):
            return {"type": "Set", "element": cedar_type(member)}
        case Record(attributes=attributes):
            return {
                "type": "Record",
                "attributes": {
                    name: {**cedar_type(each.shape), "required": each.required} for name, each in attributes.items()
                },
            }
        case _:
            assert_never(shape)


def typed(shape: Shape, value: Json, at: str = "") -> Json:
    """`value` as Cedar's JSON, holding nothing but what `shape` names.

    Raises: Unfit for another type, a missing member, or a number Cedar cannot hold exactly.
    """
    match shape:
        case Plain(kind=kind):
            return _plain(kind, value, at)
        case SetOf(member=member):
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise Unfit(at, f"must be a list, not {_kind(value)}")
            return [typed(member, each, f"{at}[{index}]") for index, each in enumerate(value)]
        case Record(attributes=attributes):
            return _typed_record(attributes, value, at)
        case _:
            assert_never(shape)


def _typed_record(attributes: Mapping[str, Attribute], value: Json, at: str) -> Json:
    if not isinstance(value, Mapping):
        raise Unfit(at, f"must be an object, not {_kind(value)}")
    found: dict[str, Json] = {}
    for name, attribute in attributes.items():
        place = f"{at}.{name}" if at else name
        member = value.get(name)
        if member is not None:
            found[name] = typed(attribute.shape, member, place)
        elif attribute.required:
            raise Unfit(place, "is missing")
    return found


def _plain(kind: Literal["String", "Long", "Boolean", "decimal"], value: Json, at: str) -> Json:
    match kind:
        case "String":
            if isinstance(value, str):
                return value
        case "Boolean":
            if isinstance(value, bool):
                return value
        case "Long":
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return _long(value, at)
        case "decimal":
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return _decimal(value, at)
        case _:
            assert_never(kind)
    raise Unfit(at, f"must be a {kind}, not {_kind(value)}")


def _long(value: float, at: str) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise Unfit(at, "must be a whole number")
    if int(value) not in _LONG:
        raise Unfit(at, "is outside the 64-bit range that policies can compare")
    return int(value)


def _decimal(value: float, at: str) -> Json:
    """Cedar's decimals have at most four places. Source: Cedar policy language guide, "decimal"."""
    if not abs(value) < _DECIMAL_LIMIT:
        raise Unfit(at, "is a number too large for policies to compare")
    given = Decimal(repr(value))
    exact = given.quantize(_FOUR_PLACES)
    if exact != given:
        raise Unfit(at, "has more than the four decimal places that policies can compare")
    return {"__extn": {"fn": "decimal", "arg": f"{exact:f}"}}


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
        case _:
            return "a list"


def _resolved(schema: Json, root: Json) -> Mapping[str, Json] | None:
    """The schema behind local references, with `null` taken out of its alternatives."""
    for _ in range(_DEPTH):
        if not isinstance(schema, Mapping):
            return None
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = _pointed(root, reference)
            continue
        alternatives = schema.get("anyOf", schema.get("oneOf"))
        if not isinstance(alternatives, Sequence) or isinstance(alternatives, str):
            return schema
        real = [each for each in alternatives if not (isinstance(each, Mapping) and each.get("type") == "null")]
        if len(real) != 1:
            return None
        schema = real[0]
    return None


def _pointed(root: Json, reference: str) -> Json:
    if not reference.startswith("#/"):
        return None
    for part in reference[2:].split("/"):
        if not isinstance(root, Mapping):
            return None
        root = root.get(part.replace("~1", "/").replace("~0", "~"))
    return root


def _type_of(schema: Mapping[str, Json]) -> str | None:
    """The one type a value has apart from null."""
    declared = schema.get("type")
    if isinstance(declared, Sequence) and not isinstance(declared, str):
        names = [name for name in declared if name != "null"]
        declared = names[0] if len(names) == 1 else None
    if isinstance(declared, str):
        return declared
    if "properties" in schema and declared is None and "type" not in schema:
        return "object"
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, Sequence) and values and all(isinstance(value, str) for value in values):
        return "string"
    return None


def _record(schema: Mapping[str, Json], root: Json, depth: int) -> Record | None:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return None
    names = set(cast("Sequence[Json]", required)) if isinstance(required, Sequence) else set[Json]()
    attributes: dict[str, Attribute] = {}
    for name, each in properties.items():
        shape = None if name.startswith("__") else shape_of(each, root, depth + 1)
        if shape is not None:
            attributes[name] = Attribute(shape, required=name in names and not _nullable(each, root))
    return Record(attributes)


def _nullable(schema: Json, root: Json) -> bool:
    if not isinstance(schema, Mapping):
        return True
    declared, reference = schema.get("type"), schema.get("$ref")
    if isinstance(reference, str):
        target = _pointed(root, reference)
        return not isinstance(target, Mapping) or "$ref" in target or _nullable(target, root)
    if declared == "null" or (isinstance(declared, Sequence) and not isinstance(declared, str) and "null" in declared):
        return True
    alternatives = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(alternatives, Sequence) and not isinstance(alternatives, str):
        return any(_nullable(each, root) for each in alternatives)
    return None in _members(schema.get("enum"))


def _members(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
