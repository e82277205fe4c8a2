"""Source text with the place of every node: what findings point at and edits cut."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from orchestrion.core import Json

from ._template import pointer_step

_DASH = re.compile(r"(?:\s|#[^\r\n]*+|&\S++)*+-")
_COLON = re.compile(r"[ \t]*:")

Severity = Literal["error", "warning"]


@dataclass(slots=True, kw_only=True)
class Scalar:
    start: int
    end: int
    value: Json
    style: str
    """How it is written: "" plain, or one of ' " | >"""
    anchor: str | None = None
    alias: bool = False
    """Written as `*name`: the value stands elsewhere."""


@dataclass(slots=True, kw_only=True)
class Items:
    """A sequence."""

    start: int
    end: int
    flow: bool
    items: "list[Node]" = field(default_factory=list["Node"])
    anchor: str | None = None
    alias: bool = False


@dataclass(slots=True, kw_only=True)
class Fields:
    """A mapping; every key is text and occurs once."""

    start: int
    end: int
    flow: bool
    keys: list[Scalar] = field(default_factory=list[Scalar])
    values: "list[Node]" = field(default_factory=list["Node"])
    positions: dict[str, int] = field(default_factory=dict[str, int])
    """Key → its place in `keys` and `values`."""
    anchor: str | None = None
    alias: bool = False

    def add(self, key: Scalar, value: "Node") -> None:
        self.positions[str(key.value)] = len(self.keys)
        self.keys.append(key)
        self.values.append(value)


Node: TypeAlias = Scalar | Items | Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a document that its author should know. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int
    end_line: int | None = None
    severity: Severity
    code: str
    message: str
    hint: str | None = None
    path: str = ""
    """JSON pointer."""

    def __str__(self) -> str:
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column} {self.severity}[{self.code}] {self.message}{hint}"

    def to_json(self) -> dict[str, Json]:
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }


class Source:
    """Text, and the node at each JSON pointer of it."""

    __slots__ = ("_starts", "file", "root", "text")

    def __init__(self, text: str, *, file: str, root: Node) -> None:
        self.text = text
        self.file = file
        self.root = root
        self._starts = line_starts(text)

    @property
    def json(self) -> Json:
        """The whole text as plain JSON."""
        return to_json(self.root)

    def at(self, pointer: str) -> Json:
        """The plain JSON at `pointer`; None where there is nothing."""
        node = self.node(pointer)
        return None if node is None else to_json(node)

    def node(self, pointer: str) -> Node | None:
        """The node at `pointer`; None where there is none."""
        found = self.trail(pointer)
        return found[-1] if found is not None else None

    def trail(self, pointer: str) -> list[Node] | None:
        """The nodes from the root down to `pointer`, both included."""
        nodes = [self.root]
        for step in steps_of(pointer):
            inner = child(nodes[-1], step)
            if inner is None:
                return None
            nodes.append(inner)
        return nodes

    def key(self, pointer: str) -> Scalar | None:
        """The key that the value at `pointer` stands under; None for items of a sequence and the root."""
        steps = steps_of(pointer)
        parent = self.node("".join(pointer_step(step) for step in steps[:-1])) if steps else None
        if not isinstance(parent, Fields):
            return None
        position = parent.positions.get(steps[-1])
        return None if position is None else parent.keys[position]

    def nearest(self, pointer: str) -> Node:
        """The node at `pointer`, or the deepest one above it that exists."""
        node = self.root
        for step in steps_of(pointer):
            inner = child(node, step)
            if inner is None:
                break
            node = inner
        return node

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        return place_in(self._starts, offset)


def finding_at(
    source: Source,
    pointer: str,
    code: str,
    message: str,
    *,
    hint: str | None = None,
    severity: Severity = "error",
    key: bool = False,
) -> Finding:
    """A finding about the value at `pointer`, or about its key."""
    node = (source.key(pointer) if key else None) or source.nearest(pointer)
    line, column = source.place(node.start)
    end_line, _ = source.place(max(node.start, node.end - 1))
    return Finding(
        file=source.file,
        line=line,
        column=column,
        end_line=end_line,
        severity=severity,
        code=code,
        message=message,
        hint=hint,
        path=pointer,
    )


def steps_of(pointer: str) -> list[str]:
    """The steps of a JSON pointer, unescaped."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def child(node: Node, step: str) -> Node | None:
    """What `step` leads to from `node`."""
    match node:
        case Fields():
            position = node.positions.get(step)
            return None if position is None else node.values[position]
        case Items():
            in_range = step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(node.items)
            return node.items[int(step)] if in_range else None
        case Scalar():
            return None


def to_json(node: Node) -> Json:
    """The plain JSON a node stands for."""
    match node:
        case Scalar():
            return node.value
        case Items():
            return [to_json(item) for item in node.items]
        case Fields():
            return {str(key.value): to_json(value) for key, value in zip(node.keys, node.values, strict=True)}


def line_starts(text: str) -> list[int]:
    """The offset at which each line starts; a line ends with LF, CR LF or CR."""
    starts = [0]
    at = 0
    for line in text.split("\n"):
        inner = line[:-1] if line.endswith("\r") else line
        offset = inner.find("\r")
        while offset >= 0:
            starts.append(at + offset + 1)
            offset = inner.find("\r", offset + 1)
        at += len(line) + 1
        starts.append(at)
    starts.pop()
    return starts


def place_in(starts: Sequence[int], offset: int) -> tuple[int, int]:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def dash_after(text: str, offset: int) -> int | None:
    """The dash of the next item of a list, whose last item ends at `offset`, or which starts there."""
    found = _DASH.match(text, offset)
    return found.end() - 1 if found else None


def colon_after(text: str, offset: int) -> int | None:
    """The colon of a key that ends at `offset`."""
    found = _COLON.match(text, offset)
    return found.end() - 1 if found else None
