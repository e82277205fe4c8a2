"""Passages: pieces of documents small enough to be read whole and cited."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from orchestrion.core import Json, digest

GOOD, MOST = 1_200, 2_000
"""Characters after which a passage ends with the paragraph, and that it never exceeds."""
MOST_PASSAGES = 20_000
"""Of one file."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document, and where it stands."""

    id: str
    file: str
    text: str
    heading: str = ""
    """The headings above it, from the outermost in, with › between."""
    page: int | None = None
    row: int | None = None
    line: int | None = None
    last_line: int | None = None

    @property
    def cite(self) -> str:
        """Its source in a few words."""
        where = self.file if not self.heading else f"{self.file}, {self.heading}"
        if self.page is not None:
            return f"{where}, page {self.page}"
        if self.row is not None:
            return f"{where}, row {self.row}"
        if self.line is None:
            return where
        return (
            f"{where}, line {self.line}"
            if self.line == self.last_line
            else f"{where}, lines {self.line}-{self.last_line}"
        )

    def source(self) -> dict[str, Json]:
        """Its source field by field; what does not apply is null."""
        lines = None if self.line is None else [self.line, self.last_line]
        return {"file": self.file, "heading": self.heading or None, "page": self.page, "row": self.row, "lines": lines}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a reader gives: a heading of a level, or a paragraph of level 0."""

    text: str
    level: int = 0
    page: int | None = None
    row: int | None = None
    line: int | None = None
    last_line: int | None = None


@dataclass(slots=True)
class _Open:
    """A passage that still grows."""

    heading: str
    texts: list[str] = field(default_factory=list[str])
    first: Piece | None = None
    last: Piece | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.texts))


def passages_of(file: str, pieces: Iterable[Piece]) -> list[Passage]:
    """The passages of a file, in its order; at most `MOST_PASSAGES`."""
    found: list[Passage] = []
    seen: Counter[str] = Counter()
    for heading, text, first, last in _gathered(pieces):
        if len(found) == MOST_PASSAGES:
            break
        named = digest([file, heading, _SPACE.sub(" ", text)])[:16]
        seen[named] += 1
        found.append(
            Passage(
                id=named if seen[named] == 1 else f"{named}-{seen[named]}",
                file=file,
                text=text,
                heading=heading,
                page=first.page,
                row=first.row,
                line=first.line,
                last_line=last.last_line,
            )
        )
    return found


def _gathered(pieces: Iterable[Piece]) -> Iterator[tuple[str, str, Piece, Piece]]:
    headings: list[tuple[int, str]] = []
    grown = _Open("")
    for piece in _small(pieces):
        full = grown.size + len(piece.text) > GOOD or piece.row is not None
        if piece.level or full or (grown.last is not None and grown.last.page != piece.page):
            yield from _closed(grown)
            grown = _Open(grown.heading)
        if piece.level:
            headings = [each for each in headings if each[0] < piece.level] + [(piece.level, piece.text[:200])]
            grown = _Open(" › ".join(text for _, text in headings)[-400:])
            continue
        grown.texts.append(piece.text)
        grown.first, grown.last = grown.first or piece, piece
    yield from _closed(grown)


def _closed(grown: _Open) -> Iterator[tuple[str, str, Piece, Piece]]:
    if grown.first is not None and grown.last is not None:
        yield grown.heading, "\n\n".join(grown.texts), grown.first, grown.last


def _small(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces that say something, those too long for a passage in parts."""
    for piece in pieces:
        text = piece.text.strip()
        if piece.level:
            if text:
                yield replace(piece, text=_SPACE.sub(" ", text))
            continue
        while len(text) > MOST:
            end = max(text.rfind(". ", GOOD // 2, GOOD) + 1, text.rfind("\n", GOOD // 2, GOOD))
            end = end if end > 0 else text.rfind(" ", GOOD // 2, GOOD)
            end = end if end > 0 else GOOD
            yield replace(piece, text=text[:end].strip())
            text = text[end:].strip()
        if text:
            yield replace(piece, text=text)
