"""What a gambler would own who bets against a hypothesis: the more, the less it is to be believed."""

from dataclasses import dataclass

STAKES = (3 / 4, 3 / 8, 3 / 16, 3 / 32)
"""Shares of what may be lost at most. Large ones find large differences soon, small ones find small differences at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """A fortune of 1, divided equally among gamblers who each stake the same share of theirs in every round.

    If each round's gain is at most 0 in the mean, given the rounds before, then whatever the rounds are like, the fortune reaches 1/alpha
    with probability at most alpha, ever. What is owned in the end does not depend on the order of the rounds; when a bound is
    reached does.

    Source: Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 2024; the mixture over
    constant bets stands in its section on "grid Kelly".
    """

    stakes: tuple[float, ...] = STAKES
    amounts: tuple[float, ...] = tuple(1 / len(STAKES) for _ in STAKES)

    @property
    def total(self) -> float:
        return sum(self.amounts)

    def after(self, gain: float) -> "Wealth":
        """The fortune after a round with `gain`, at least -1: what comes back for each 1 that was staked."""
        amounts = tuple([amount * (1 + stake * gain) for stake, amount in zip(self.stakes, self.amounts, strict=True)])
        return Wealth(stakes=self.stakes, amounts=amounts)


START = Wealth()
