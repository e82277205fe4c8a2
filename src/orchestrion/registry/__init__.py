"""Immutable versions by content digest, the aliases that point at them, and the rollouts that put new ones on trial."""

from ._bundle import Bundle, bundle_of, is_called, short
from ._diff import Change, differences, summary
from ._registry import PRODUCTION, Kept, Move, Registry, move_alias
from ._rollouts import Rollout, Rollouts, RolloutStatus, TrialRun

__all__ = [
    "PRODUCTION",
    "Bundle",
    "Change",
    "Kept",
    "Move",
    "Registry",
    "Rollout",
    "RolloutStatus",
    "Rollouts",
    "TrialRun",
    "bundle_of",
    "differences",
    "is_called",
    "move_alias",
    "short",
    "summary",
]
