"""Whether an event fits a filter: the same answer for the engine that routes and for the run that takes."""

import json
from collections.abc import Mapping, Sequence

from orchestrion.core import Event, EventFilter, Json, Place

from ._state import Evaluator

_ABSENT = object()


async def values_of(wanted: EventFilter, event: Event, evaluator: Evaluator) -> Sequence[Json] | None:
    """What the event has at the filter's `equal` places, and what its `keys` give; None when it does not fit.

    Raises: OrchestrionError for a program that cannot be evaluated.
    """
    if wanted.type is not None and wanted.type != event.type:
        return None
    if any(value_at(event.body, place) != literal for place, literal in wanted.literals):
        return None
    for place, pattern in wanted.patterns:
        text = value_at(event.body, place)
        if not isinstance(text, str):
            return None
        if text != pattern and not await _holds(_fits(pattern), text, {}, evaluator):
            return None
    for place, program, variables in wanted.programs:
        if not await _holds(program, _known_at(event.body, place), variables, evaluator):
            return None
    found = [_known_at(event.body, place) for place in wanted.equal]
    for program, variables in wanted.keys:
        (value,) = await evaluator.evaluate([program], {**variables, ".": event.body})
        if value is None:
            return None
        found.append(value)
    return found


async def _holds(program: str, dot: Json, variables: Mapping[str, Json], evaluator: Evaluator) -> bool:
    """An expression that gives true or false decides; any other result must be the value itself."""
    (result,) = await evaluator.evaluate([program], {**variables, ".": dot})
    return result if isinstance(result, bool) else result is not None and result == dot


def _fits(pattern: str) -> str:
    """Patterns are tried by jq, whose process has a deadline: a text that comes from outside could keep ours busy for ever."""
    return f"test({json.dumps(f'^(?:{pattern})$')})"


def value_at(body: Json, place: Place) -> object:
    """The value there, or something equal to nothing."""
    for name in place:
        if not isinstance(body, Mapping) or name not in body:
            return _ABSENT
        body = body[name]
    return body


def _known_at(body: Json, place: Place) -> Json:
    found = value_at(body, place)
    return None if found is _ABSENT else found  # pyright: ignore[reportReturnType] what is not absent is JSON


def read_event(body: Mapping[str, Json], read: str) -> tuple[Json, str | None]:
    """The event as `read` says, and the place within the event it was taken from; None where it was written anew."""
    match read:
        case "envelope":
            return body, ""
        case "raw":
            return _raw(body), None
        case _:
            return (body["data"], "/data") if "data" in body else (body.get("data_base64"), "/data_base64")


def _raw(body: Mapping[str, Json]) -> Json:
    """The content as text."""
    content = body.get("data", body.get("data_base64"))
    return content if content is None or isinstance(content, str) else json.dumps(content, ensure_ascii=False)
