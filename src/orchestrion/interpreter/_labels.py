"""Which labels an expression's result carries: exact for paths, objects made of them and their sums; else everything it read."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from orchestrion.core import NO_LABELS, Datum, Json, Labels, merge_labels, move_labels, sub_labels
from orchestrion.expressions import is_simple_path, variables_of
from orchestrion.spec import pointer_step

_TOKEN = re.compile(
    r"""\s*(?:(?P<path>(?:\$[A-Za-z_]\w*|\.(?=[\s"}\]),+]|$|[A-Za-z_\["]))(?:\.?[A-Za-z_]\w*|\["[^"\\]*"\]|\[\d+\])*)
    |(?P<text>"[^"\\]*")|(?P<word>[A-Za-z_]\w*)|(?P<number>\d+(?:\.\d+)?)|(?P<mark>[{}():,+]))""",
    re.VERBOSE,
)

Shape: TypeAlias = "Path | Made | Sum | None"
"""None: a literal, which carries no labels."""


class Unknown(Exception):
    """The program does more than move values."""


class Path:
    """A value taken from a variable."""

    def __init__(self, variable: str, pointer: str) -> None:
        self.variable = variable
        self.pointer = pointer

    def labels(self, known: Mapping[str, Datum]) -> Labels:
        return sub_labels(known[self.variable].labels, self.pointer) if self.variable in known else NO_LABELS


class Made:
    """An object whose members are shapes."""

    def __init__(self, members: Mapping[str, Shape]) -> None:
        self.members = members

    def labels(self, known: Mapping[str, Datum]) -> Labels:
        return merge_labels(
            move_labels(shape.labels(known), pointer_step(name)) for name, shape in self.members.items() if shape
        )


class Sum:
    """Objects put together. A member that a later one replaces keeps its labels as well: too many is safe."""

    def __init__(self, parts: tuple[Shape, ...]) -> None:
        self.parts = parts

    def labels(self, known: Mapping[str, Datum]) -> Labels:
        return merge_labels(shape.labels(known) for shape in self.parts if shape)


def labels_of_result(program: str, known: Mapping[str, Datum], result: Json) -> Labels:
    """The labels of `program`'s result over the known variables; `.` is among them."""
    if all(not datum.labels for datum in known.values()):
        return NO_LABELS
    shape = shape_of(program)
    moved = isinstance(shape, Path | Made) or (isinstance(shape, Sum) and isinstance(result, Mapping))
    if moved and shape is not None:
        return shape.labels(known)
    names = {".", *variables_of(program)}
    found = frozenset[str]().union(*(known[name].every_label() for name in names if name in known))
    return {"": found} if found else NO_LABELS


@lru_cache(maxsize=2048)
def shape_of(program: str) -> Shape:
    """How the program moves values; None when it does more than that, or nothing."""
    try:
        tokens = _tokens(program)
        shape = _sum(tokens)
        return None if tokens else shape
    except Unknown:
        return None


def _tokens(program: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(program.rstrip())
    while at < end:
        match = _TOKEN.match(program, at)
        if match is None or match.lastgroup is None:
            raise Unknown
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found[::-1]


def _take(tokens: list[tuple[str, str]], mark: str) -> bool:
    if tokens and tokens[-1] == ("mark", mark):
        tokens.pop()
        return True
    return False


def _sum(tokens: list[tuple[str, str]]) -> Shape:
    parts = [_term(tokens)]
    while _take(tokens, "+"):
        parts.append(_term(tokens))
    return parts[0] if len(parts) == 1 else Sum(tuple(parts))


def _term(tokens: list[tuple[str, str]]) -> Shape:
    if not tokens:
        raise Unknown
    kind, text = tokens.pop()
    match kind:
        case "path":
            path = is_simple_path(text)
            if path is None:
                raise Unknown
            return Path(*path)
        case "text" | "number":
            return None
        case "word" if text in {"null", "true", "false"}:
            return None
        case "mark" if text == "{":
            return _object(tokens)
        case "mark" if text == "(":
            inner = _sum(tokens)
            if not _take(tokens, ")"):
                raise Unknown
            return inner
        case _:
            raise Unknown


def _object(tokens: list[tuple[str, str]]) -> Made:
    members: dict[str, Shape] = {}
    while not _take(tokens, "}"):
        if not tokens:
            raise Unknown
        kind, text = tokens.pop()
        name = text[1:-1] if kind == "text" else text
        if kind not in {"word", "text"}:
            raise Unknown
        members[name] = _term(tokens) if _take(tokens, ":") else Path(".", pointer_step(name))
        if not _take(tokens, ",") and not (tokens and tokens[-1] == ("mark", "}")):
            raise Unknown
    return Made(members)
