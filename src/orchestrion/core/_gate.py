"""The permit: proof that the engine decided and recorded what is about to happen. Egress and connections open for nothing else."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ._errors import BugError


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """One performed entry: which run, which key, and the run that all this began with."""

    run_id: str
    key: str
    root_id: str = ""


_current: ContextVar[Permit | None] = ContextVar("orchestrion_permit", default=None)


@contextmanager
def permitted(permit: Permit) -> Generator[None]:
    """Within it, and in tasks begun within it, the outside may be reached. The engine's gate uses it."""
    token = _current.set(permit)
    try:
        yield
    finally:
        _current.reset(token)


def require_permit(what: str) -> Permit:
    """The current permit. Raises: BugError `ungoverned` when `what` is attempted outside the gate."""
    permit = _current.get()
    if permit is None:
        raise BugError("ungoverned", f"{what} was attempted outside the engine's gate.")
    return permit
