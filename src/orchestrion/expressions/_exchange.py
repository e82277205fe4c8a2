"""What is sent to a worker and what comes back."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrion.core import Json, OrchestrionError, dump, parse

from ._errors import ExpressionError, failure, shown, syntax_problem
from ._program import facts

NOW = "__now"
_LARGEST = 1.7976931348623157e308


class Request:
    """Programs and the values they read, each value once."""

    def __init__(self, programs: Sequence[str], variables: Mapping[str, Json]) -> None:
        self._programs = programs
        self._variables = variables
        self._values: list[str] = []
        self._lines: dict[tuple[str, int], int] = {}

    def frame(self) -> bytes:
        header: list[Json] = [self._entry(program) for program in self._programs]
        return "\n".join([dump(header), *self._values]).encode()

    def _entry(self, program: str) -> Json:
        known = facts(program)
        names = sorted(name for name in known.variables if name in self._variables)
        if known.mentions_now:
            names = [*(name for name in names if name != NOW), NOW]
        lines = [self._line(".", self._variables.get(".")) if known.needs_input else -1]
        for name in names:
            value = self._variables[name]
            lines.append(self._line(name, known.variables[name].of(value) if name in known.variables else value))
        return [program, names, lines]

    def _line(self, name: str, value: Json) -> int:
        text = dump(value)
        key = (text, 0) if len(text) < 256 else (name, len(text))
        at = self._lines.get(key)
        if at is None or self._values[at] != text:
            at = self._lines[key] = len(self._values)
            self._values.append(text)
        return at


def said(line: str) -> tuple[str, str]:
    code, message = cast("tuple[str, str]", parse(line[1:]))
    return code, message


def result(line: str, program: str) -> Json:
    """The value on an answer's line. Raises: ExpressionError."""
    if line == "0":
        return None
    if line.startswith("="):
        return _value(line[1:], program)
    code, message = said(line)
    match code:
        case "syntax":
            raise syntax_problem(message, program).error(program)
        case "several":
            raise ExpressionError(
                "several-results", f"The expression {shown(program)} gave several results.", hint="Wrap it in [ ]."
            )
        case "result-too-big":
            raise ExpressionError(
                "expression-result-too-big",
                f"The result of {shown(program)} is {int(message):,} bytes, which is too much.",
            )
        case _:
            raise failure(message, program)


def _value(text: str, program: str) -> Json:
    try:
        value = parse(text)
    except OrchestrionError:
        raise ExpressionError(
            "expression-result-unusable",
            f"The result of {shown(program)} is nested too deeply, or holds a number too long to be read.",
        ) from None
    if ("E+" in text or "e+" in text) and _infinite(value):
        raise ExpressionError(
            "expression-result-unusable",
            f"The result of {shown(program)} holds an infinite number, which JSON cannot hold.",
        )
    return value


def _infinite(value: Json) -> bool:
    match value:
        case float():
            return abs(value) >= _LARGEST
        case Mapping():
            return any(_infinite(inner) for inner in value.values())
        case str():
            return False
        case Sequence():
            return any(_infinite(inner) for inner in value)
        case _:
            return False
