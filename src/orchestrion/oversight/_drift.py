"""Drift: whether what is seen of a subject has lastingly changed.

River's ADWIN keeps a window of what was seen and cuts it where its two parts differ by more than chance explains: the part before the cut
is forgotten. It needs no idea of how often something happens or by how much it will change, and its false alarms do not depend on
that (`benchmarks/drift.py`). Source: Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007.

What it knows is what it was shown since the last change. That is kept, a character for each value, so that a process that starts
knows the same as the one that stopped.
"""

import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from orchestrion.core import Json

DELTA = 0.2
"""What ADWIN takes for chance. It is a bound, and a generous one: how often it is wrong is measured, and far below."""
CLOCK = 8
"""Values after which it looks again."""
LEAST = 20
"""Values before it says anything."""
MOST = 2_000
"""Values kept; beyond them the older half is forgotten."""
SAME = 100
"""Values within which another alarm is the same change, seen more clearly: the window is cut bit by bit."""
CHANGES = 5
"""Changes remembered."""
_DIGITS = string.digits + string.ascii_letters + "-_"
_TOP = len(_DIGITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something is not as it was."""

    at: float
    """When it was noticed."""
    before: float
    after: float
    """Means, from 0 to 1."""
    values: int
    """How many have been seen since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What was seen of one thing, from 0 to 1 and in the order seen, since it last changed."""

    values: str = ""
    """A character each, in sixty-thirds."""
    checked: int = 0
    """How many of them were looked at for a change."""
    calm: int = 0
    """How many were looked at since the last alarm."""
    changes: tuple[Change, ...] = ()
    """The latest last."""

    def seen(self, values: Sequence[float]) -> "Signal":
        """With more values, the newest last."""
        more = "".join(_DIGITS[round(min(max(value, 0.0), 1.0) * _TOP)] for value in values)
        return replace(self, values=self.values + more)

    @property
    def mean(self) -> float | None:
        return _mean(self.values) if self.values else None

    def to_json(self) -> Json:
        return cast("Json", asdict(self))

    @staticmethod
    def from_json(kept: Json) -> "Signal":
        said = cast("dict[str, Any]", kept)
        changes = tuple(Change(**each) for each in said["changes"])
        return Signal(values=said["values"], checked=said["checked"], calm=said["calm"], changes=changes)


def detect(signal: Signal, at: float) -> Signal:
    """Look at what has not been looked at, at the time `at`. A change is the last of `changes` then."""
    values, checked, calm, changes = signal.values, signal.checked, signal.calm, list(signal.changes)
    detector = _shown(values[:checked])
    while checked < len(values):
        detector.update(_number(values[checked]))
        checked, calm = checked + 1, calm + 1
        keep = None
        if detector.drift_detected:
            keep = max(1, int(detector.width))
            before, after = values[: checked - keep], values[checked - keep : checked]
            if changes and calm <= SAME:
                changes[-1] = replace(changes[-1], after=_mean(after), values=keep)
            else:
                changes.append(Change(at=at, before=_mean(before), after=_mean(after), values=keep))
            calm = 0
        elif checked > MOST:
            keep = MOST // 2
        if keep is not None:
            values, checked = values[checked - keep :], keep
            detector = _shown(values[:checked])
    return Signal(values=values, checked=checked, calm=calm, changes=tuple(changes[-CHANGES:]))


def _shown(values: str) -> Any:  # river has no types
    """A detector that has been shown values, whatever it said of them."""
    from river.drift import ADWIN

    detector = ADWIN(delta=DELTA, clock=CLOCK, grace_period=LEAST)
    for each in values:
        detector.update(_number(each))
    return detector


def _number(digit: str) -> float:
    return _DIGITS.index(digit) / _TOP


def _mean(values: str) -> float:
    return sum(map(_number, values)) / len(values) if values else 0.0
