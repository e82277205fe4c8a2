"""What happened in a rollout, put in order and compared as far as it goes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ._assign import Side
from ._comparison import Comparison, Rule
from ._matching import Matching


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Happening:
    """A conversation began, or it is known how it went. They are ordered by time, so that who reads them when is of no consequence."""

    at: float
    settled: bool
    conversation: str
    side: Side = field(compare=False)
    stratum: str = field(default="", compare=False)
    loss: float = field(default=0.0, compare=False)
    violation: str | None = field(default=None, compare=False)
    """What it did that must not be done even once, in words."""


class Tally:
    """The comparison that follows from all that has happened, whenever and in which order it was told.

    What is told in the order of time costs its own length; what is told late lets it begin anew.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._happenings: list[Happening] = []
        self._begin()

    def tell(self, happenings: Iterable[Happening]) -> None:
        """More of what happened; nothing may be told twice."""
        new = sorted(happenings)
        if new and self._happenings and new[0] < self._happenings[-1]:
            new = sorted([*self._happenings, *new])
            self._happenings.clear()
            self._begin()
        for each in new:
            self._happenings.append(each)
            self._take(each)

    def _begin(self) -> None:
        self.comparison = Comparison(rule=self._rule)
        self._matching = Matching()

    def _take(self, each: Happening) -> None:
        if self.comparison.violation is not None:
            return
        if not each.settled:
            self._matching = self._matching.begun(each.conversation, side=each.side, stratum=each.stratum)
        elif each.violation is not None and each.side == "candidate":
            self.comparison = self.comparison.violated(each.violation)
        else:
            self._matching, pairs = self._matching.settled(each.conversation, each.loss)
            for pair in pairs:
                self.comparison = self.comparison.after(pair)
