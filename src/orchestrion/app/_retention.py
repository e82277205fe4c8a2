"""The project's retention policy, and the sweep that a working process does beside its work."""

import asyncio
import logging
from collections.abc import Mapping

from orchestrion.core import Journal, OrchestrionError, Removed, Retention, RunStatus
from orchestrion.journal import DurableJournal
from orchestrion.project import Ages, Project
from orchestrion.store import Store

log = logging.getLogger(__name__)

EVERY_S = 3600.0


def retention_of(project: Project) -> Retention:
    """The ages that the project's settings give."""
    settings = project.settings.retention
    return Retention(
        runs=_runs(settings),
        workflows={name: _runs(ages) for name, ages in settings.workflows.items()},
        events=settings.events_s,
        quarantined=settings.quarantine_s,
        sessions=settings.sessions_s,
    )


def _runs(ages: Ages) -> Mapping[RunStatus, float | None]:
    return {
        RunStatus.COMPLETED: ages.completed_s,
        RunStatus.FAULTED: ages.faulted_s,
        RunStatus.CANCELLED: ages.cancelled_s,
    }


async def retain(journal: Journal, policy: Retention, *, dry_run: bool = False) -> Removed:
    """Remove what the policy does not keep, or say what that would be."""
    if not isinstance(journal, DurableJournal):
        return Removed(runs={})
    return await (journal.expirable(policy) if dry_run else journal.retain(policy))


async def keep_retaining(journal: Journal, policy: Retention) -> None:
    """Sweep now and once an hour, for as long as the process works. A sweep that fails is tried again with the next."""
    while True:
        try:
            removed = await retain(journal, policy)
            if not removed.nothing:
                log.info("Retention removed %s", removed)
        except OrchestrionError as error:
            log.warning("Retention is put off: %s", error)
        await asyncio.sleep(EVERY_S)


def vacuum_store(project: Project) -> tuple[int, int]:
    """Give the space of what was deleted back to the file system; bytes before and after."""
    return Store.vacuum(project.store_url(project.secrets()))
