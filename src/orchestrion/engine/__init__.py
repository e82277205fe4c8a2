"""The only implementation of Effects, the local dispatcher that advances runs, and the scheduler that starts them."""

from ._effects import Outside, Workflows
from ._engine import Engine, Interpret, Limits, Observe
from ._lifecycle import PREFIX as LIFECYCLE
from ._mocks import DryRun, DryRuns, Mock, Noted, task_name
from ._recording import Gap, Recording, asked_for, is_refused
from ._router import Fit, Routing
from ._scheduler import LOOK_S, Fired, Planned, Scheduler, upcoming
from ._semantics import foreign_semantics
from ._walk import WalkStopped
from ._wording import Differing, differing, only_wording

__all__ = [
    "LIFECYCLE",
    "LOOK_S",
    "Differing",
    "DryRun",
    "DryRuns",
    "Engine",
    "Fired",
    "Fit",
    "Gap",
    "Interpret",
    "Limits",
    "Mock",
    "Noted",
    "Observe",
    "Outside",
    "Planned",
    "Recording",
    "Routing",
    "Scheduler",
    "WalkStopped",
    "Workflows",
    "asked_for",
    "differing",
    "foreign_semantics",
    "is_refused",
    "only_wording",
    "task_name",
    "upcoming",
]
