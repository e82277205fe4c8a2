"""A simulator of runs: random workflows, schedules and faults from one seed, judged by a model of what should happen.

`python -m orchestrion.testing.simulation --seed N --verbose` replays one.
"""

from ._generate import generate
from ._programs import evaluate
from ._simulation import Report, simulate
from ._telling import command, told

__all__ = ["Report", "command", "evaluate", "generate", "simulate", "told"]
