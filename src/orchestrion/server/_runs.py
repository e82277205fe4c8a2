"""Routes of runs: start, list, look, and set going, back or aside."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime

from orchestrion.app import WORKING, App, Chosen, keep_working, resolve
from orchestrion.core import Run, RunFilter, RunStatus, UserError
from orchestrion.registry import Bundle
from orchestrion.spec import Document

from ._answers import JsonAnswer, durable
from ._identity import GuardedRoute, Me
from ._run_shapes import (
    EntryPage,
    EntryWhole,
    RerunGiven,
    RunPage,
    RunSummary,
    RunWhole,
    StartGiven,
    entry_summary,
    entry_whole,
    run_summary,
    run_whole,
)

MOST = 200
"""Rows of one page."""
KEY = r"^[\x21-\x7e]+$"
RunId = Annotated[str, "A run's id."]
StartKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=KEY,
        description="A repeated key gives the run that used it, and starts nothing.",
    ),
]


def run_routes(app: App, expect: Callable[[str], None]) -> APIRouter:
    """Runs of an open project. `expect` is told of runs that somebody is about to follow."""
    router = APIRouter(prefix="/runs", tags=["runs"], route_class=GuardedRoute)

    @router.post("", operation_id="startRun", status_code=201, response_model=RunSummary)
    async def start(given: StartGiven, me: Me, key: StartKey = None) -> Response:
        """Start a run. It is durable when this answers."""
        chosen = await _chosen(app, given.workflow, given.version, me.name)
        own_key = start_key(me.name, key) if key is not None else None
        run = await app.start(chosen, given.input, start_key=own_key, subject=me.name)
        if given.followed and not run.status.ended:
            expect(run.id)
        return JsonAnswer(run_summary(run), status_code=201, headers={"location": f"/api/v1/runs/{run.id}"})

    @router.get("", operation_id="listRuns", response_model=RunPage)
    async def listed(
        me: Me,
        workflow: Annotated[str | None, Query(max_length=300)] = None,
        status: Annotated[list[RunStatus] | None, Query(max_length=8)] = None,
        since: Annotated[AwareDatetime | None, Query(description="Only those created then or later.")] = None,
        until: Annotated[AwareDatetime | None, Query(description="Only those created before.")] = None,
        key: Annotated[
            list[Annotated[str, Query(min_length=1, max_length=200, pattern=KEY)]] | None,
            Query(max_length=MOST, description="Only those started with one of these as `Idempotency-Key`."),
        ] = None,
        by: Annotated[str | None, Query(max_length=200, description="Whose keys; one's own if left out.")] = None,
        after: Annotated[str | None, Query(max_length=200, description="The `next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> Response:
        """Runs, the newest first."""
        before = cursor(after) if after is not None else (_seconds(until), "") if until is not None else None
        which = RunFilter(
            workflow=workflow,
            status=list(dict.fromkeys(status or [])),
            since=_seconds(since) if since is not None else None,
            before=before,
            start_keys=[start_key(by or me.name, each) for each in key] if key else None,
            limit=limit + 1,
            bare=True,
        )
        found = await app.journal.runs(which)
        page = found[:limit]
        more = cursor_of(page[-1]) if len(found) > limit else None
        return JsonAnswer({"runs": [run_summary(run) for run in page], "next": more})

    @router.get("/{run_id}", operation_id="showRun", response_model=RunWhole)
    async def show(run_id: RunId) -> Response:
        """One run, with what it was given and what came of it."""
        return JsonAnswer(run_whole(await required(app, run_id)))

    _add_changes(router, app)
    _add_entries(router, app)
    return router


def _add_changes(router: APIRouter, app: App) -> None:
    @router.post("/{run_id}/cancel", operation_id="cancelRun", response_model=RunSummary)
    async def cancel(run_id: RunId, me: Me) -> Response:
        """Ask a run to stop, at once, with everything it started."""
        await required(app, run_id)
        return JsonAnswer(run_summary(await app.engine.cancel(run_id, me.name)))

    @router.post("/{run_id}/retry", operation_id="retryRun", response_model=RunSummary)
    async def retry(run_id: RunId, me: Me) -> Response:
        """Try a faulted run again from where it failed; what succeeded is not repeated."""
        await required(app, run_id)
        return JsonAnswer(run_summary(await app.engine.retry(run_id, me.name)))

    @router.post("/{run_id}/rerun", operation_id="rerunRun", status_code=201, response_model=RunSummary)
    async def rerun(run_id: RunId, given: RerunGiven, me: Me) -> Response:
        """A new run like this one: from a task on, or anew, then also with another input."""
        run = await required(app, run_id)
        again = await _again(app, run, given, me.name)
        return JsonAnswer(run_summary(again), status_code=201, headers={"location": f"/api/v1/runs/{again.id}"})


def _add_entries(router: APIRouter, app: App) -> None:
    @router.get("/{run_id}/entries", operation_id="listEntries", response_model=EntryPage)
    async def entries(
        run_id: RunId,
        after: Annotated[int, Query(ge=-1, lt=2**62, description="The `next` of the page before.")] = -1,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> Response:
        """A run's steps in the order in which they began, without their values."""
        await required(app, run_id)
        found = await durable(app).changes(run_id, after, limit=limit + 1)
        page = found[:limit]
        more = page[-1][0] if len(found) > limit else None
        return JsonAnswer({"entries": [entry_summary(place, entry) for place, entry in page], "next": more})

    @router.get("/{run_id}/entries/{place}", operation_id="showEntry", response_model=EntryWhole)
    async def entry(run_id: RunId, place: Annotated[int, "Its place."]) -> Response:
        """One step, with everything that went in and came out."""
        await required(app, run_id)
        found = await durable(app).changes(run_id, 2**62, also=[place], limit=1) if abs(place) < 2**62 else ()
        if not found:
            raise UserError("unknown-entry", f"The run has no entry at place {place}.")
        return JsonAnswer(entry_whole(*found[0]))


