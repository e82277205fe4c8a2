"""The text of a document as data."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from orchestrion.core import Json, UserError, parse

_MOST_PARTS = 2_000_000
_MARK = b"\xef\xbb\xbf"


def parsed(text: bytes) -> Json:
    """JSON or YAML 1.2. Keys that look like numbers are text, as everybody writes statuses; dates are text too.

    Raises: ValueError that says what is wrong and where.
    """
    text = text.removeprefix(_MARK)
    if text.lstrip().startswith(b"{"):
        try:
            return parse(text)
        except UserError:
            pass  # a flow mapping of YAML
    try:
        loaded = cast("object", YAML(typ="safe", pure=True).load(text.decode()))  # pyright: ignore[reportUnknownMemberType]  ruamel has no types
    except MarkedYAMLError as error:
        told = cast("Any", error)  # ruamel has no types
        line = told.problem_mark.line + 1 if told.problem_mark else 0
        raise ValueError(f"{told.problem} (line {line})") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(str(error).splitlines()[0] if str(error) else "it cannot be read") from None
    try:
        return _plain(loaded, iter(range(_MOST_PARTS)))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _plain(value: Any, parts: Iterator[int]) -> Json:  # whatever YAML can hold
    if next(parts, None) is None:
        raise ValueError("it is too large")
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            members = cast("Mapping[object, object]", value)
            return {_key(name): _plain(each, parts) for name, each in members.items()}
        case date():
            return value.isoformat()
        case Sequence():
            return [_plain(each, parts) for each in cast("Sequence[object]", value)]
        case _:
            raise ValueError(f"it holds a {type(value).__name__}")


def _key(name: object) -> str:
    return str(name).lower() if isinstance(name, bool) else str(name)
