"""YAML 1.2 text into nodes, safely: what YAML allows beyond JSON is refused with its place, and nothing is constructed."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, Protocol, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from orchestrion.core import Json

from ._source import Fields, Finding, Items, Node, Scalar, Source, colon_after, dash_after, line_starts, place_in

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_FINDINGS = 100
MAX_NODES = 50_000
_MAX_INTEGER = 2**63

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BLOCK = ("|", ">")


class _Mark(Protocol):
    index: int


class _Event(Protocol):
    start_mark: _Mark
    end_mark: _Mark
    anchor: str | None
    ctag: object | None
    flow_style: bool | None
    style: str | None
    value: str
    version: object | None


class _Complaint(Protocol):
    problem: str | None
    problem_mark: _Mark | None
    context: str | None
    context_mark: _Mark | None


class _Stop(Exception):
    """Reading cannot go on."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not been seen."""

    node: Items | Fields
    key: Scalar | None = None
    awaits_value: bool = False
    size: int = 1


def parse(text: str | bytes, *, file: str) -> tuple[Source | None, list[Finding]]:
    """The nodes of a YAML or JSON text. There is no source when the text cannot be read to its end."""
    reader = _Reader(file)
    try:
        return reader.read(text), reader.findings
    except _Stop:
        return None, reader.findings


