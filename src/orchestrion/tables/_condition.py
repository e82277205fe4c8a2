"""What one cell of a decision table demands of one value."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard

from orchestrion.core import Json

Kind: TypeAlias = Literal["number", "integer", "text", "boolean"]
Number: TypeAlias = int | float

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_COMPARISON = re.compile(rf"(<=|>=|<|>)\s*({_NUMBER})")
_RANGE = re.compile(rf"([\[(]?)\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*([\])]?)")
_NEGATION = re.compile(r"not\s*\((.*)\)", re.DOTALL)
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[^",\\]+|.', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class BadCondition(Exception):
    """Text that is no condition: what is wrong, and a hint."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers between two bounds; None has no end."""

    low: Number | None
    high: Number | None
    with_low: bool = True
    with_high: bool = True

    def __contains__(self, value: object) -> bool:
        if not is_number(value):
            return False
        above = self.low is None or value > self.low or (self.with_low and value == self.low)
        return above and (self.high is None or value < self.high or (self.with_high and value == self.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One cell, read. Null is met only by `-`, by `null` and by a `not(…)` that does not name it."""

    text: str
    """As it is written, for the record."""
    any: bool = False
    negated: bool = False
    values: Sequence[str | bool | None] = ()
    intervals: Sequence[Interval] = ()

    def holds(self, value: Json) -> bool:
        if self.any:
            return True
        if is_number(value):
            found = any(value in interval for interval in self.intervals)
        else:
            found = any(value is known or (isinstance(value, str) and value == known) for known in self.values)
        return found != self.negated


ANY = Condition(text="-", any=True)


def is_number(value: object) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_condition(written: Json, kind: Kind) -> Condition:
    """The condition of a cell: text, or in YAML a value or a list of alternatives. Raises: BadCondition."""
    if isinstance(written, Sequence) and not isinstance(written, str):
        text = ", ".join(_as_text(each) for each in written)
    else:
        text = _as_text(written)
    text = text.strip()
    if not text:
        raise BadCondition("The cell is empty.", "Write - for any value.")
    if text == "-":
        return ANY
    negation = _NEGATION.fullmatch(text)
    values: list[str | bool | None] = []
    intervals: list[Interval] = []
    for part in _alternatives(negation[1] if negation else text):
        found = _alternative(part, kind)
        if isinstance(found, Interval):
            intervals.append(found)
        else:
            values.append(found)
    return Condition(text=text, negated=negation is not None, values=tuple(values), intervals=tuple(intervals))


def read_value(written: Json, kind: Kind) -> Json:
    """The value of an output's cell. Raises: BadCondition."""
    if kind == "text":
        if not isinstance(written, str):
            raise BadCondition(f"{written!r} is not text.", "Put it in quotes.")
        quoted = _QUOTED.fullmatch(written.strip())
        return _unescaped(quoted[1]) if quoted else written
    if kind == "boolean":
        if isinstance(written, bool):
            return written
        if isinstance(written, str) and written.strip() in ("true", "false"):
            return written.strip() == "true"
        raise BadCondition(f"{written!r} is neither true nor false.")
    value = _number(written.strip()) if isinstance(written, str) else written
    if not is_number(value):
        raise BadCondition(f"{written!r} is not a number.")
    if kind == "integer" and value != int(value):
        raise BadCondition(f"{written!r} is not a whole number.")
    return int(value) if kind == "integer" else value


def _as_text(written: Json) -> str:
    match written:
        case bool():
            return "true" if written else "false"
        case str() | int() | float():
            return str(written)
        case None:
            return "null"
        case _:
            raise BadCondition(
                f"{written!r} is no condition.", "Write text such as '>= 5', a value or a list of values."
            )


def _alternatives(text: str) -> Iterator[str]:
    """What stands between commas outside quotes."""
    alternative = ""
    for piece in _PIECE.findall(text):
        if piece == ",":
            yield alternative.strip()
            alternative = ""
        else:
            alternative += piece
    yield alternative.strip()


def _alternative(text: str, kind: Kind) -> Interval | str | bool | None:
    if not text:
        raise BadCondition("There is nothing between two commas.")
    if text == "null":
        return None
    if kind == "text":
        return _word(text)
    if kind == "boolean":
        if text in ("true", "false"):
            return text == "true"
        raise BadCondition(f"{text!r} is neither true nor false.")
    return _interval(text)


def _word(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return _unescaped(quoted[1])
    if '"' in text:
        raise BadCondition(f"The quotes in {text!r} do not match.")
    if text == "-":
        raise BadCondition("- means any value, and cannot stand among others.", 'Write "-" in quotes for the text -.')
    return text


def _interval(text: str) -> Interval:
    if found := _COMPARISON.fullmatch(text):
        bound, sign = _number(found[2]), found[1]
        low, high = (bound, None) if sign[0] == ">" else (None, bound)
        return Interval(low, high, with_low="=" in sign, with_high="=" in sign)
    if found := _RANGE.fullmatch(text):
        low, high = _number(found[2]), _number(found[3])
        if bool(found[1]) != bool(found[4]):
            raise BadCondition(
                f"The range {text!r} opens or closes without the other.", "Write [0..5], (0..5] or 0..5."
            )
        interval = Interval(low, high, with_low=found[1] != "(", with_high=found[4] != ")")
        if (
            low is None
            or high is None
            or low > high
            or (low == high and not (interval.with_low and interval.with_high))
        ):
            raise BadCondition(f"The range {text!r} holds no number.", "The smaller bound comes first.")
        return interval
    value = _number(text)
    if value is None:
        raise BadCondition(
            f"{text!r} is no condition on a number.", "Write 5, >= 5, [0..5), a list of these with commas, or -."
        )
    return Interval(value, value)


def _number(text: str) -> Number | None:
    if not re.fullmatch(_NUMBER, text):
        return None
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
