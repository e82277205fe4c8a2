"""The schedules of a project: which there are, and what a person may do to them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from orchestrion.core import Clock, Journal, Run, ScheduleState, UserError, new_id
from orchestrion.engine import Fired, Planned, Scheduler
from orchestrion.spec import Document, Schedule

from ._app import App
from ._workflows import Shelf, input_labels


def planned_on(shelf: Shelf) -> list[Planned]:
    """The newest version of each workflow in the project's files, where that has a schedule."""
    return _planned(shelf.named(name) for name in sorted({document.id for document in shelf.documents}))


async def planned_now(app: App) -> list[Planned]:
    """The version of each workflow that new runs get, where that has a schedule."""
    return _planned(await app.versions.documents())


def _planned(documents: Iterable[Document]) -> list[Planned]:
    return [
        Planned(workflow=document.id, digest=document.digest, schedule=document.schedule)
        for document in documents
        if document.schedule is not None
    ]


def scheduler_of(app: App, on_fired: Callable[[Fired], None]) -> Scheduler:
    """Starts the app's workflows by the calendar while it runs."""

    async def planned() -> Sequence[Planned]:
        return await planned_now(app)

    async def pin(planned: Planned, run_id: str, at: float) -> Run:
        return await _pinned(app, planned.workflow, planned.schedule, run_id, at)

    return Scheduler(
        planned,
        journal=app.journal,
        clock=app.clock,
        pin=pin,
        advance=app.engine.advance,
        settle=app.engine.settle,
        on_fired=on_fired,
    )


async def _pinned(app: App, workflow: str, schedule: Schedule, run_id: str, at: float) -> Run:
    subject = f"Schedule::{workflow}"
    value = schedule.input_at(at)
    chosen = await app.versions.choose(workflow, subject, value=value, key=run_id)
    run = await app.workflows.pin(
        chosen.document,
        run_id=run_id,
        value=value,
        labels=input_labels(chosen.document),
        versions=chosen.versions,
    )
    return replace(run, subject=subject)


async def fire(app: App, workflow: str, *, subject: str, advance: bool) -> Run:
    """Start a scheduled workflow now, as if it were due; its schedule stays as it is.

    Without `advance` the run is left to the process that owns the store. Raises: UserError `unknown-workflow`, `not-scheduled`.
    """
    planned = await scheduled(app, workflow)
    pinned = await _pinned(app, planned.workflow, planned.schedule, new_id(), app.clock.now())
    run = replace(pinned, subject=subject)
    return await (app.engine.start(run) if advance else app.journal.start(run))


async def pause(journal: Journal, clock: Clock, workflow: str, by: str) -> ScheduleState:
    """Let a schedule fire no more until it is resumed. Raises: UserError `schedule-paused`."""

    def paused(state: ScheduleState) -> ScheduleState:
        if state.paused_by is not None:
            raise UserError("schedule-paused", f"The schedule of {workflow} is paused already, by {state.paused_by!r}.")
        return replace(state, paused_by=by, updated_at=clock.now())

    return await _change(journal, clock, workflow, paused)


async def resume(journal: Journal, clock: Clock, workflow: str) -> ScheduleState:
    """Let it fire again from now on; what fell into the pause is not made up for. Raises: UserError `schedule-not-paused`."""

    def resumed(state: ScheduleState) -> ScheduleState:
        if state.paused_by is None:
            raise UserError("schedule-not-paused", f"The schedule of {workflow} is not paused.")
        return replace(state, paused_by=None, next_at=None, updated_at=clock.now())

    return await _change(journal, clock, workflow, resumed)


async def _change(
    journal: Journal, clock: Clock, workflow: str, change: Callable[[ScheduleState], ScheduleState]
) -> ScheduleState:
    while True:
        known = {state.workflow: state for state in await journal.schedules()}
        wanted = change(known.get(workflow) or ScheduleState(workflow=workflow, digest="", updated_at=clock.now()))
        if await journal.reschedule(wanted) is not None:
            return replace(wanted, revision=wanted.revision + 1)


async def scheduled(app: App, workflow: str) -> Planned:
    """The schedule of a workflow by its name, as new runs get it. Raises: UserError `unknown-workflow`, `not-scheduled`."""
    document = (await app.versions.choose(workflow, None)).document
    if document.schedule is None:
        raise UserError(
            "not-scheduled",
            f"{document.id} {document.version} has no schedule by the calendar.",
            hint="`orchestrion schedules list` shows those that have; `orchestrion run` starts any workflow.",
        )
    return Planned(workflow=document.id, digest=document.digest, schedule=document.schedule)
