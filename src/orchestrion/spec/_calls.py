"""`call`: what the language names itself, functions of the default catalog, and the document's own functions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from orchestrion.core import Json, UserError

from ._catalogs import at_address, of_catalog
from ._context import Context, Variables
from ._report import nearest
from ._schema import Schema, Violation
from ._services import SERVICES
from ._source import steps_of
from ._template import Template, compile_template
from ._values import template

_REFUSED = ("asyncapi", "grpc")
_WHOLE = frozenset(
    {"anyOf", "oneOf", "allOf", "not", "if", "then", "else", "const", "enum", "uniqueItems", "contains", "minContains"}
    | {"maxContains", "dependentSchemas", "$ref", "$dynamicRef", "unevaluatedItems", "unevaluatedProperties"}
)
"""Keywords that judge a value by what is inside it."""


class Called(NamedTuple):
    """What a call resolves to."""

    function: str
    kind: Literal["service", "function", "defined", "elsewhere", "refused"]
    definition: Json = None
    """Where the function is defined, for `elsewhere`."""


def resolve(c: Context, value: Json, at: str) -> Called:
    """The function that `call` names, having reported one that cannot be called."""
    name = c.report.text(value, at)
    if name in SERVICES:
        return Called(name, "service")
    if name in _REFUSED:
        c.report.unsupported(at, f"call-{name}")
    elif "://" in name:
        definition = at_address(c, name, at)
        return Called(name, "elsewhere" if definition else "refused", definition)
    elif name in c.definitions("functions"):
        return Called(name, "defined")
    elif name.endswith("@default"):
        return _of_catalog(c, name.removesuffix("@default"), at)
    elif "@" in name:
        definition = of_catalog(c, name, at)
        return Called(name, "elsewhere" if definition else "refused", definition)
    elif name or isinstance(value, str):
        _unknown(c, name, at)
    return Called("", "refused")


def function_arguments(c: Context, value: Json, at: str, variables: Variables, function: str) -> Template:
    """`with` of a call of the default catalog, checked against what the function declares."""
    declared = c.functions.get(function) if c.functions else None
    arguments = c.report.object(value, at)
    if declared is not None:
        if function not in c.schemas:
            c.schemas[function] = Schema(declared.input_schema)
        check_arguments(c, arguments, at, c.schemas[function], f"`{function}`")
    return template(c, arguments, at, variables)


def check_arguments(c: Context, arguments: Mapping[str, Json], at: str, schema: Schema, function: str) -> None:
    """Report where `arguments`, as far as they are literal, break the schema of the function's input."""
    expressions = frozenset(compile_template(arguments).places)
    for violation in schema.violations(arguments, limit=20):
        if _is_literal(violation, expressions):
            where = violation.pointer or "`with`"
            message = f"{function} does not accept {where}: {violation.message}."
            c.report.error(
                at + violation.pointer, "bad-arguments", message, _argument_hint(violation, schema), key=True
            )


def _of_catalog(c: Context, function: str, at: str) -> Called:
    known = c.functions
    if ":" not in function:
        latest = known.get(function) if known else None
        version = latest.version if latest else "1.0.0"
        c.report.error(at, "no-version", "The call names no version.", f"Write `{function}:{version}@default`.")
        return Called("", "refused")
    try:
        if known is None or function in known:
            return Called(function, "function")
        same = known.get(function.split(":", 1)[0])
    except UserError as error:  # it is there, and of no use
        c.report.error(at, error.code, error.message, error.hint)
        return Called("", "refused")
    if same is not None:
        hint = f"There is version {same.version}."
        c.report.error(at, "unknown-function", f"The default catalog has no {function[:80]!r}.", hint)
    else:
        _unknown(c, f"{function}@default", at)
    return Called("", "refused")


def _unknown(c: Context, name: str, at: str) -> None:
    """Report a function that is nowhere, with the way to write the one that was meant."""
    catalog = {d.name: f"{d.id}@default" for d in c.functions.values()} if c.functions else {}
    ways = {**catalog, **{own: own for own in SERVICES}, **{own: own for own in c.definitions("functions")}}
    near = nearest(name.split(":")[0].split("@")[0], ways)
    hint = f"Did you mean '{ways[near]}'?" if near else f"Known here: {', '.join(sorted(ways.values())[:20])}."
    c.report.error(at, "unknown-function", f"The function {name[:80]!r} does not exist here.", hint)


def _is_literal(violation: Violation, expressions: frozenset[str]) -> bool:
    """Whether a violation would stand whatever the expressions give."""
    at = violation.pointer
    if any(at == place or at.startswith(place + "/") for place in expressions):
        return False
    return violation.keyword not in _WHOLE or not any(place.startswith(at + "/") for place in expressions)


def _argument_hint(violation: Violation, schema: Schema) -> str | None:
    document = schema.document
    properties = document.get("properties") if isinstance(document, Mapping) else None
    if violation.pointer.count("/") > 1 or not isinstance(properties, Mapping):
        return None
    for step in steps_of(violation.pointer):
        described = properties.get(step)
        text = described.get("description") if isinstance(described, Mapping) else None
        return f"{step}: {text}" if isinstance(text, str) else None
    return f"It takes: {', '.join(_listed(properties, document))}."


def _listed(properties: Mapping[str, Json], document: Json) -> Iterator[str]:
    required = document.get("required") if isinstance(document, Mapping) else None
    needed = required if isinstance(required, Sequence) else ()
    for name in properties:
        yield f"{name} (needed)" if name in needed else name
