"""Errors a workflow raises and events it emits: templates whose fields the standard types."""

import re
from collections.abc import Mapping

from orchestrion.core import Json, canonical_error_type

from ._context import Context, Variables
from ._template import Template, compile_template, pointer_step, program_of
from ._values import template, uri

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
"""What CloudEvents allows as the name of an attribute."""
_TEXTS = ("id", "type", "subject", "datacontenttype")


def error_template(c: Context, value: Json, at: str, variables: Variables) -> Template:
    """An error, or the name of one under `use.errors`."""
    if isinstance(value, str):
        definition = c.definition("errors", "error", value, at)
        if definition is None:
            return compile_template({})
        return error_definition(c, definition, "/use/errors" + pointer_step(value), variables)
    return error_definition(c, value, at, variables)


def error_definition(c: Context, value: Json, at: str, variables: Variables) -> Template:
    names = ("type", "status", "title", "detail", "instance")
    found = c.report.fields(value, at, known=names, required=("type", "status"))
    if "status" in found:
        c.report.integer(found["status"], f"{at}/status")
    for name in ("title", "detail"):
        if name in found:
            c.report.text(found[name], f"{at}/{name}")
    if "instance" in found:
        _instance(c, found["instance"], f"{at}/instance")
    written = dict(found)
    kind = uri(c, written.pop("type"), f"{at}/type", variables) if "type" in found else ""
    template(c, written, at, variables)
    return compile_template({**found, "type": canonical_error_type(kind)})


def event_template(c: Context, value: Json, at: str, variables: Variables) -> Template:
    """The attributes of an event to emit. Attributes the standard does not name are CloudEvents extensions."""
    found = c.report.object(value, at)
    if "type" not in found and isinstance(value, Mapping):
        c.report.error(
            at, "missing-field", "`type` is missing.", "Name the event: `type: com.example.order.placed`.", key=True
        )
    for name in _TEXTS:
        if name in found:
            c.report.text(found[name], f"{at}/{name}")
    for name in found:
        if not ATTRIBUTE.fullmatch(name) and name != "data_base64":
            hint = "Attributes have names of small letters and digits; what an event holds stands under `data`."
            c.report.error(
                f"{at}{pointer_step(name)}",
                "bad-attribute",
                f"{name[:80]!r} cannot name an attribute of an event.",
                hint,
                key=True,
            )
    written = dict(found)
    for name in ("source", "dataschema"):
        if name in found:
            uri(c, written.pop(name), f"{at}/{name}", variables)
    if "time" in found:
        _time(c, found["time"], f"{at}/time")
    template(c, written, at, variables)
    return compile_template(found)


def _instance(c: Context, value: Json, at: str) -> None:
    """Source: the standard's schema takes a text here twice over, as any text and as an expression, so that none fits."""
    text = c.report.text(value, at)
    if program_of(text) is not None or not _POINTER.fullmatch(text):
        hint = "Leave it out: it is filled with the place of the task."
        c.report.error(at, "bad-value", "`instance` must be a JSON pointer, not an expression.", hint)


def _time(c: Context, value: Json, at: str) -> None:
    """An expression is refused for the same reason as in `_instance`."""
    text = c.report.text(value, at)
    if isinstance(value, str) and not _TIME.fullmatch(text):
        hint = "Leave it out: it is filled with the time the event is emitted."
        c.report.error(at, "bad-value", "`time` must be a literal date and time such as 2030-01-31T08:00:00Z.", hint)
