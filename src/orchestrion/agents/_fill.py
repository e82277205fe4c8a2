"""Arguments filled into what a tool does: SQL parameters, addresses, bodies."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from orchestrion.core import Json, UserError, dump

_SLOT = re.compile(r"\{([A-Za-z_]\w*)\}")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAMETER = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")


def parameters_of(statement: str) -> set[str]:
    """The `:name` parameters of an SQL statement."""
    return set(_PARAMETER.findall(_QUOTED.sub(" ", statement)))


def slot_of(value: Json) -> str | None:
    """The argument that a text which is one `{name}` alone stands for."""
    only = _SLOT.fullmatch(value) if isinstance(value, str) else None
    return only[1] if only else None


def names_in(value: Json) -> set[str]:
    """The arguments that `{name}` stands for anywhere in a JSON value."""
    match value:
        case str():
            return set(_SLOT.findall(value))
        case Mapping():
            return set[str]().union(*(names_in(member) for member in value.values()))
        case Sequence():
            return set[str]().union(*(names_in(member) for member in value))
        case _:
            return set()


def filled(value: Json, arguments: Mapping[str, Json]) -> Any:
    """A JSON value with arguments in it. A text that is one `{name}` alone becomes the argument itself."""
    match value:
        case str():
            if (only := _SLOT.fullmatch(value)) is not None:
                return arguments.get(only[1])
            return _SLOT.sub(lambda slot: _text(arguments.get(slot[1])), value)
        case Mapping():
            return {name: filled(member, arguments) for name, member in value.items()}
        case Sequence():
            return [filled(member, arguments) for member in value]
        case _:
            return value


def filled_address(address: str, arguments: Mapping[str, Json]) -> str:
    """An address with arguments in it, escaped so that none of them can leave its place.

    Raises: UserError `bad-argument` for one that would still change the path.
    """
    return _SLOT.sub(lambda slot: _segment(slot[1], _text(arguments.get(slot[1]))), address)


def _segment(name: str, text: str) -> str:
    if text in {"", ".", ".."}:
        raise UserError("bad-argument", f"The argument {name!r} may not be {text!r}: it is part of an address.")
    return quote(text, safe="")


def _text(value: Json) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else dump(value)
