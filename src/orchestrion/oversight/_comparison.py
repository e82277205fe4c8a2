"""Is the candidate worse than the control, is it as good, or is that not known yet?"""

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast

from pydantic import TypeAdapter, ValidationError

from orchestrion.core import BugError, Json, UserError

from ._wealth import START, Wealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What two conversations of the same kind lost, one with the candidate and one with the control, both in [0, 1].

    0 is as good as can be, 1 as bad as can be: an error, a correction by a person, what a judge marked down, cost over the budget, time
    over the limit.

    Raises: UserError `loss-out-of-range`.
    """

    candidate: float
    control: float

    def __post_init__(self) -> None:
        for side, loss in (("candidate", self.candidate), ("control", self.control)):
            if not 0 <= loss <= 1:
                raise UserError(
                    "loss-out-of-range",
                    f"The {side}'s loss is {loss!r}.",
                    hint="Give one from 0 (as good as can be) to 1 (as bad as can be).",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a rollout is decided. Losses and differences of them are shares: 0.05 is five points of a hundred.

    Raises: UserError `rollout-rule-invalid`.
    """

    alpha: float = 0.05
    """A candidate no worse than `margin` is rolled back with at most this probability; one worse than `tolerance` or equal to it is
    promoted with at most this probability."""
    margin: float = 0.0
    """How much greater than the control's the candidate's mean loss may be without being a reason to roll back."""
    tolerance: float | None = 0.05
    """What the candidate has to be shown to stay below to be promoted: it is worse by less than this. None: it is watched, never
    promoted."""
    most_pairs: int = 5_000
    """With so many and no verdict, comparing ends, and a person decides."""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r}, not {bounds}"
            for name, value, fits, bounds in (
                ("alpha", self.alpha, 0 < self.alpha < 1, "between 0 and 1"),
                ("margin", self.margin, 0 <= self.margin < 1, "from 0 to below 1"),
                ("tolerance", self.tolerance, self.tolerance is None or 0 < self.tolerance < 1, "between 0 and 1"),
                ("most_pairs", self.most_pairs, self.most_pairs >= 1, "at least 1"),
            )
            if not fits
        ]
        if self.tolerance is not None and self.tolerance < self.margin:
            wrong.append(f"tolerance {self.tolerance!r} is below margin {self.margin!r}")
        if wrong:
            raise UserError("rollout-rule-invalid", f"A rollout cannot be decided so: {'; '.join(wrong)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a verdict rests on."""

    rule: Rule
    pairs: int
    candidate_loss: float | None
    """The mean of the pairs; None without any."""
    control_loss: float | None
    against: float
    """The wealth won by betting that the candidate is worse than `margin`; rolled back at 1/alpha."""
    in_favour: float
    """The wealth won by betting that it is worse by less than `tolerance`; promoted at 1/alpha."""

    def to_json(self) -> dict[str, Json]:
        return {
            "pairs": self.pairs,
            "candidate_loss": self.candidate_loss,
            "control_loss": self.control_loss,
            "against": self.against,
            "in_favour": self.in_favour,
            "alpha": self.rule.alpha,
            "margin": self.rule.margin,
            "tolerance": self.rule.tolerance,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Nothing is shown yet."""

    standing: Standing
    ended: bool
    """The most pairs the rule allows were compared: a person decides."""
    pairs_expected: int | None
    """How many more pairs a verdict takes if it goes on as it went; a guess. None: more than the rule allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """The candidate is worse than the margin allows, or did what must not be done even once."""

    standing: Standing
    violation: str | None = None
    """What it did: a breach of policy, an effect that was refused. It counts without any statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """The candidate is worse by less than the tolerance, if at all."""

    standing: Standing


RolloutVerdict: TypeAlias = Undecided | RollBack | Promote


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The state of a rollout's comparison: a small value, kept as JSON, followed by another with each pair.

    It may be looked at after every pair, and the rollout may end for any reason: the error rates of the rule hold at every stopping time.
    They need that a pair's conversations were assigned by chance and matched before anything was known of how they go, and that pairs
    come in the order in which they were made (`Matching` does both). What the traffic consists of may change all the time.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024.
    """

    rule: Rule
    pairs: int = 0
    candidate_sum: float = 0.0
    control_sum: float = 0.0
    against: Wealth = START
    in_favour: Wealth = START
    violation: str | None = None

    def after(self, pair: Pair) -> "Comparison":
        """The comparison with one more pair. Once there is a verdict, or comparing has ended, no pair changes it."""
        if self.is_closed:
            return self
        worse = pair.candidate - pair.control
        margin, tolerance = self.rule.margin, self.rule.tolerance
        return Comparison(
            rule=self.rule,
            pairs=self.pairs + 1,
            candidate_sum=self.candidate_sum + pair.candidate,
            control_sum=self.control_sum + pair.control,
            against=self.against.after((worse - margin) / (1 + margin)),
            in_favour=self.in_favour
            if tolerance is None
            else self.in_favour.after((tolerance - worse) / (1 - tolerance)),
        )

    def violated(self, what: str) -> "Comparison":
        """The comparison after the candidate did what must not be done even once; `what` in words. The first one stays."""
        return self if self.violation is not None else replace(self, violation=what)

    @property
    def is_closed(self) -> bool:
        """Whether further pairs are of no consequence."""
        goal = 1 / self.rule.alpha
        return (
            self.violation is not None
            or self.pairs >= self.rule.most_pairs
            or self.against.total >= goal
            or self.in_favour.total >= goal
        )

    @property
    def verdict(self) -> RolloutVerdict:
        goal = 1 / self.rule.alpha
        if self.violation is not None or self.against.total >= goal:
            return RollBack(standing=self.standing, violation=self.violation)
        if self.in_favour.total >= goal:
            return Promote(standing=self.standing)
        ended = self.pairs >= self.rule.most_pairs
        return Undecided(standing=self.standing, ended=ended, pairs_expected=self._expected())

    @property
    def standing(self) -> Standing:
        return Standing(
            rule=self.rule,
            pairs=self.pairs,
            candidate_loss=self.candidate_sum / self.pairs if self.pairs else None,
            control_loss=self.control_sum / self.pairs if self.pairs else None,
            against=self.against.total,
            in_favour=self.in_favour.total,
        )

    def _expected(self) -> int | None:
        """By the gambler of each side whose fortune grew fastest: how long until it alone is worth the goal."""
        left = self.rule.most_pairs - self.pairs
        found: list[int] = []
        for wealth in (self.against, self.in_favour):
            richest = max(wealth.amounts)
            growth = math.log(richest * len(wealth.amounts)) / self.pairs if self.pairs and richest > 0 else 0.0
            if growth > 0:
                found.append(math.ceil(math.log(1 / self.rule.alpha / richest) / growth))
        return min((each for each in found if each <= left), default=None)

    def to_json(self) -> Json:
        return cast("Json", _ADAPTER.dump_python(self, mode="json"))

    @staticmethod
    def from_json(kept: Json) -> "Comparison":
        """The comparison that `to_json` gave. Raises: BugError `rollout-state-unreadable`."""
        try:
            found = cast("Comparison", _ADAPTER.validate_python(kept))
        except (ValidationError, UserError) as error:
            raise BugError("rollout-state-unreadable", f"What is kept of a rollout's comparison: {error}") from None
        if found.to_json() != kept:
            raise BugError("rollout-state-unreadable", "What is kept of a rollout's comparison has other fields.")
        return found


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Comparison)
