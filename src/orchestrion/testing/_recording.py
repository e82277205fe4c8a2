"""Recording a journal: everything that changed it, in order, so that each state it was in can be made again."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, cast

from orchestrion import core
from orchestrion.core import Clock, Datum, Journal, Json, Write, labels_from, labels_json

CHANGES = frozenset(
    {
        "keep_document",
        "start",
        "copy",
        "claim",
        "write",
        "rest",
        "release",
        "answer",
        "cancel",
        "retry",
        "receive",
        "deliver",
    }
)
"""The methods of a journal that change it."""

Change = Mapping[str, Json]


class RecordingJournal:
    """A journal in memory that keeps what was done to it."""

    def __init__(self, inner: Journal, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.changes: list[Change] = []

    @property
    def journal(self) -> Journal:
        return cast("Journal", self)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in CHANGES:
            return method

        def recorded(*args: Any, **named: Any) -> Any:
            at = self._clock.now()
            self.changes.append({"change": name, "at": at, "args": to_json(list(args)), "named": to_json(named)})
            return method(*args, **named)

        return recorded


async def make_again(journal: Journal, change: Change) -> None:
    """Do to a journal what was recorded."""
    method = cast("Callable[..., Any]", getattr(journal, cast("str", change["change"])))
    args = cast("Sequence[Any]", from_json(change["args"]))
    done = method(*args, **cast("Mapping[str, Any]", from_json(change["named"])))
    if inspect.isawaitable(done):
        await done


def writes_of(change: Change) -> Sequence[Write]:
    """The writes of a recorded transaction; empty for anything else."""
    if change["change"] != "write":
        return ()
    return cast("Sequence[Write]", cast("Sequence[Any]", from_json(change["args"]))[2])


def to_json(value: Any) -> Json:
    """The journal's words as JSON: a word stands as `{"$": its name, …}`."""
    if isinstance(value, Datum):
        return {"$": "Datum", "value": value.value, "labels": labels_json(value.labels)}
    if isinstance(value, Enum):
        return {"$": type(value).__name__, "is": cast("str", value.value)}
    if is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        return {
            "$": type(value).__name__,
            **{name: to_json(inner) for name, inner in given.items() if inner is not None},
        }
    if isinstance(value, tuple):
        return {"$": "tuple", "of": [to_json(inner) for inner in cast("tuple[Any, ...]", value)]}
    if isinstance(value, Mapping):
        return {name: to_json(inner) for name, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_json(inner) for inner in cast("Sequence[Any]", value)]
    return cast("Json", value)


def from_json(value: Json) -> Any:
    """What `to_json` wrote."""
    if isinstance(value, Mapping):
        match value.get("$"):
            case None:
                return {name: from_json(inner) for name, inner in value.items()}
            case "tuple":
                return tuple(from_json(value["of"]))
            case "Datum":
                return Datum(value["value"], labels_from(value["labels"]))
            case name if "is" in value:
                return _word(name)(value["is"])
            case name:
                return _word(name)(**{member: from_json(inner) for member, inner in value.items() if member != "$"})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [from_json(inner) for inner in value]
    return value


def _word(name: Json) -> type:
    """A type of the core by its name."""
    found: object = getattr(core, str(name))
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, Enum)):
        raise TypeError(f"{name!r} is not one of the journal's words")
    return found
