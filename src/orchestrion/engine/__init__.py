"""The only implementation of Effects, and the local dispatcher that advances runs."""

from ._effects import Outside, Workflows
from ._engine import Engine, Interpret, Limits, Observe
from ._router import Fit, Routing
from ._walk import WalkStopped

__all__ = ["Engine", "Fit", "Interpret", "Limits", "Observe", "Outside", "Routing", "WalkStopped", "Workflows"]
