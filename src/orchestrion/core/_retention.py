"""How long what has ended is kept, and what a sweep removed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._journal import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Ages in seconds after which something may go; None or absent: kept for good. What is open is never touched."""

    runs: Mapping[RunStatus, float | None]
    """By how a run ended, counted from its end. A run goes together with its children, once all of them may."""
    workflows: Mapping[str, Mapping[RunStatus, float | None]] = field(
        default_factory=dict[str, Mapping[RunStatus, float | None]]
    )
    """Workflows (`name`) whose runs have ages of their own."""
    events: float | None = None
    quarantined: float | None = None
    sessions: float | None = None
    """Counted from when one was last used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a sweep took out of the store, or would."""

    runs: Mapping[RunStatus, int]
    events: int = 0
    quarantined: int = 0
    documents: int = 0
    blobs: int = 0
    sessions: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.runs or self.events or self.quarantined or self.documents or self.blobs or self.sessions)
