"""How the time of a run went: one bar a step, on a scale that long waits do not crush."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ._markup import Html, tag
from ._phrases import clock, lasting
from ._step import SIGNS, Step, Story, notable

_MOST_ROWS, _MOST_ALIKE = 60, 12
_SQUEEZE = 0.35
"""The power that long stretches are drawn with where the scale is not even."""
_ROOM = 0.1
"""How much of the width is kept for what is not over yet."""
_UNEVEN_SHARE, _UNEVEN_S = 0.75, 2.0
_SHOWN = frozenset(
    {
        "call",
        "agent",
        "engagement",
        "tool",
        "person",
        "approval",
        "inquiry",
        "wait",
        "workflow",
        "answer",
        "loop",
        "round",
        "try",
        "branches",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Times to shares of the width."""

    times: tuple[float, ...]
    places: tuple[float, ...]
    even: bool

    @staticmethod
    def of(times: Sequence[float]) -> "Scale":
        """Even, unless one stretch without any event takes most of a long time."""
        points = sorted(set(times))
        if len(points) < 2:
            return Scale(times=(*points, *points)[:2] or (0.0, 1.0), places=(0.0, 1.0), even=True)
        gaps = [after - before for before, after in pairwise(points)]
        whole = sum(gaps)
        even = whole < _UNEVEN_S or max(gaps) < _UNEVEN_SHARE * whole
        weights = gaps if even else [gap**_SQUEEZE for gap in gaps]
        total, reached, places = sum(weights), 0.0, [0.0]
        for weight in weights:
            reached += weight
            places.append(reached / total)
        return Scale(times=tuple(points), places=tuple(places), even=even)

    def place(self, at: float) -> float:
        """Between 0 and 1."""
        index = min(max(bisect_right(self.times, at) - 1, 0), len(self.times) - 2)
        before, after = self.times[index], self.times[index + 1]
        share = (at - before) / (after - before) if after > before else 0.0
        return self.places[index] + min(max(share, 0.0), 1.0) * (self.places[index + 1] - self.places[index])


def waterfall(told: Story, anchors: dict[str, str]) -> Html | None:
    """The section with the bars; None for a run that has nothing timed. `anchors` leads from keys to the cards' ids."""
    rows = [(depth, step) for depth, step in _rows(told.steps, 0) if step.started_at is not None][:_MOST_ROWS]
    if not rows:
        return None
    begin = min(step.started_at for _, step in rows if step.started_at is not None)
    last = max(told.last_at, begin)
    unfinished = any(step.ended_at is None for _, step in rows)
    end = last + max(_ROOM * (last - begin), 0.001) if unfinished else last
    scale = Scale.of(
        [begin, end, *(at for _, step in rows for at in (step.started_at, step.ended_at) if at is not None)]
    )
    note = None if scale.even else tag("p", "Long stretches are drawn shorter than they were.", class_="note")
    return tag(
        "section",
        tag("h2", "How the time went"),
        tag("div", *(_row(step, depth, scale, end, anchors) for depth, step in rows), class_="fall"),
        _axis(clock(begin, told.timezone), "not over yet" if unfinished else clock(last, told.timezone)),
        note,
        class_="time",
    )


def _axis(begin: str, end: str) -> Html:
    return tag("div", tag("span"), tag("p", tag("span", begin), tag("span", end)), tag("span"), class_="row axis")


def _rows(steps: Sequence[Step], depth: int) -> Iterator[tuple[int, Step]]:
    for step, _ in notable(steps, _MOST_ALIKE if depth else _MOST_ROWS):
        if step is None:
            continue
        drawn = step.kind in _SHOWN and step.status != "skipped"
        if drawn:
            yield depth, step
        yield from _rows(step.steps, depth + drawn)


def _row(step: Step, depth: int, scale: Scale, end: float, anchors: dict[str, str]) -> Html:
    began = step.started_at if step.started_at is not None else end
    ended = step.ended_at if step.ended_at is not None else end
    left, right = (f"{scale.place(at) * 98 + 1:.2f}%" for at in (began, max(ended, began)))
    took = lasting(step.duration_s) if step.duration_s is not None else step.status
    if step.status != "done":
        took = f"{SIGNS[step.status]} {took}"
    bar = tag("line", x1=left, x2=right, y1="50%", y2="50%")
    anchor = anchors.get(step.key)
    return tag(
        "div",
        tag("a", step.title, href=f"#{anchor}") if anchor else tag("span", step.title),
        tag("svg", bar, role="img", aria_label=f"{step.title}: {step.status}, {took}", class_=f"bar {step.status}"),
        tag("span", took, class_="took"),
        class_=f"row d{min(depth, 4)}",
    )
