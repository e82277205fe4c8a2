"""CloudEvents in their JSON format: what makes one, and what is wrong with what is none."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from ._clock import iso, new_id
from ._errors import UserError
from ._events import Event
from ._json import Json, dump

LARGEST_EVENT = 16 * 1024 * 1024
"""Characters of an event's JSON text."""

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
_URI = re.compile(r"[^\s\x00-\x20\x7f]+")
_TIME = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HINT = "An event has at least `source`, `id` and `type`, and its content under `data`."
_INTEGERS = range(-(2**31), 2**31)


def event_of(
    value: Json, *, now: float, labels: Mapping[str, Sequence[str]] | None = None, received_at: float | None = None
) -> Event:
    """The event that a CloudEvent's JSON describes. One without `specversion`, `id` or `time` is given them.

    Raises: UserError `bad-event` that names the attribute, `event-too-large`.

    Source: CloudEvents 1.0.2, sections 3 and 4; its JSON event format, sections 2 and 3.
    """
    if not isinstance(value, Mapping):
        raise UserError("bad-event", f"An event is a JSON object, not {_kind(value)}.", hint=_HINT)
    body: dict[str, Json] = {"specversion": "1.0", **value}
    body.setdefault("id", new_id())
    body.setdefault("time", iso(now))
    _require_attributes(body)
    _require_content(body)
    length = len(dump(body))
    if length > LARGEST_EVENT:
        raise UserError(
            "event-too-large",
            f"The event has {length:,} characters of JSON; the largest may have {LARGEST_EVENT:,}.",
            hint="Keep large content in a file or a database and send its address.",
        )
    return Event(
        source=str(body["source"]),
        id=str(body["id"]),
        type=str(body["type"]),
        body=body,
        labels=labels,
        received_at=now if received_at is None else received_at,
    )


def _require_attributes(body: Mapping[str, Json]) -> None:
    for name in ("source", "id", "type"):
        if name not in body:
            raise _bad(name, "is missing")
    if body["specversion"] != "1.0":
        raise _bad("specversion", f"is {body['specversion']!r}; this understands '1.0'")
    for name, value in body.items():
        if name in {"data", "data_base64"} or value is None:
            continue
        if not _ATTRIBUTE.fullmatch(name):
            raise UserError(
                "bad-event",
                f"{name[:64]!r} cannot name an attribute of an event.",
                hint="Attributes have names of small letters and digits; other things belong under `data`.",
            )
        _require_value(name, value)
        if isinstance(value, str) and _CONTROL.search(value):
            raise _bad(name, "holds control characters")


def _require_value(name: str, value: Json) -> None:
    match name:
        case "source" | "dataschema":
            if not isinstance(value, str) or not _URI.fullmatch(value):
                raise _bad(name, f"must be a URI reference without spaces; it is {_kind(value)}")
        case "id" | "type" | "subject" | "datacontenttype":
            if not isinstance(value, str) or not value:
                raise _bad(name, f"must be text that is not empty; it is {_kind(value)}")
        case "time":
            if not isinstance(value, str) or not _TIME.fullmatch(value):
                raise _bad(name, "must be a date and time such as 2030-01-31T08:00:00Z")
        case _:
            whole = isinstance(value, int) and value in _INTEGERS
            if not (isinstance(value, str | bool) or whole):
                raise _bad(name, f"must be text, true or false, or a whole number of 32 bits; it is {_kind(value)}")


def _require_content(body: Mapping[str, Json]) -> None:
    encoded = body.get("data_base64")
    if encoded is None:
        return
    if body.get("data") is not None:
        raise _bad("data_base64", "stands beside `data`; an event has one of them")
    try:
        base64.b64decode(encoded if isinstance(encoded, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise _bad("data_base64", "is not base64 text") from None


def _bad(name: str, why: str) -> UserError:
    return UserError("bad-event", f"The event's `{name}` {why}.", hint=_HINT)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case str():
            return "text" if value else "an empty text"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case _:
            return "a list"
