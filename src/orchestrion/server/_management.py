"""Routes of the looking-after: evaluations, trials, alerts, incidents."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from orchestrion.app import AlertBook, App, evaluate, put_on_trial, read_evaluations
from orchestrion.core import Json, iso
from orchestrion.oversight import EvaluationFile, Plan
from orchestrion.project import Project
from orchestrion.registry import Incident, Incidents

from ._answers import JsonAnswer, durable
from ._identity import GuardedRoute, Me
from ._management_shapes import (
    AlertList,
    AlertShape,
    EvaluatedShape,
    EvaluateGiven,
    EvaluationList,
    IncidentList,
    IncidentWhole,
    TrialGiven,
)
from ._runs import version_of
from ._version_shapes import RolloutShape
from ._versions import Part, rollout_shape

Name = Annotated[str, Path(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=200)]


def management_routes(app: App) -> APIRouter:
    """Evaluations, trials, alerts and incidents of an open project."""
    router = APIRouter(tags=["management"], route_class=GuardedRoute)
    _add_evaluations(router, app)
    _add_alerts(router, app)

    @router.post(
        "/workflows/{namespace}/{name}/trial", operation_id="beginTrial", status_code=201, response_model=RolloutShape
    )
    async def trial(namespace: Part, name: Part, given: TrialGiven, me: Me) -> Response:
        """Try a version on a part of the new runs; it is promoted or taken back by itself."""
        candidate = await version_of(app, given.version, f"{namespace}/{name}", me.name)
        said = given.model_dump(exclude={"version", "shadow"}, exclude_none=True)
        plan = Plan.from_json({**said, "mode": "shadow" if given.shadow else "canary"})
        begun = await put_on_trial(app, candidate, plan, by=me.name)
        return JsonAnswer(await rollout_shape(app, begun), status_code=201)

    return router


def _add_evaluations(router: APIRouter, app: App) -> None:
    one_at_a_time = asyncio.Lock()

    @router.get("/evaluations", operation_id="listEvaluations", response_model=EvaluationList)
    async def listed() -> Response:
        """The project's evaluations."""
        files, _ = read_evaluations(Project.load(app.project.root), app.checked)
        return JsonAnswer({"evaluations": [_evaluation(each) for each in files.values()]})

    @router.post("/evaluations/{name}/evaluate", operation_id="evaluate", response_model=EvaluatedShape)
    async def evaluated(name: Name, given: EvaluateGiven, me: Me) -> Response:
        """Try its cases with a version. What is known is not tried again, so whoever asks again gets further."""
        async with one_at_a_time:
            found = await evaluate(
                app.project.root,
                name,
                version=given.version,
                against=given.against,
                fresh=given.fresh,
                by=me.name,
                tell=lambda _done, _of: None,
                clock=app.clock,
            )
        return JsonAnswer(found.to_json())


def _evaluation(file: EvaluationFile) -> Json:
    said = file.evaluation
    return {"name": file.name, "title": said.title, "workflow": said.workflow, "scorers": list(said.scorers)}


def _add_alerts(router: APIRouter, app: App) -> None:
    book, incidents = AlertBook(durable(app), app.clock), Incidents(durable(app), app.clock)

    @router.get("/alerts", operation_id="listAlerts", response_model=AlertList)
    async def alerts(limit: Limit = 50, *, everything: Annotated[bool, Query(alias="all")] = False) -> Response:
        """What is out of bounds now, or with `all` ever was; the newest first."""
        found = await book.listed(limit) if everything else list(reversed(await book.current()))[:limit]
        return JsonAnswer({"alerts": [each.to_json() for each in found]})

    @router.post("/alerts/{alert_id}/acknowledge", operation_id="acknowledgeAlert", response_model=AlertShape)
    async def acknowledge(alert_id: Annotated[str, Path(max_length=100)], me: Me) -> Response:
        """Say that one looks after it."""
        return JsonAnswer((await book.acknowledge(await book.find(alert_id), me.name)).to_json())

    @router.get("/incidents", operation_id="listIncidents", response_model=IncidentList)
    async def listed(limit: Limit = 50) -> Response:
        """What went wrong with models; the newest first."""
        return JsonAnswer({"incidents": [_incident(each) for each in await incidents.listed(limit)]})

    @router.get("/incidents/{incident_id}", operation_id="showIncident", response_model=IncidentWhole)
    async def shown(incident_id: Annotated[str, Path(max_length=100)]) -> Response:
        """One of them, and what the platform did about it, step by step."""
        incident = await incidents.find(incident_id)
        steps: list[Json] = [{**each.to_json(), "at": iso(each.at)} for each in await incidents.steps(incident.id)]
        return JsonAnswer({**_incident(incident), "steps": steps})


def _incident(incident: Incident) -> dict[str, Json]:
    closed = incident.closed_at
    return {
        **incident.to_json(),
        "opened_at": iso(incident.opened_at),
        "closed_at": iso(closed) if closed is not None else None,
    }
