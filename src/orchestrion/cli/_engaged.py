"""Inside an agent: what its model answered, and the tools that it asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrion.core import Entry, Json, UserError, parse

from ._asked import called
from ._phrases import amount_of, listed, mapping, members, texts, titled
from ._place import Node, Place
from ._reasons import problem_in, problem_words
from ._step import Reason, Step

_MOST_DROPPED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that an answer asked for."""

    name: str
    arguments: Json


def tool_calls(entry: Entry) -> list[ToolCall]:
    """The tool calls of a model's answer, in order."""
    parts = [mapping(part) for part in members(mapping(entry.output).get("parts"))]
    return [
        ToolCall(name=str(part.get("tool_name", "")), arguments=_arguments(part.get("args")))
        for part in parts
        if part.get("part_kind") == "tool-call"
    ]


def _arguments(written: Json) -> Json:
    """Arguments as a model writes them: an object, or its JSON text."""
    if not isinstance(written, str):
        return written
    try:
        return parse(written)
    except UserError:
        return written


def spoken(entry: Entry) -> Json:
    parts = [mapping(part) for part in members(mapping(entry.output).get("parts"))]
    spoken = [part.get("content") for part in parts if part.get("part_kind") == "text"]
    return spoken[0] if spoken else None


def prompt_in(given: Json) -> Json:
    """What an agent was given, from the first request to its model."""
    first = mapping(next(iter(members(mapping(given).get("new"))), None))
    return _arguments(first.get("prompt"))


def as_tool(step: Step, calls: Sequence[ToolCall], place: Place) -> Step:
    """A tool's step under the name the model called, with the arguments it chose."""
    if place.number >= len(calls):
        return step
    call = calls[place.number]
    label = called(call.name, amount_of(call.arguments))
    title = titled(call.name) + label[len(call.name) :]
    return replace(step, name=label, title=title)


def failed_model(entry: Entry) -> Reason:
    problem = problem_in(entry.problem)
    words = problem_words(problem) if problem else "it failed"
    return Reason("model", f"{mapping(entry.input).get('model')} was asked first: {words}")


def last_answer(node: Node) -> Entry | None:
    found = [entry for fact, entry in node.facts.items() if fact.startswith("fallback/")]
    return found[-1] if found else node.own


def dropped_fields(node: Node) -> tuple[str, ...]:
    """Paths of what an agent was not given, because its file does not declare it."""
    entry = next((entry for fact, entry in node.facts.items() if fact.endswith("/dropped")), None)
    return texts(entry.output) if entry is not None else ()


def dropped_reasons(node: Node) -> list[Reason]:
    """The same in words."""
    paths = dropped_fields(node)
    if not paths:
        return []
    more = [f"{len(paths) - _MOST_DROPPED:,} more"] if len(paths) > _MOST_DROPPED else []
    return [
        Reason("record", f"not given, because its file does not declare it: {listed([*paths[:_MOST_DROPPED], *more])}")
    ]
