"""Immutable versions by content digest, the aliases that point at them, the rollouts that put new ones on trial, and the incidents of what they use."""

from ._bundle import Bundle, bundle_of, is_called, short
from ._diff import Change, differences, summary
from ._incidents import Incident, IncidentKind, Incidents, IncidentStep
from ._registry import PRODUCTION, Kept, Move, Registry, move_alias
from ._rollouts import Rollout, Rollouts, RolloutStatus, TrialRun

__all__ = [
    "PRODUCTION",
    "Bundle",
    "Change",
    "Incident",
    "IncidentKind",
    "IncidentStep",
    "Incidents",
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
