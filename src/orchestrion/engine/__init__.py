"""The only implementation of Effects, and the local dispatcher that advances runs."""

from ._dry import DryRun, Mock, Noted, task_name
from ._effects import Outside, Workflows
from ._engine import Engine, Interpret, Limits, Observe
from ._router import Fit, Routing
from ._walk import WalkStopped

__all__ = [
    "DryRun",
    "Engine",
    "Fit",
    "Interpret",
    "Limits",
    "Mock",
    "Noted",
    "Observe",
    "Outside",
    "Routing",
    "WalkStopped",
    "Workflows",
    "task_name",
]
