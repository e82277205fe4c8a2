"""Lifecycle events: runs tell of their beginning and end as CloudEvents, in the transaction in which they happen.

Source: Open Workflow DSL 1.0.3, reference, "Workflow Lifecycle Events".
"""

from typing import TYPE_CHECKING

from orchestrion.core import Json, Publish, Run, RunStatus, UserError, Write, derived_id, event_of, iso

if TYPE_CHECKING:
    from ._walk import Walk

PREFIX = "io.serverlessworkflow.workflow."


def began(walk: "Walk") -> list[Write]:
    """Told with the first write of a run's first walk."""
    run = walk.run
    return _told(walk, run, "started", {"startedAt": iso(run.started_at or run.created_at)})


def ended(walk: "Walk", run: Run) -> list[Write]:
    """Told with the write that ends a run; again when it was tried again."""
    at = iso(run.ended_at or walk.clock.now())
    match run.status:
        case RunStatus.COMPLETED:
            labels = {f"/data/output{place}": list(names) for place, names in (run.labels or {}).items()}
            try:
                return _told(walk, run, "completed", {"completedAt": at, "output": run.output}, labels)
            except UserError:  # too large for an event: the run has it
                return _told(walk, run, "completed", {"completedAt": at})
        case RunStatus.FAULTED:
            return _told(walk, run, "faulted", {"faultedAt": at, "error": run.problem})
        case RunStatus.CANCELLED:
            return _told(walk, run, "cancelled", {"cancelledAt": at})
        case _:
            return []


def _told(
    walk: "Walk", run: Run, what: str, more: dict[str, Json], labels: dict[str, list[str]] | None = None
) -> list[Write]:
    """The event, with the definition also where the standard does not ask for it: listeners choose by it."""
    if not walk.lifecycle:
        return []
    definition: Json = {"namespace": run.namespace, "name": run.workflow, "version": run.version}
    body: Json = {
        "type": f"{PREFIX}{what}.v1",
        "source": f"/workflows/{walk.run_name}",
        "id": derived_id(run.id, f"lifecycle/{what}/{run.attempt}"),
        "subject": run.id,
        "datacontenttype": "application/json",
        "data": {"name": f"{run.workflow}-{run.id}.{run.namespace}", "definition": definition, **more},
    }
    return [Publish(event_of(body, now=walk.clock.now(), labels=labels or None))]