def start_key(name: str, key: str) -> str:
    """A key belongs to whoever uses it, so that nobody joins the runs of others by guessing."""
    return f"{name}/{key}"


async def required(app: App, run_id: str) -> Run:
    """Raises: UserError `unknown-run`."""
    run = await app.journal.run(run_id)
    if run is None:
        raise UserError("unknown-run", f"There is no run {run_id[:100]!r}.")
    return run


async def _chosen(app: App, workflow: str, version: str | None, by: str) -> Document | Chosen:
    """The version to run: as told; else the one in production, or the files until there is one."""
    if version is not None:
        return await app.versions.version(await version_of(app, version, workflow, by))
    return await app.versions.choose(workflow, by)


async def version_of(app: App, name: str, workflow: str, by: str) -> Bundle:
    """As `resolve` has it; `working` is what the files are now, and not when the server began."""
    return await keep_working(app, workflow, by) if name == WORKING else await resolve(app, name, workflow, by)


async def _again(app: App, run: Run, given: RerunGiven, by: str) -> Run:
    if given.task is not None:
        if "input" in given.model_fields_set:
            raise UserError(
                "input-not-taken",
                "What came before a task was done with the old input, so another one cannot be given with `task`.",
                hint="Leave `task` out to do everything anew.",
            )
        return await app.rerun(run, given.task, subject=by)
    chosen = await app.versions.choose(f"{run.namespace}/{run.workflow}", by)
    value = given.input if "input" in given.model_fields_set else run.input
    return await app.start(chosen, value, subject=by)


def _seconds(at: datetime) -> float:
    return at.timestamp()


def cursor_of(run: Run) -> str:
    return base64.urlsafe_b64encode(f"{run.created_at!r} {run.id}".encode()).decode().rstrip("=")


def cursor(text: str) -> tuple[float, str]:
    """Raises: UserError `bad-cursor`."""
    try:
        at, _, run_id = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode().partition(" ")
        return float(at), run_id
    except (binascii.Error, ValueError):
        raise UserError("bad-cursor", "`after` is not the `next` of any page.") from None
