"""What is known of a share, a mean, a difference or an agreement after so many cases. All intervals are of 95 %."""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

Z = 1.959963984540054
"""The normal distribution holds 95 % within so many standard deviations."""
_DRAWS = 2_000
_MOST_DRAWN = 2_000_000
"""Values drawn for one interval at most; a sample so large needs fewer draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and the interval it lies in."""

    value: float
    low: float
    high: float
    count: int
    """Of how many cases."""


def share(good: int, count: int) -> Estimate:
    """The share of cases that are good, with Wilson's interval; `count` at least 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
    """
    part, square = good / count, Z * Z / count
    middle = (part + square / 2) / (1 + square)
    half = Z / (1 + square) * math.sqrt(part * (1 - part) / count + square / (4 * count))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(value=part, low=0.0 if good == 0 else low, high=1.0 if good == count else high, count=count)


def mean(values: Sequence[float]) -> Estimate:
    """The mean of numbers of any distribution, at least one, with the bootstrap's percentile interval.

    It is drawn from the numbers alone, so that the same numbers give the same interval.
    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    middle = math.fsum(values) / len(values)
    low, high = _bootstrap(values, lambda drawn: math.fsum(drawn) / len(drawn))
    return Estimate(value=middle, low=low, high=high, count=len(values))


def share_difference(pairs: Sequence[tuple[bool, bool]]) -> Estimate:
    """By how much the share of good cases of the first side exceeds that of the second; both sides saw the same cases.

    Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired data",
    Statistics in Medicine 1998, method 10.
    """
    count = len(pairs)
    first, second = share(sum(a for a, _ in pairs), count), share(sum(b for _, b in pairs), count)
    together = _correlation(Counter(pairs), count)
    value = first.value - second.value
    low = value - _joint(first.value - first.low, second.high - second.value, together)
    high = value + _joint(second.value - second.low, first.high - first.value, together)
    return Estimate(value=value, low=max(-1.0, low), high=min(1.0, high), count=count)


def _joint(one: float, other: float, together: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * together * one * other + other * other))


def _correlation(seen: Counter[tuple[bool, bool]], count: int) -> float:
    both, only, other, neither = seen[True, True], seen[True, False], seen[False, True], seen[False, False]
    sides = (both + only) * (other + neither) * (both + other) * (only + neither)
    if sides == 0:
        return 0.0
    product = both * neither - only * other
    corrected = max(product - count / 2, 0.0) if product > 0 else product
    return corrected / math.sqrt(sides)


def mean_difference(pairs: Sequence[tuple[float, float]]) -> Estimate:
    """By how much the mean of the first numbers exceeds that of the second; both sides saw the same cases."""
    return mean([first - second for first, second in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far a judge and people say the same of the same cases."""

    same: Estimate
    """The share of cases of which both say the same."""
    kappa: Estimate | None
    """Cohen's: 0 is what chance alone would give, 1 is full agreement. None where both say one and the same of all."""


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Of what a judge and a person say of each case; at least one.

    Source: Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 1960.
    """
    same = share(sum(judge == person for judge, person in pairs), len(pairs))
    value = _kappa(pairs)
    if value is None:
        return Agreement(same=same, kappa=None)
    low, high = _bootstrap(pairs, lambda drawn: 1.0 if (found := _kappa(drawn)) is None else found)
    return Agreement(same=same, kappa=Estimate(value=value, low=low, high=high, count=len(pairs)))


def _kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    count = len(pairs)
    judges, people = Counter(judge for judge, _ in pairs), Counter(person for _, person in pairs)
    chance = sum(judges[label] * people[label] for label in judges) / (count * count)
    if chance == 1:
        return None
    return (sum(judge == person for judge, person in pairs) / count - chance) / (1 - chance)


def _bootstrap(values: Sequence[T], of: Callable[[Sequence[T]], float]) -> tuple[float, float]:
    draws = max(200, min(_DRAWS, _MOST_DRAWN // len(values)))
    chance = random.Random(len(values))  # noqa: S311 no secret: it is to be the same each time
    found = sorted(of(chance.choices(values, k=len(values))) for _ in range(draws))
    return found[int(0.025 * draws)], found[min(draws - 1, math.ceil(0.975 * draws) - 1)]