class _Reader:
    def __init__(self, file: str) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._text = ""
        self._starts = [0]
        self._root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0

    def read(self, text: str | bytes) -> Source:
        size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "replace"))
        if size > MAX_BYTES:
            self._stop(0, "too-large", f"The text has {size} bytes; {MAX_BYTES} are allowed.", "Split the workflow.")
        self._text = self._decoded(text)
        self._starts = line_starts(self._text)
        try:
            for event in _events(self._text):
                self._take(event)
        except MarkedYAMLError as error:
            self._syntax(error)
        except ReaderError as error:
            at = cast("int", error.position)
            self._stop(at, "bad-character", f"The character {self._text[at : at + 1]!r} may not stand in YAML.")
        except (YAMLError, ValueError, OverflowError, IndexError, AttributeError, AssertionError) as error:
            hint = f"Look for an escape that is no character ({type(error).__name__})."
            self._stop(len(self._text), "yaml-syntax", "This is not YAML: some of it cannot be read.", hint)
        if self._root is None:
            self._stop(0, "empty", "There is no document here.", "Start with `document:` and `do:`.")
        return Source(self._text, file=self._file, root=self._root)

    def _decoded(self, text: str | bytes) -> str:
        try:
            if isinstance(text, bytes):
                return text.decode("utf-8")
            text.encode("utf-8")
        except UnicodeDecodeError as error:
            readable = cast("bytes", text)[: error.start].decode("utf-8")
            self._starts = line_starts(readable)
            self._stop(len(readable), "bad-encoding", "The text is not UTF-8.", "Save the file as UTF-8.")
        except UnicodeEncodeError as error:
            self._starts = line_starts(text if isinstance(text, str) else "")
            self._stop(error.start, "bad-encoding", "The text holds half of a surrogate pair.", "Save it as UTF-8.")
        return text

    def _take(self, event: object) -> None:
        shape = cast("_Event", event)
        match event:
            case DocumentStartEvent():
                self._start_document(shape)
            case AliasEvent():
                self._alias(shape)
            case ScalarEvent():
                self._add(self._scalar(shape), 1)
            case SequenceStartEvent():
                self._enter(shape, Items(start=shape.start_mark.index, end=0, flow=bool(shape.flow_style)))
            case MappingStartEvent():
                self._enter(shape, Fields(start=shape.start_mark.index, end=0, flow=bool(shape.flow_style)))
            case CollectionEndEvent():
                self._leave(shape)
            case _:
                pass

    def _start_document(self, event: _Event) -> None:
        at = event.start_mark.index
        if self._root is not None:
            self._stop(at, "several-documents", "A second document starts here.", "Keep one workflow in each file.")
        if event.version not in (None, (1, 2)):
            self._error(at, "yaml-version", "Only YAML 1.2 is read.", "Remove the %YAML line.")

    def _enter(self, event: _Event, node: Items | Fields) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._stop(node.start, "too-deep", f"Values are nested deeper than {MAX_DEPTH} levels here.")
        self._refuse_tag(event)
        node.anchor = event.anchor
        self._count(1, node.start)
        self._open.append(_Open(node))

    def _leave(self, event: _Event) -> None:
        done = self._open.pop()
        node = done.node
        children = node.values if isinstance(node, Fields) else node.items
        node.end = event.end_mark.index if node.flow else max((c.end for c in children), default=node.start)
        self._attach(node, done.size)

    def _alias(self, event: _Event) -> None:
        at, name = event.start_mark.index, event.anchor or ""
        if name not in self._anchors:
            self._stop(
                at, "unknown-anchor", f"There is no finished anchor {name!r} before this.", "Write the value out."
            )
        target, size = self._anchors[name]
        self._count(size, at)
        self._attach(_aliased(target, at, event.end_mark.index), size)

    def _add(self, node: Scalar, size: int) -> None:
        self._count(size, node.start)
        self._attach(node, size)

    def _attach(self, node: Node, size: int) -> None:
        if node.anchor and not node.alias:
            self._anchors[node.anchor] = (node, size)
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        parent.size += size
        if isinstance(node, Scalar) and node.start == node.end:
            node.start = node.end = self._empty_place(parent, node.start)
        if isinstance(parent.node, Items):
            parent.node.items.append(node)
        elif not parent.awaits_value:
            parent.key, parent.awaits_value = self._key(parent.node, node), True
        else:
            if parent.key is not None:
                parent.node.add(parent.key, node)
            parent.awaits_value = False

    def _empty_place(self, parent: _Open, at: int) -> int:
        """Right after the colon or dash of a value that is not written: the scanner puts it at the next token."""
        if isinstance(parent.node, Items):
            before = parent.node.items[-1].end if parent.node.items else parent.node.start
            found = dash_after(self._text, before)
        else:
            before = parent.key.end if parent.key is not None and parent.awaits_value else at
            found = colon_after(self._text, before)
        return min(before, at) if found is None else found + 1

    def _key(self, mapping: Fields, node: Node) -> Scalar | None:
        """The key, or None when the entry cannot be kept."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            written = self._text[node.start : node.end].split("\n", 1)[0][:40]
            self._error(node.start, "key-not-text", f"The key {written!r} is not text.", "Put it in quotes.")
            return None
        if node.value == "<<" and not node.style:
            hint = "Write the keys out: merge keys are not part of YAML 1.2."
            self._error(node.start, "merge-key", "`<<` does not merge here.", hint)
            return None
        first = mapping.positions.get(node.value)
        if first is not None:
            line, _ = place_in(self._starts, mapping.keys[first].start)
            message = f"The key {node.value[:80]!r} stands here twice; first in line {line}."
            self._error(node.start, "duplicate-key", message, "Remove or rename one of them.")
            return None
        return node

    def _scalar(self, event: _Event) -> Scalar:
        self._refuse_tag(event)
        start, end, style = event.start_mark.index, event.end_mark.index, event.style or ""
        value: Json = event.value
        if style in _BLOCK:
            end = _block_end(self._text, start, end)
        elif not style:
            value = self._resolved(event.value, start)
        if isinstance(value, str):
            value = self._joined(value, start)
        return Scalar(start=start, end=end, value=value, style=style, anchor=event.anchor)

    def _resolved(self, text: str, at: int) -> Json:
        """What a plain scalar means. Source: YAML 1.2.2, section 10.3.2 (core schema)."""
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            number = int(text, 0 if text.startswith(("0o", "0x")) else 10) if len(text) < 40 else _MAX_INTEGER
            if not -_MAX_INTEGER <= number < _MAX_INTEGER:
                hint = "Put it in quotes if it is an identifier."
                self._error(at, "number-too-large", "This whole number does not fit in 64 bits.", hint)
            return number
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        if _FLOAT.fullmatch(text) or _NOT_A_NUMBER.fullmatch(text):
            self._error(
                at, "not-json", f"{text[:40]!r} is a number JSON cannot hold.", "Put it in quotes if it is text."
            )
        return text

    def _joined(self, value: str, at: int) -> str:
        """The text with surrogate pairs, as JSON escapes them, made whole."""
        try:
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._error(at, "bad-character", "This text holds half of a surrogate pair.", "Remove the lone \\u escape.")
            return value.encode("utf-8", "replace").decode()

    def _refuse_tag(self, event: _Event) -> None:
        if event.ctag is not None:
            message = f"The tag {str(event.ctag)[:60]!r} is not read."
            self._error(
                event.start_mark.index, "tag", message, "Remove it; write plain values, quoted where they are text."
            )

    def _count(self, nodes: int, at: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._stop(at, "too-many-values", f"There are more than {MAX_NODES} values, aliases written out.")

    def _syntax(self, error: MarkedYAMLError) -> None:
        said = cast("_Complaint", error)
        mark = said.problem_mark or said.context_mark
        at = min(mark.index, len(self._text)) if mark else len(self._text)
        problem = (said.problem or said.context or "it cannot be read").split("\n", 1)[0].strip()
        self._stop(at, "yaml-syntax", f"This is not YAML: {problem}.", _syntax_hint(problem, self._text[at : at + 1]))

    def _error(self, at: int, code: str, message: str, hint: str | None = None) -> None:
        line, column = place_in(self._starts, at)
        finding = Finding(
            file=self._file, line=line, column=column, severity="error", code=code, message=message, hint=hint
        )
        self.findings.append(finding)
        if len(self.findings) >= MAX_FINDINGS:
            raise _Stop

    def _stop(self, at: int, code: str, message: str, hint: str | None = None) -> NoReturn:
        self._error(at, code, message, hint)
        raise _Stop


def _events(text: str) -> Iterator[object]:
    yaml = YAML(typ="safe", pure=True)
    yield from cast("Iterator[object]", yaml.parse(text))  # pyright: ignore[reportUnknownMemberType]  ruamel is untyped


def _aliased(target: Node, start: int, end: int) -> Node:
    match target:
        case Scalar():
            return Scalar(start=start, end=end, value=target.value, style=target.style, alias=True)
        case Items():
            return Items(start=start, end=end, flow=target.flow, items=target.items, alias=True)
        case Fields():
            return Fields(start=start, end=end, flow=target.flow, keys=target.keys, values=target.values, alias=True)


def _block_end(text: str, start: int, end: int) -> int:
    """Where a block scalar's own text ends, without the line break that ends its last line."""
    header = text[start:end].split("\n", 1)[0]
    body = text[start:end]
    if "+" in header.split("#", 1)[0]:
        return start + len(body.removesuffix("\n").removesuffix("\r"))
    return start + len(body.rstrip())


def _syntax_hint(problem: str, character: str) -> str | None:
    if character == "\t":
        return "Indent with spaces; YAML does not take tabs."
    if "mapping values are not allowed" in problem:
        return "Put text that holds a colon and a space in single quotes, or check the indentation."
    if "cannot start any token" in problem:
        return "Put the text in single quotes."
    if "expected" in problem:
        return "Check the indentation and the brackets around this place."
    return None
