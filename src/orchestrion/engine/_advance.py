"""One walk of a run's workflow, from where its record ends to its end or rest."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from orchestrion.core import Clock, Datum, Diverged, Effects, OrchestrionError, Run, RunStatus, SetRun, UserError

from ._effects import Outside
from ._endings import finish, finish_cancelled, finish_stopped
from ._lifecycle import began
from ._mocks import DryRuns
from ._replay import effects_over
from ._walk import Ending, Walk, WalkStopped

log = logging.getLogger(__name__)

Interpret = Callable[[Run, Effects], Awaitable[Datum]]
"""Walks a run's workflow from its beginning over the given effects, and returns its output."""

OutsideOf = Callable[[Run], Awaitable[Outside]]
"""What a run of its version is made of. Raises: UserError when that version cannot be used any more; the run then faults."""


async def advance(
    walk: Walk,
    outside: Outside | OutsideOf,
    interpret: Interpret,
    *,
    dry: DryRuns | None,
    clock: Clock,
    stopping: Callable[[], bool],
) -> Run:
    """Walk the workflow once, and write how it ended."""
    try:
        made_of = outside if isinstance(outside, Outside) else await outside(walk.run)
    except UserError as error:
        walk.main = None
        return await finish(walk, RunStatus.FAULTED, error=error)
    effects = effects_over(walk, made_of, dry)
    try:
        if walk.cancelled_by is not None:
            return await finish_cancelled(walk)
        if walk.run.started_at is None:
            walk.run = replace(walk.run, started_at=clock.now())
            walk.attach(SetRun(started_at=walk.run.started_at))
        if not walk.entries:
            walk.attach(*began(walk))
        output = await interpret(walk.run, effects)
        walk.main = None
        return await finish(walk, RunStatus.COMPLETED, output=output)
    except (WalkStopped, asyncio.CancelledError):
        if walk.ending is Ending.CANCELLED:
            return await finish_cancelled(walk)
        if isinstance(walk.failure, Diverged | UserError):
            return await finish_stopped(walk, walk.failure)
        raise
    except Exception as error:
        if walk.ending is Ending.STOPPED or stopping():
            raise WalkStopped from error
        if not isinstance(error, OrchestrionError):
            log.exception("Run %s failed unexpectedly", walk.run.id)
        walk.main = None
        return await finish(walk, RunStatus.FAULTED, error=error)
