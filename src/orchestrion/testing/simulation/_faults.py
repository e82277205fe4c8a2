"""What goes wrong in a simulation: kills, restarts, a store that fails now and then, functions that do not stop."""

from dataclasses import dataclass, field
from random import Random

from ._journal import Weather

MOST_DEATHS = 4


@dataclass(slots=True, kw_only=True)
class Faults:
    """All that will go wrong, decided beforehand."""

    deaths: list[int] = field(default_factory=list[int])
    """For each process in turn, the number of callbacks after which it is killed."""
    weather: Weather = field(default_factory=Weather)
    stops: list[float] = field(default_factory=list[float])
    """When a process is stopped in an orderly way, and started again."""
    stubborn: float = 0.0
    """The probability that a function goes on for a while although it was cancelled."""
    concurrency: int = 50

    @staticmethod
    def drawn(random: Random, unit_s: float) -> "Faults":
        """Most simulations have a few; some have none."""
        deaths: list[int] = []
        if random.random() < 0.6:
            deaths = [int(10 ** random.uniform(0.9, 2.6)) for _ in range(random.randint(1, MOST_DEATHS))]
        slow = random.choice((0.002, 0.02, 0.02, 0.3))
        failing = random.choice((0.0, 0.0, 0.0, 0.02, 0.1))
        return Faults(
            deaths=deaths,
            weather=Weather(slowest_commit_s=slow, slowest_read_s=slow / 4, look_s=unit_s / 4, failing=failing),
            stops=[unit_s * 10 ** random.uniform(-2, 1)] if random.random() < 0.1 else [],
            stubborn=random.choice((0.0, 0.0, 0.3)),
            concurrency=random.choice((1, 2, 50)),
        )
