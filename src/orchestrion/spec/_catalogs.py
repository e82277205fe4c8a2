"""Functions defined elsewhere: `use.catalogs`, and the places that calls name."""

import re

from orchestrion.core import Json

from ._context import TASK_VARIABLES, Context, Variables
from ._endpoint import endpoint
from ._template import pointer_step, program_of

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
_HTTP = re.compile(r"(?i:https?)://")


def catalog_definition(c: Context, value: Json, at: str, variables: Variables = TASK_VARIABLES) -> Json:
    """A catalog's endpoint, the authentication policy in place of the reference to it; None, reported, when there is none."""
    if at == "/use/catalogs/default":
        hint = "Give it another name; functions of the platform need no entry."
        c.report.error(at, "reserved-name", "The catalog `default` is the platform's own.", hint, key=True)
    found = c.report.fields(value, at, known=("endpoint",), required=("endpoint",))
    if "endpoint" not in found:
        return None
    where = f"{at}/endpoint"
    resolved = endpoint(c, found["endpoint"], where, variables, file=True)
    text = found["endpoint"] if isinstance(found["endpoint"], str) else c.report.object(found["endpoint"], where)
    address = text if isinstance(text, str) else text.get("uri")
    if isinstance(address, str) and "{" in address and program_of(address) is None:
        hint = "Write the whole address, or an expression in `${ }`."
        c.report.error(where, "bad-uri", f"The endpoint {address[:80]!r} of a catalog is no template.", hint)
    return resolved


def of_catalog(c: Context, name: str, at: str) -> Json:
    """Where `name:version@catalog` is defined: the arguments of `definition`; None, reported, when that cannot be."""
    function, _, catalog = name.rpartition("@")
    place, _, version = function.partition(":")
    known = c.definition("catalogs", "catalog", catalog, at)
    if not version:
        hint = f"Write `{place[:80]}:1.0.0@{catalog[:80]}`."
        c.report.error(at, "no-version", "The call names no version.", hint)
        return None
    if not _PART.fullmatch(place) or not _PART.fullmatch(version):
        hint = f"Write `name:version@{catalog[:80]}`, of letters, digits, hyphens and dots."
        c.report.error(at, "bad-name", f"{function[:80]!r} cannot name a function of a catalog.", hint)
        return None
    if known is None:
        return None
    resolved = catalog_definition(c, known, f"/use/catalogs{pointer_step(catalog)}")
    return None if resolved is None else {"catalog": resolved, "function": place, "version": version}


def at_address(c: Context, name: str, at: str) -> Json:
    """Where a function that is called by its address is defined: the arguments of `definition`."""
    if not _HTTP.match(name) or any(letter in name for letter in " {}"):
        hint = "Write the whole address of the definition; it starts with https:// or http://."
        c.report.error(at, "bad-uri", f"{name[:80]!r} is not the address of a function.", hint)
        return None
    return {"endpoint": name}
