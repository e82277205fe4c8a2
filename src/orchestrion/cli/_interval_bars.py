"""Values with their intervals, drawn on a scale."""

from collections.abc import Sequence

from orchestrion.oversight import Estimate, Row

from ._markup import Html, tag
from ._measured import difference_of, interval_of, value_of

_OURS, _ALONE, _THEIRS = "35%", "50%", "75%"
"""How far down a line is drawn."""


def bar(row: Row, levels: Sequence[float], tone: str) -> Html | None:
    """The value and its interval, those of the other version below, and `levels` upright. None where nothing was scored.

    Shares are drawn between 0 and 1; numbers from 0 to the greatest of them.
    """
    if row.estimate is None:
        return None
    drawn = [each for each in (row.estimate, row.against) if each is not None]
    ends = [*(end for each in drawn for end in (each.low, each.high)), *levels]
    low, high = (0.0, 1.0) if row.is_share else (min(0.0, *ends), max(0.0, *ends))
    place = _Scale(low, high)
    lines = [tag("line", x1=place(level), x2=place(level), y1="0%", y2="100%", class_="level") for level in levels]
    lines += _interval(row.estimate, place, _OURS if row.against else _ALONE, "")
    if row.against is not None:
        lines += _interval(row.against, place, _THEIRS, "theirs ")
    label = f"{row.name}: {value_of(row)}, {interval_of(row.estimate, row)}"
    return tag("svg", *lines, role="img", aria_label=label, class_=f"interval {tone}")


def difference_bar(row: Row) -> Html | None:
    """The difference and its interval around a middle that is no difference; green is surely better, red surely worse."""
    found = row.difference
    if found is None:
        return None
    widest = max(abs(found.low), abs(found.high), 0.05 if row.is_share else 0.0)
    place = _Scale(-widest, widest)
    more, less = found.low > 0, found.high < 0
    better, worse = (less, more) if row.less_is_better else (more, less)
    tone = "done" if better else "failed" if worse else "skipped"
    middle = tag("line", x1="50%", x2="50%", y1="0%", y2="100%", class_="level")
    label = f"{row.name}, difference: {difference_of(row)}"
    return tag(
        "svg", middle, *_interval(found, place, _ALONE, ""), role="img", aria_label=label, class_=f"interval {tone}"
    )


class _Scale:
    """Values to places in percent of the width, with a margin for round ends."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._width = low, (high - low) or 1.0

    def __call__(self, value: float) -> str:
        share = min(max((value - self._low) / self._width, 0.0), 1.0)
        return f"{4 + 92 * share:.2f}%"


def _interval(estimate: Estimate, place: _Scale, down: str, whose: str) -> list[Html]:
    """A line from end to end, and a dot: a line without length, whose ends are round."""
    value = place(estimate.value)
    return [
        tag("line", x1=place(estimate.low), x2=place(estimate.high), y1=down, y2=down, class_=f"{whose}range"),
        tag("line", x1=value, x2=value, y1=down, y2=down, class_=f"{whose}value"),
    ]
