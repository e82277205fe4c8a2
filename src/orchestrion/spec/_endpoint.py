"""Endpoints: an address, or an address with how to authenticate there."""

import re

from orchestrion.core import Json

from ._authentication import policy
from ._context import Context, Variables
from ._template import program_of
from ._values import uri

_ABSOLUTE = re.compile(r"(?i:https?)://|\{")
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def endpoint(c: Context, value: Json, at: str, variables: Variables, *, file: bool = False) -> Json:
    """The endpoint, its authentication policy in place of the reference to it. `file`: it may be one of the project."""
    if isinstance(value, str):
        _address(c, value, at, variables, file=file)
        return value
    found = c.report.fields(value, at, known=("uri", "authentication"), required=("uri",))
    resolved = dict(found)
    if "uri" in found:
        _address(c, found["uri"], f"{at}/uri", variables, file=file)
    if "authentication" in found:
        resolved["authentication"] = policy(c, found["authentication"], f"{at}/authentication", variables)
    return resolved


def resource(c: Context, value: Json, at: str, variables: Variables, *, file: bool = False) -> Json:
    """An external resource."""
    found = dict(c.report.fields(value, at, known=("name", "endpoint"), required=("endpoint",)))
    if "name" in found:
        c.report.text(found["name"], f"{at}/name")
    if "endpoint" in found:
        found["endpoint"] = endpoint(c, found["endpoint"], f"{at}/endpoint", variables, file=file)
    return found


def _address(c: Context, value: Json, at: str, variables: Variables, *, file: bool) -> None:
    text = uri(c, value, at, variables)
    if not text or program_of(text) is not None or _ABSOLUTE.match(text) or text.lstrip().startswith("${"):
        return
    if not file:
        c.report.error(at, "bad-uri", f"{text[:80]!r} is not an http address.", "Start it with https:// or http://.")
    elif _ANY_SCHEME.match(text.removeprefix("file:")) or text.removeprefix("file:").startswith("/"):
        hint = "Start it with https:// or http://, or write a path that starts at the project's folder."
        c.report.error(at, "bad-uri", f"{text[:80]!r} is neither an http address nor a file of the project.", hint)
