"""Values against JSON Schemas, with what is wrong said in words that name the field and never show the value."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
from jsonschema_rs import ValidationErrorKind as Kind

from orchestrion.core import Declaration, Json, UserError, dump, parse


class Violation(NamedTuple):
    """One way in which a value does not fit: `message` continues the field's name ("must be a whole number")."""

    pointer: str
    """JSON pointer of the field; for a missing or unexpected one, the pointer it would have."""
    message: str

    @property
    def sentence(self) -> str:
        """The violation with the field it concerns, without a full stop."""
        return f"{field_name(self.pointer)} {self.message}"


def violations(schema: Json, value: Json, *, limit: int = 20) -> list[Violation]:
    """The first `limit` ways in which `value` breaks `schema`; empty when it fits. Formats are checked.

    Raises: UserError `bad-schema`.
    """
    validator = _compiled(dump(schema))
    try:
        if validator.is_valid(value):
            return []
    except ValueError:  # a mapping or sequence that is not a plain dict or list
        value = parse(dump(value))
    return list(islice(_all_violations(validator, value), limit))


def check_schema(schema: Json) -> None:
    """Raises: UserError `bad-schema` for what is not a JSON Schema that stands on its own."""
    _compiled(dump(schema))


def require_valid(schema: Json, value: Json, *, code: str, what: str) -> None:
    """Raises: UserError with `code`, saying of `what` (such as "The answer") all that does not fit `schema`."""
    found = violations(schema, value)
    if found:
        raise UserError(code, f"{what} does not fit its schema: {sentences(found)}.")


def arguments_of(declaration: Declaration, value: Json) -> Mapping[str, Json]:
    """The arguments of a call, valid against what the function declares. Raises: UserError `bad-arguments`."""
    require_valid(declaration.input_schema, value, code="bad-arguments", what=f"The `with` of {declaration.id}")
    if not isinstance(value, Mapping):
        raise UserError("bad-arguments", f"The `with` of {declaration.id} must be an object.")
    return value


def fields_of(value: Json) -> Mapping[str, Json]:
    """An object's fields; none for what is no object."""
    return value if isinstance(value, Mapping) else {}


def sentences(found: Sequence[Violation]) -> str:
    """Several violations as one line."""
    return "; ".join(each.sentence for each in found)


def field_name(pointer: str) -> str:
    """How people call the field at a JSON pointer: `address.street`, `items[2].price`; the whole is `the value`."""
    name = ""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        name += f"[{step}]" if step.isdigit() else f".{step}" if name else step
    return name or "the value"


@lru_cache(maxsize=512)
def _compiled(schema: str) -> jsonschema_rs.Validator:
    if not schema.startswith(("{", "true", "false")):
        raise UserError("bad-schema", "A JSON Schema is an object or a boolean.")
    try:
        return jsonschema_rs.validator_for(
            schema, validate_formats=True, offline=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            "bad-schema",
            f"This is not a usable JSON Schema: {reason}.",
            hint="References to other documents are not followed; write the schema in place.",
        ) from None


def _all_violations(validator: jsonschema_rs.Validator, value: Json) -> Iterator[Violation]:
    for error in validator.iter_errors(value):
        yield from _violations_of(error)


def _violations_of(error: jsonschema_rs.ValidationError) -> Iterator[Violation]:
    pointer = "".join(_step(step) for step in error.instance_path)
    match error.kind:
        case Kind.Required(property=name):
            yield Violation(pointer + _step(name), "is missing")
        case Kind.AdditionalProperties(unexpected=names) | Kind.UnevaluatedProperties(unexpected=names):
            for name in names:
                yield Violation(pointer + _step(name[:80]), "is not expected here")
        case kind:
            yield Violation(pointer, _words(kind))


def _words(kind: Kind) -> str:
    """What is wrong, from the schema's side alone."""
    match kind:
        case Kind.Type(types=types):
            return f"must be {' or '.join(_TYPES.get(name, name) for name in types)}"
        case Kind.Enum(options=options):
            return f"must be one of {_listed(options)}"
        case Kind.Constant(expected_value=expected):
            return f"must be {expected!r}"
        case Kind.Format(format=name):
            return f"must be {_FORMATS.get(name, f'of the format {name!r}')}"
        case Kind.Pattern(pattern=pattern):
            return f"must match the pattern {pattern!r}"
        case Kind.AnyOf(context=context) | Kind.OneOfNotValid(context=context):
            return f"fits none of the forms allowed here ({_alternatives(context)})"
        case Kind.OneOfMultipleValid():
            return "fits more than one of the forms allowed here"
        case Kind.PropertyNames(error=inner):
            return f"has a field whose name does not fit: it {_words(inner.kind)}"
        case _:
            return _bound_words(kind)


def _bound_words(kind: Kind) -> str:
    match kind:
        case Kind.Minimum(limit=limit):
            return f"must be at least {limit}"
        case Kind.Maximum(limit=limit):
            return f"must be at most {limit}"
        case Kind.ExclusiveMinimum(limit=limit):
            return f"must be more than {limit}"
        case Kind.ExclusiveMaximum(limit=limit):
            return f"must be less than {limit}"
        case Kind.MultipleOf(multiple_of=step):
            return f"must be a multiple of {step}"
        case Kind.MinLength(limit=1) | Kind.MinItems(limit=1) | Kind.MinProperties(limit=1):
            return "must not be empty"
        case Kind.MinLength(limit=limit):
            return f"must have at least {limit} characters"
        case Kind.MaxLength(limit=limit):
            return f"must have at most {limit} characters"
        case Kind.MinItems(limit=limit) | Kind.MinProperties(limit=limit):
            return f"must have at least {limit} entries"
        case Kind.MaxItems(limit=limit) | Kind.MaxProperties(limit=limit):
            return f"must have at most {limit} entries"
        case _:
            return _OTHERS.get(kind.name, f"breaks the rule {kind.name!r} of its schema")


def _alternatives(context: list[list[jsonschema_rs.ValidationError]]) -> str:
    """The first complaint of each alternative, at most three, each once."""
    firsts = [next((each for error in branch for each in _violations_of(error)), None) for branch in context[:3]]
    return "; or ".join(dict.fromkeys(first.sentence for first in firsts if first)) or "none is"


def _listed(options: Sequence[object]) -> str:
    shown = ", ".join(repr(option) for option in options[:8])
    return shown + (f" or {len(options) - 8} others" if len(options) > 8 else "")


def _step(step: str | int) -> str:
    return "/" + str(step).replace("~", "~0").replace("/", "~1")


_TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_FORMATS: Mapping[str, str] = {
    "date": "a date such as 2030-01-31",
    "time": "a time such as 13:45:00Z",
    "date-time": "a date and time such as 2030-01-31T13:45:00Z",
    "duration": "a duration such as PT15M",
    "email": "an e-mail address",
    "uri": "an address such as https://example.com",
    "uuid": "a UUID",
    "hostname": "a host name",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
}

_OTHERS: Mapping[str, str] = {
    "uniqueItems": "must not have the same entry twice",
    "contains": "lacks an entry of the required form",
    "not": "has a form that is ruled out here",
    "falseSchema": "is not allowed",
}
