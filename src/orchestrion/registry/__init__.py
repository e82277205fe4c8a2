"""Immutable versions by content digest, and the aliases that point at them."""

from ._bundle import Bundle, bundle_of, short
from ._diff import Change, differences, summary
from ._registry import PRODUCTION, Kept, Move, Registry, move_alias

__all__ = [
    "PRODUCTION",
    "Bundle",
    "Change",
    "Kept",
    "Move",
    "Registry",
    "bundle_of",
    "differences",
    "move_alias",
    "short",
    "summary",
]
