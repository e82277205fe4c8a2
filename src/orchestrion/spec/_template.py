"""Templates: JSON in which some strings are runtime expressions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from orchestrion.core import BugError, Json

_WRAPPED = re.compile(r"\s*\$\{(.*)\}\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expression:
    """A jq program, without the `${ }` around it."""

    program: str


TemplateNode: TypeAlias = (
    "None | bool | int | float | str | Expression | Sequence[TemplateNode] | Mapping[str, TemplateNode]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """JSON with expressions in it. All its programs are evaluated together; `fill` then puts the results in their places."""

    node: TemplateNode
    programs: tuple[str, ...]
    """In document order."""
    places: tuple[str, ...]
    """The JSON pointer of each program within the template; "" when the whole template is one expression."""

    def fill(self, results: Sequence[Json] = ()) -> Json:
        """The JSON value, with one result for each of `programs`, in their order."""
        if len(results) != len(self.programs):
            raise BugError("template-results", f"{len(self.programs)} results are needed, {len(results)} were given.")
        return _fill(self.node, iter(results)) if results else cast("Json", self.node)


def program_of(text: str) -> str | None:
    """The program of a string that as a whole is `${ ... }`; None for any other string."""
    found = _WRAPPED.fullmatch(text)
    return found[1].strip() if found else None


def compile_template(value: Json) -> Template:
    """Find the expressions in a JSON value."""
    found: list[tuple[str, str]] = []
    node = _compile(value, "", found)
    return Template(node=node, programs=tuple(p for p, _ in found), places=tuple(at for _, at in found))


def compile_expression(text: str) -> Template:
    """A template that as a whole is one expression; `text` may be bare or wrapped in `${ }`."""
    wrapped = program_of(text)
    program = text.strip() if wrapped is None else wrapped
    return Template(node=Expression(program), programs=(program,), places=("",))


def pointer_step(name: str | int) -> str:
    """One step of a JSON pointer, with its slash. Source: RFC 6901, section 3."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


def _compile(value: Json, at: str, found: list[tuple[str, str]]) -> TemplateNode:
    match value:
        case str():
            program = program_of(value)
            if program is None:
                return value
            found.append((program, at))
            return Expression(program)
        case Mapping():
            return {name: _compile(inner, at + pointer_step(name), found) for name, inner in value.items()}
        case Sequence():
            return [_compile(inner, at + pointer_step(index), found) for index, inner in enumerate(value)]
        case _:
            return value


def _fill(node: TemplateNode, results: Iterator[Json]) -> Json:
    match node:
        case Expression():
            return next(results)
        case str():
            return node
        case Mapping():
            return {name: _fill(inner, results) for name, inner in node.items()}
        case Sequence():
            return [_fill(inner, results) for inner in node]
        case _:
            return node
