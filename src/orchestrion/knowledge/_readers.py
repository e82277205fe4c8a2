"""Files to pieces: headings and paragraphs with the places they stand at."""

import codecs
import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from orchestrion.core import Json, OrchestrionError, UserError, parse

from ._passages import Piece

LARGEST = 20_000_000
"""Bytes of a file."""
PATIENCE_S = 60.0
"""For a file that is read in a process of its own."""
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t#]*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")


def read_file(path: Path) -> tuple[list[Piece], str | None]:
    """What a file says, and a remark about how it was read.

    Raises: UserError `document-unreadable`, `document-too-large`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(f"it cannot be read: {error.strerror}") from None
    return pieces_of(content, path.suffix.lower())


def pieces_of(content: bytes, suffix: str) -> tuple[list[Piece], str | None]:
    """As `read_file`, for content that has been read."""
    if len(content) > LARGEST:
        raise UserError(
            "document-too-large",
            f"It has {len(content):,} bytes; {LARGEST:,} are read.",
            hint="Split it into several files.",
        )
    if suffix in _APART:
        return _apart(content, suffix), None
    text, remark = _decoded(content)
    return list(_READERS[suffix](text)), remark


def _decoded(content: bytes) -> tuple[str, str | None]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace"), None
    if b"\0" in content:
        raise _unreadable("it is no text: it holds zero bytes")
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "It is not UTF-8, and was read as Windows-1252."


def _markdown(text: str) -> Iterator[Piece]:
    held: list[str] = []
    began, fence = 1, ""

    def paragraph(last: int) -> Iterator[Piece]:
        if held:
            yield Piece(text="\n".join(held), line=began, last_line=last)
            held.clear()

    for number, line in enumerate(text.splitlines(), 1):
        fenced = _FENCE.match(line)
        if fenced and (not fence or (fenced[1].startswith(fence) and line.strip() == fenced[1])):
            fence = "" if fence else fenced[1]
        heading = None if fence or fenced else _HEADING.match(line)
        if heading:
            yield from paragraph(number - 1)
            yield Piece(text=heading[2], level=len(heading[1]), line=number)
        elif not fence and len(held) == 1 and _UNDERLINE.match(line):
            level = 1 if "=" in line else 2
            yield Piece(text=held.pop(), level=level, line=number - 1)
        elif line.strip() or fence:
            began = number if not held else began
            held.append(line)
        else:
            yield from paragraph(number - 1)
    yield from paragraph(len(text.splitlines()))


def _text(text: str) -> Iterator[Piece]:
    held: list[str] = []
    began = number = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            began = number if not held else began
            held.append(line)
        elif held:
            yield Piece(text="\n".join(held), line=began, last_line=number - 1)
            held = []
    if held:
        yield Piece(text="\n".join(held), line=began, last_line=number)


def _csv(text: str) -> Iterator[Piece]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = next(rows, list[str]())
        for number, row in enumerate(rows, 1):
            said = [f"{column}: {value.strip()}" for column, value in zip(columns, row, strict=False) if value.strip()]
            if said:
                yield Piece(text="\n".join(said), row=number, line=rows.line_num, last_line=rows.line_num)
    except csv.Error as error:
        raise _unreadable(f"line {rows.line_num}: {error}") from None


_READERS: Mapping[str, Callable[[str], Iterator[Piece]]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _text,
    ".csv": _csv,
}
_APART = (".html", ".htm", ".pdf")
SUFFIXES = frozenset({*_READERS, *_APART})
"""The kinds of files that are read."""


def _apart(content: bytes, suffix: str) -> list[Piece]:
    """Read in a process of its own with bounds on time and memory: these formats can be made to take for ever."""
    script = str(Path(__file__).with_name("_apart.py"))
    try:
        done = subprocess.run(  # noqa: S603  every argument is ours
            [sys.executable, "-I", script, suffix],
            input=content,
            capture_output=True,
            timeout=PATIENCE_S,
            env={},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(f"reading it takes more than {PATIENCE_S:g} s") from None
    try:
        answer = cast("Mapping[str, Json]", parse(done.stdout))
    except OrchestrionError:
        raise _unreadable("reading it takes more time or memory than there is for one file") from None
    if isinstance(problem := answer.get("problem"), str):
        raise _unreadable(problem)
    pieces = cast("list[tuple[str, int, int | None, int | None]]", answer["pieces"])
    return [Piece(text=text, level=level, page=page, line=line, last_line=line) for text, level, page, line in pieces]


def _unreadable(why: str) -> UserError:
    return UserError("document-unreadable", f"{why[:1].upper()}{why[1:].rstrip('.')}.")
