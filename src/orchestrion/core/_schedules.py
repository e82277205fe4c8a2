"""Where the workflows that run by the calendar stand in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """What the journal keeps of one workflow's schedule."""

    workflow: str
    """`namespace/name`"""
    digest: str
    """The version whose calendar it follows; empty while the project has no schedule for it."""
    next_at: float | None = None
    """When it fires next. None: the run before must end first, or nothing is planned."""
    last_at: float | None = None
    """The time of its latest firing, as planned; the run may have begun later."""
    last_run_id: str | None = None
    paused_by: str | None = None
    updated_at: float
    revision: int = 0
    """Raised by every change; 0 before it is first kept."""
