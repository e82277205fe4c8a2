"""Traffic of rollouts: kinds of conversations, their losses, and how many the control has for each one of the candidate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Losses = NDArray[np.int8]
"""0 or 1; a row for each rollout, a column for each conversation of the candidate."""
Counts = NDArray[np.int64]
"""The same shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Conversations of one kind: the share of the candidate's and the control's that are lost."""

    candidate: float
    control: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A rollout. From its first conversation to its last, the share of hard conversations goes from `hard[0]` to `hard[1]`, and the
    candidate's share of the traffic from `share[0]` to `share[1]`, in four steps."""

    name: str
    easy: Kind
    hard: Kind
    hard_share: tuple[float, float] = (0.0, 0.0)
    share: tuple[float, float] = (0.1, 0.1)

    @property
    def baseline(self) -> float:
        """The control's loss before the rollout began."""
        first = self.hard_share[0]
        return (1 - first) * self.easy.control + first * self.hard.control

    def hard_at(self, length: int) -> NDArray[np.float64]:
        return np.linspace(*self.hard_share, length)

    def share_at(self, length: int) -> NDArray[np.float64]:
        step = np.minimum(np.arange(length) * 4 // length, 3) / 3
        return self.share[0] + step * (self.share[1] - self.share[0])


def steady(name: str, *, candidate: float, control: float) -> Case:
    kind = Kind(candidate=candidate, control=control)
    return Case(name=name, easy=kind, hard=kind)


SHIFTING = Case(
    name="no change, shifting traffic",
    easy=Kind(candidate=0.02, control=0.02),
    hard=Kind(candidate=0.3, control=0.3),
    hard_share=(0.1, 0.6),
    share=(0.1, 0.5),
)
SEVERE = steady("5 % to 50 %", candidate=0.5, control=0.05)
CASES = (
    steady("no change", candidate=0.05, control=0.05),
    SHIFTING,
    steady("5 % to 7 %", candidate=0.07, control=0.05),
    steady("5 % to 10 %", candidate=0.10, control=0.05),
    SEVERE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What happened in many rollouts of one case, conversation by conversation of the candidate."""

    candidate: Losses
    matched: Losses
    """Of the control's conversation of the same kind that each is compared with."""
    control_lost: Counts
    """Of all the control's conversations until then; the matched ones are among them."""
    control_count: Counts

    @staticmethod
    def of(case: Case, *, rollouts: int, length: int, rng: np.random.Generator) -> "Traffic":
        shape = (rollouts, length)
        is_hard = rng.random(shape) < case.hard_at(length)
        candidate = rng.random(shape) < np.where(is_hard, case.hard.candidate, case.easy.candidate)
        matched = rng.random(shape) < np.where(is_hard, case.hard.control, case.easy.control)
        share = case.share_at(length)
        others = np.maximum(np.round((1 - share) / share).astype(np.int64) - 1, 0)
        mean = case.easy.control + case.hard_at(length) * (case.hard.control - case.easy.control)
        lost = rng.binomial(others, mean, shape) + matched
        return Traffic(
            candidate=candidate.astype(np.int8),
            matched=matched.astype(np.int8),
            control_lost=np.cumsum(lost, axis=1),
            control_count=np.broadcast_to(np.cumsum(others + 1), shape),
        )
