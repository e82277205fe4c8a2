"""The only implementation of Effects, the local dispatcher that advances runs, and the scheduler that starts them."""

from ._effects import Outside, Workflows
from ._engine import Engine, Interpret, Limits, Observe
from ._lifecycle import PREFIX as LIFECYCLE
from ._mocks import DryRun, DryRuns, Mock, Noted, task_name
from ._router import Fit, Routing
from ._scheduler import LOOK_S, Fired, Planned, Scheduler, upcoming
from ._semantics import foreign_semantics
from ._walk import WalkStopped

__all__ = [
    "LIFECYCLE",
    "LOOK_S",
    "DryRun",
    "DryRuns",
    "Engine",
    "Fired",
    "Fit",
    "Interpret",
    "Limits",
    "Mock",
    "Noted",
    "Observe",
    "Outside",
    "Planned",
    "Routing",
    "Scheduler",
    "WalkStopped",
    "Workflows",
    "foreign_semantics",
    "task_name",
    "upcoming",
]
