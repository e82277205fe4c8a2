"""Ways to decide a rollout. Each says for every rollout after how many of the candidate's conversations it rolls back, or NEVER."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from orchestrion.oversight import Comparison, Pair, Promote, RollBack, Rule

from .traffic import Case, Counts, Traffic

NEVER = 2**63 - 1
ALPHA = 0.05
PAIRS = {(lost, other): Pair(candidate=lost, control=other) for lost in (0, 1) for other in (0, 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    rolled_back: Counts
    """A value for each rollout."""
    promoted: Counts | None = None

    @property
    def share(self) -> float:
        return int(np.count_nonzero(self.rolled_back != NEVER)) / len(self.rolled_back)

    @property
    def median(self) -> float | None:
        """Of those rolled back."""
        found = self.rolled_back[self.rolled_back != NEVER]
        return float(np.median(found)) if len(found) else None


def betting(traffic: Traffic, rule: Rule) -> Decided:
    """What ships."""
    rolled_back: list[int] = []
    promoted: list[int] = []
    for candidate, control in zip(traffic.candidate.tolist(), traffic.matched.tolist(), strict=True):
        comparison = Comparison(rule=rule)
        for pair in zip(candidate, control, strict=True):
            comparison = comparison.after(PAIRS[pair])
            if comparison.is_closed:
                break
        verdict = comparison.verdict
        rolled_back.append(comparison.pairs if isinstance(verdict, RollBack) else NEVER)
        promoted.append(comparison.pairs if isinstance(verdict, Promote) else NEVER)
    return Decided(rolled_back=np.array(rolled_back), promoted=np.array(promoted))


def agrapa(traffic: Traffic) -> Decided:
    """One bet that adapts itself instead of several constant ones: the approximate growth rate, at most 0.9, from the pairs so far.

    Source: Waudby-Smith & Ramdas, JRSS B 2024, section on aGRAPA.
    """
    worse = traffic.candidate.astype(float) - traffic.matched
    rollouts, length = worse.shape
    total, squares, wealth = np.zeros(rollouts), np.full(rollouts, 0.25), np.zeros(rollouts)
    reached = np.zeros(worse.shape, dtype=bool)
    for number in range(length):
        mean = total / (number + 1)
        variance = np.maximum(squares / (number + 1) - mean**2, 1e-9)
        stake = np.clip(mean / (variance + mean**2), 0, 0.9)
        wealth += np.log1p(stake * worse[:, number])
        reached[:, number] = wealth >= np.log(1 / ALPHA)
        total += worse[:, number]
        squares += worse[:, number] ** 2
    return _first(reached)


def z_test(traffic: Traffic) -> Decided:
    """Two shares compared after every conversation, one-sided, all the control's conversations against all the candidate's."""
    count = _count(traffic)
    lost = np.cumsum(traffic.candidate, axis=1)
    others, other_lost = traffic.control_count, traffic.control_lost
    pooled = (lost + other_lost) / (count + others)
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / count + 1 / others))
    difference = lost / count - other_lost / others
    return _first(difference > NormalDist().inv_cdf(1 - ALPHA) * np.maximum(deviation, 1e-9))


def fixed_threshold(traffic: Traffic, case: Case) -> Decided:
    """More than twice the loss there was before the rollout, looked at from the 20th conversation on."""
    count = _count(traffic)
    rate = np.cumsum(traffic.candidate, axis=1) / count
    return _first((rate > 2 * case.baseline) & (count >= 20))


def _count(traffic: Traffic) -> NDArray[np.int64]:
    return np.arange(1, traffic.candidate.shape[1] + 1, dtype=np.int64)


def _first(reached: NDArray[np.bool_]) -> Decided:
    return Decided(rolled_back=np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, NEVER))
