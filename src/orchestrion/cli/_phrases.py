"""Times, amounts and values as people say them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrion.core import Json, dump

from ._step import Cost

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-\s]+")
_SPACES = re.compile(r"\s+")
_SAID = ("message", "text", "question", "request", "subject", "title", "reply", "answer", "summary", "result")
"""Fields whose text says for people what a value is about, the best first."""
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LANGUAGES = ("en", "de", "fr", "es")


def titled(name: str) -> str:
    """`findCustomer` and `find_customer` as `Find customer`."""
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in _HUMP.split(name) if word]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def lasting(seconds: float) -> str:
    """A length of time, with as much of it as matters."""
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if seconds < 3600:
        whole = round(seconds)
        return _two(whole // 60, "min", whole % 60, "s")
    if minutes < 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(seconds / 3600)
    return _two(hours // 24, "d", hours % 24, "h")


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first} {unit} {second} {smaller}" if second else f"{first} {unit}"


def zone(name: str) -> tzinfo:
    """The time zone of that name; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def clock(at: float, timezone: str) -> str:
    return datetime.fromtimestamp(at, zone(timezone)).strftime("%H:%M:%S")


def moment(at: float, timezone: str) -> str:
    """Date, time and zone, to the minute."""
    return datetime.fromtimestamp(at, zone(timezone)).strftime("%d %b %Y %H:%M %Z")


def price(cost: Cost) -> str:
    """What something cost; empty when it used nothing that has a price."""
    if not cost.tokens and not cost.usd_micros:
        return ""
    tokens = f"{cost.tokens:,} tokens"
    if not cost.known:
        return f"{tokens}, price unknown"
    usd = cost.usd_micros / 1_000_000
    return f"${usd:.2f} ({tokens})" if usd >= 0.1 else f"${usd:.4f} ({tokens})"


def percent(share: float) -> str:
    """A share of 1 in percent; only the whole is 100."""
    return f"{min(round(share * 100), 99) if share < 1 else 100} %"


def sure(confidence: float) -> str:
    """A confidence in percent; a calibrated one is rounded when it is stored, and never certainty."""
    return percent(confidence) if confidence < 0.995 else "more than 99 %"


def counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def quoted(text: str, most: int = 90) -> str:
    return f'"{cut(text, most)}"'


def cut(text: str, most: int) -> str:
    """On one line, with `…` where something was left out."""
    line = _SPACES.sub(" ", text).strip()
    return line if len(line) <= most else line[: max(most - 1, 0)].rstrip() + "…"


def printable(text: str, keep: str = "") -> str:
    """Without what could steer a terminal or turn the direction of writing; `keep` names control characters that stay."""
    return "".join(char if char in keep or not _steers(char) else "\N{REPLACEMENT CHARACTER}" for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _DIRECTIONS


def amount_of(arguments: Json) -> str | None:
    """The money that a call is about, if an argument says so: `*_cents` in whole units, `amount…` as it stands."""
    if not isinstance(arguments, Mapping):
        return None
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name.endswith("cents"):
            return f"{value / 100:,.2f}"
        if name.startswith("amount"):
            return f"{value:,.2f}" if value != int(value) else f"{value:,.0f}"
    return None


def said(value: Json) -> str:
    """The text in a value that a person would read first; else the whole value as one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for name in (*_SAID, *_LANGUAGES):
            found = value.get(name)
            if isinstance(found, str) and found.strip():
                return found
            if isinstance(found, Mapping):
                return said(found)
    return pairs(value)


def pairs(value: Json) -> str:
    """A value as `name: value, …`, without the braces and quotes of JSON where they say nothing."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain(member)}" for name, member in value.items())
    return _plain(value)


def _plain(value: Json) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            return dump(value)


def entity(subject: str | None) -> str:
    """`Agent::billing` as `agent billing`."""
    kind, found, name = (subject or "").partition("::")
    return f"{kind.lower()} {name}" if found else kind


def mapping(value: Json) -> Mapping[str, Json]:
    """An object's members; none for any other value."""
    return value if isinstance(value, Mapping) else {}


def texts(value: Json) -> tuple[str, ...]:
    """The texts of a list; none for any other value."""
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        return ()
    return tuple(item for item in cast("Sequence[Json]", value) if isinstance(item, str))


def members(value: Json) -> Sequence[Json]:
    """The items of a list; none for any other value."""
    return () if isinstance(value, str | Mapping) or not isinstance(value, Sequence) else value
