"""Lengths of time: an object of units, or ISO 8601 text."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from orchestrion.core import Json, UserError

from ._model import Duration

UNITS: Mapping[str, float] = MappingProxyType(
    {"days": 86_400.0, "hours": 3_600.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 0.001}
)

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_ISO = re.compile(rf"P(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=[0-9])(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?")
_ISO_SECONDS = (604_800.0, 86_400.0, 3_600.0, 60.0, 1.0)
_LONGEST_S = 100 * 366 * 86_400.0
_HINT = "Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days."


def duration_of(value: Json) -> Duration:
    """The length of time a JSON value says, of at most a hundred years.

    Raises: UserError `bad-duration`.
    """
    match value:
        case str():
            seconds = _iso_seconds(value)
        case Mapping():
            seconds = _unit_seconds(value)
        case _:
            raise _bad("A duration is an object of units or ISO 8601 text")
    if not 0 <= seconds <= _LONGEST_S:
        raise _bad("A duration lies between zero and a hundred years")
    return Duration(seconds)


def _iso_seconds(text: str) -> float:
    found = _ISO.fullmatch(text) if len(text) <= 100 else None
    if found is None or not any(found.groups()):
        raise _bad("The text is not an ISO 8601 duration")
    return sum(float(part) * unit for part, unit in zip(found.groups(), _ISO_SECONDS, strict=True) if part)


def _unit_seconds(units: Mapping[str, Json]) -> float:
    seconds = 0.0
    for name, count in units.items():
        if name not in UNITS:
            raise _bad(f"{name!r} is not a unit of time")
        if isinstance(count, bool) or not isinstance(count, int):
            raise _bad(f"{name!r} takes a whole number")
        seconds += min(max(count, -(10**15)), 10**15) * UNITS[name]
    if not units:
        raise _bad("A duration names at least one unit")
    return round(seconds, 3)


def _bad(message: str) -> UserError:
    return UserError("bad-duration", message + ".", hint=_HINT)
