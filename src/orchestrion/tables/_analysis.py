"""What a table leaves open, says twice, or never reaches: found by cutting each column at its own bounds.

Every column falls into finitely many pieces within which no row tells values apart: numbers at the bounds that occur, texts
at those named. A row is then a set of pieces in each column, and the whole table is decided on pieces, exactly.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orchestrion.core import Json

from ._condition import Condition, Interval, Number
from ._table import Column, Row

MOST_STEPS = 200_000
"""Combinations looked at before the analysis gives up."""


class TooLarge(Exception):
    """The table has more combinations than can be looked at."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Values that no row tells apart, by one of them."""

    value: Json
    interval: Interval | None = None
    words: str = ""
    """How it is called where it is no interval."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Pieces by column, as far as they matter."""

    pieces: Sequence[tuple[Column, Sequence[Piece]]]

    def __str__(self) -> str:
        told = [f"{column.name} is {_told(pieces)}" for column, pieces in self.pieces]
        return " and ".join(told) or "whatever is given"


def pieces_of(column: Column, conditions: Sequence[Condition]) -> list[Piece]:
    """The pieces of a column that may occur at all."""
    every = [column.domain, *conditions]
    match column.kind:
        case "boolean":
            found = [Piece(True, words="true"), Piece(False, words="false")]
        case "text":
            named = list(dict.fromkeys(value for each in every for value in each.values if isinstance(value, str)))
            other = "…"
            while other in named:
                other += "…"
            found = [*(Piece(value, words=repr(value)) for value in named), Piece(other, words="any other text")]
        case "number" | "integer":
            found = list(_numbers(every, whole=column.kind == "integer"))
    found = [piece for piece in found if column.domain.holds(piece.value)]
    return [*found, Piece(None, words="null")] if column.optional else found


def _numbers(conditions: Sequence[Condition], *, whole: bool) -> Iterator[Piece]:
    bounds = sorted(
        {
            bound
            for condition in conditions
            for interval in condition.intervals
            for bound in (interval.low, interval.high)
            if bound is not None
        }
    )
    ends: list[Number | None] = [None, *bounds, None]
    for low, high in pairwise(ends):
        inside = _between(low, high, whole=whole)
        if inside is not None:
            yield Piece(inside, Interval(low, high, with_low=False, with_high=False))
        if high is not None and not (whole and high != int(high)):
            yield Piece(high, Interval(high, high))


def _between(low: Number | None, high: Number | None, *, whole: bool) -> Number | None:
    """A number strictly between two; None when there is none."""
    if low is None:
        found = 0 if high is None else high // 1 - 1
    elif high is None:
        found = low // 1 + 1
    else:
        found = low // 1 + 1 if whole else (low + high) / 2
        if not low < found < high:
            return None
    return int(found) if whole else found


@dataclass
class Analysis:
    """A table cut into pieces. Raises: TooLarge from any question."""

    inputs: Sequence[Column]
    rows: Sequence[Row]
    _steps: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._pieces = [
            pieces_of(column, [row.conditions[column.name] for row in self.rows if column.name in row.conditions])
            for column in self.inputs
        ]
        self._masks = [
            [self._rows_with(column, piece) for piece in pieces]
            for column, pieces in zip(self.inputs, self._pieces, strict=True)
        ]

    def _rows_with(self, column: Column, piece: Piece) -> int:
        """The rows that the piece fits, a bit each."""
        found = 0
        for index, row in enumerate(self.rows):
            condition = row.conditions.get(column.name)
            if condition is None or condition.holds(piece.value):
                found |= 1 << index
        return found

    def impossible(self) -> Iterator[tuple[Row, Column]]:
        """Conditions that nothing which may occur fulfils."""
        for column, masks in zip(self.inputs, self._masks, strict=True):
            met = 0
            for mask in masks:
                met |= mask
            for index, row in enumerate(self.rows):
                if not met >> index & 1:
                    yield row, column

    def gaps(self) -> Iterator[Combination]:
        """What no row matches."""
        return self._uncovered((1 << len(self.rows)) - 1, None)

    def unreached(self) -> Iterator[Row]:
        """Rows that others before them leave nothing to, though something could match them."""
        for index, row in enumerate(self.rows):
            if self._possible(index) and next(self._uncovered((1 << index) - 1, index), None) is None:
                yield row

    def overlaps(self) -> Iterator[tuple[Row, Row, Combination]]:
        """Pairs of rows that match the same."""
        for later in range(len(self.rows)):
            for earlier in range(later):
                self._step()
                both = (1 << later) | (1 << earlier)
                common: list[tuple[Column, Sequence[Piece]]] = []
                for column, pieces, masks in zip(self.inputs, self._pieces, self._masks, strict=True):
                    shared = [piece for piece, mask in zip(pieces, masks, strict=True) if mask & both == both]
                    if not shared:
                        break
                    if len(shared) < len(pieces):
                        common.append((column, shared))
                else:
                    yield self.rows[earlier], self.rows[later], Combination(common)

    def _possible(self, index: int) -> bool:
        return all(any(mask >> index & 1 for mask in masks) for masks in self._masks)

    def _uncovered(self, rows: int, within: int | None) -> Iterator[Combination]:
        """Combinations that none of `rows` matches, inside the row `within` if one is given."""
        covered: set[tuple[int, int]] = set()

        def look(depth: int, live: int, path: list[tuple[Column, Sequence[Piece]]]) -> Iterator[Combination]:
            if not live:
                yield Combination(path)
                return
            if depth == len(self.inputs) or (depth, live) in covered:
                return
            self._step()
            column, masks = self.inputs[depth], self._masks[depth]
            groups: dict[int, list[Piece]] = {}
            allowed = 0
            for piece, mask in zip(self._pieces[depth], masks, strict=True):
                if within is None or mask >> within & 1:
                    allowed += 1
                    groups.setdefault(live & mask, []).append(piece)
            clean = True
            for left, pieces in groups.items():
                narrowed = len(pieces) < allowed
                for found in look(depth + 1, left, [*path, (column, pieces)] if narrowed else path):
                    clean = False
                    yield found
            if clean:
                covered.add((depth, live))

        return look(0, rows, [])

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooLarge


def _told(pieces: Sequence[Piece]) -> str:
    """Pieces in words, those that touch as one."""
    words: list[str] = []
    joined: Interval | None = None
    for piece in pieces:
        if piece.interval is None:
            words.append(piece.words)
        elif joined is not None and joined.high == piece.interval.low and joined.high is not None:
            joined = Interval(joined.low, piece.interval.high, joined.with_low, piece.interval.with_high)
            words[-1] = _range(joined)
        else:
            joined = piece.interval
            words.append(_range(joined))
    shown = words[:4]
    return " or ".join(shown) + (f" or {len(words) - 4} others" if len(words) > 4 else "")


def _range(interval: Interval) -> str:
    low, high = interval.low, interval.high
    if low is None and high is None:
        return "any number"
    if low is None:
        return f"{'at most' if interval.with_high else 'below'} {high}"
    if high is None:
        return f"{'at least' if interval.with_low else 'above'} {low}"
    if low == high:
        return f"{low}"
    return f"in {'[' if interval.with_low else '('}{low}..{high}{']' if interval.with_high else ')'}"
