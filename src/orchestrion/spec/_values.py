"""The parts that many tasks share: expressions, templates, durations, schemas, URIs."""

import re
from collections.abc import Mapping

from orchestrion.core import Json, UserError

from ._context import WORKFLOW_VARIABLES, Context, Variables
from ._duration import duration_of
from ._model import Duration, Export, ExpressionAt, Input, Length, Output
from ._report import shown, type_name
from ._schema import Schema
from ._template import Expression, Template, compile_expression, compile_template, pointer_step, program_of

_URI = re.compile(r"[^\s\ufeff]+")
_LINE_BREAK = re.compile(r"[\n\r\u2028\u2029]")
_FOLD = "Write it on one line, or fold it with `>-`."


def program(c: Context, value: Json, at: str, variables: Variables) -> str:
    """The program of a field that is always an expression, bare or wrapped in `${ }`."""
    if isinstance(value, bool):
        hint = f"Write '{str(value).lower()}' in quotes: an expression is text."
        c.report.error(at, "wrong-type", f"This must be an expression; it is {type_name(value)}.", hint)
        return ""
    return _record(c, compile_expression(c.report.text(value, at)), at, variables).programs[0]


def template(c: Context, value: Json, at: str, variables: Variables) -> Template:
    """A value in which texts that as a whole are `${ }` are expressions."""
    return _record(c, compile_template(value), at, variables)


def transformation(c: Context, value: Json, at: str, variables: Variables) -> Template:
    """`from` or `as`: text is an expression, an object is a template."""
    if isinstance(value, str):
        return _record(c, compile_expression(value), at, variables)
    return template(c, c.report.object(value, at), at, variables)


def wrapped(c: Context, text: str, at: str, variables: Variables) -> Expression | None:
    """The expression, where only `${ }` on one line is one; None for other text."""
    found = program_of(text)
    if found is None:
        return None
    if _LINE_BREAK.search(text.strip()):
        c.report.error(at, "several-lines", "The expression may not have several lines here.", _FOLD)
    _record(c, compile_template(text), at, variables)
    return Expression(found)


def uri(c: Context, value: Json, at: str, variables: Variables) -> str:
    """A URI, URI template or wrapped expression, as written."""
    text = c.report.text(value, at)
    if isinstance(value, str) and wrapped(c, text, at, variables) is None:
        if text.lstrip().startswith("${"):
            c.report.error(at, "bad-uri", "This expression has no end.", "Close it with `}`.")
        elif not _URI.fullmatch(text):
            message = f"{shown(text)} is not a URI: it is empty or has spaces."
            c.report.error(at, "bad-uri", message, "Write spaces as %20.")
    return text


def length(c: Context, value: Json, at: str, variables: Variables, *, zero: bool = False) -> Length:
    """A duration, or the expression that gives one. `zero`: whether no time at all makes sense."""
    if isinstance(value, str):
        expression = wrapped(c, value, at, variables)
        if expression is not None:
            return expression
    try:
        found = duration_of(value)
    except UserError as error:
        c.report.error(at, error.code, f"{shown(value)} cannot be used. {error.message}", error.hint)
        return Duration(1.0)
    if found.seconds == 0 and not zero:
        c.report.error(at, "bad-duration", "The duration is zero.", "Give at least a millisecond.")
    return found


def timeout(c: Context, value: Json, at: str, variables: Variables) -> Length:
    """A timeout, or the name of one under `use.timeouts`."""
    if isinstance(value, str):
        if value not in c.definitions("timeouts") and value.startswith("P"):
            hint = f"A duration stands under `after`: `timeout: {{ after: {value[:40]} }}`."
            c.report.error(at, "unknown-timeout", f"The timeout {value[:80]!r} does not exist here.", hint)
            return Duration(1.0)
        definition = c.definition("timeouts", "timeout", value, at)
        return (
            Duration(1.0)
            if definition is None
            else timeout_definition(c, definition, "/use/timeouts" + pointer_step(value), variables)
        )
    return timeout_definition(c, value, at, variables)


def timeout_definition(c: Context, value: Json, at: str, variables: Variables) -> Length:
    found = c.report.fields(value, at, known=("after",), required=("after",))
    return length(c, found["after"], f"{at}/after", variables) if "after" in found else Duration(1.0)


def schema(c: Context, value: Json, at: str) -> Schema | None:
    """A schema that stands in the document."""
    found = c.report.fields(value, at, known=("format", "document", "resource"))
    kind = c.report.text(found["format"], f"{at}/format") if "format" in found else "json"
    if kind and kind.split(":")[0] != "json":
        c.report.unsupported(f"{at}/format", "schema-format")
    if "resource" in found:
        c.report.unsupported(f"{at}/resource", "schema-resource")
    elif "document" in found:
        return _compiled(c, found["document"], f"{at}/document")
    elif isinstance(value, Mapping):
        c.report.error(
            at, "missing-field", "`document` is missing.", "Write the JSON Schema under `document:`.", key=True
        )
    return None


def input_(c: Context, value: Json, at: str, variables: Variables = WORKFLOW_VARIABLES) -> Input:
    found = c.report.fields(value, at, known=("schema", "from"))
    return Input(
        schema=schema(c, found["schema"], f"{at}/schema") if "schema" in found else None,
        from_=transformation(c, found["from"], f"{at}/from", variables) if "from" in found else None,
    )


def output(c: Context, value: Json, at: str, variables: Variables = WORKFLOW_VARIABLES) -> Output:
    found = c.report.fields(value, at, known=("schema", "as"))
    return Output(
        schema=schema(c, found["schema"], f"{at}/schema") if "schema" in found else None,
        as_=transformation(c, found["as"], f"{at}/as", variables) if "as" in found else None,
    )


def export(c: Context, value: Json, at: str, variables: Variables) -> Export:
    found = c.report.fields(value, at, known=("schema", "as"))
    return Export(
        schema=schema(c, found["schema"], f"{at}/schema") if "schema" in found else None,
        as_=transformation(c, found["as"], f"{at}/as", variables) if "as" in found else None,
    )


def _compiled(c: Context, document: Json, at: str) -> Schema | None:
    try:
        return Schema(document)
    except UserError as error:
        c.report.error(at, error.code, error.message, error.hint)
        return None


def _record(c: Context, compiled: Template, at: str, variables: Variables) -> Template:
    for text, place in zip(compiled.programs, compiled.places, strict=True):
        if text:
            c.expressions.append(ExpressionAt(program=text, pointer=at + place, variables=variables))
        else:
            c.report.error(at + place, "empty-expression", "The expression is empty.", "Write `.` for the whole input.")
    return compiled
