"""Routes of what else a project has: agents, models, sessions, schedules."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from orchestrion.agents import Sessions
from orchestrion.app import App, fire, pause, planned_now, resume, scheduled
from orchestrion.core import Json, ScheduleState, UserError, iso
from orchestrion.engine import Planned, upcoming

from ._answers import JsonAnswer, durable
from ._identity import GuardedRoute, Me
from ._project_shapes import AgentList, ModelList, ScheduleList, ScheduleShape, SessionList, SessionWhole
from ._run_shapes import RunSummary, run_summary

NEXT = 5
"""Firings ahead that are told."""
Part = Annotated[str, Path(max_length=200, description="Of the workflow's name.")]


def part_routes(app: App) -> APIRouter:
    """Agents, models and sessions of an open project."""
    router = APIRouter(tags=["project"], route_class=GuardedRoute)

    @router.get("/agents", operation_id="listAgents", response_model=AgentList)
    async def agents() -> Response:
        """The project's agents, and its teams."""
        found = app.checked
        listed: list[Json] = [
            {"name": name, "kind": "agent", "description": agent.description} for name, agent in found.agents.items()
        ]
        listed += [{"name": name, "kind": "team", "description": None} for name in found.teams]
        return JsonAnswer({"agents": listed})

    @router.get("/models", operation_id="listModels", response_model=ModelList)
    async def models() -> Response:
        """The models that agents may name."""
        found = app.project.settings.models
        return JsonAnswer({"models": [{"name": name, "provider": model.provider} for name, model in found.items()]})

    _add_sessions(router, app)
    return router


def _add_sessions(router: APIRouter, app: App) -> None:
    sessions = Sessions()
    sessions.open(durable(app), app.clock)

    @router.get("/sessions", operation_id="listSessions", response_model=SessionList)
    async def listed(limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Response:
        """Conversations of agents, the latest first."""
        return JsonAnswer(
            {
                "sessions": [
                    {
                        "name": each.name,
                        "agent": each.agent,
                        "turns": each.turns,
                        "created_at": iso(each.created_at),
                        "updated_at": iso(each.updated_at),
                    }
                    for each in await sessions.listed(limit)
                ]
            }
        )

    @router.get("/sessions/{name:path}", operation_id="showSession", response_model=SessionWhole)
    async def shown(name: Annotated[str, Path(max_length=300)]) -> Response:
        """What was said in a session."""
        turns = await sessions.shown(name)
        if not turns:
            raise UserError("unknown-session", f"There is no session {name!r}.", hint="orchestrion sessions list")
        told: list[Json] = [
            {
                "agent": turn.agent,
                "number": turn.number,
                "run": turn.run_id,
                "at": iso(turn.at),
                "labels": list(turn.labels),
                "messages": list(turn.messages),
            }
            for turn in turns
        ]
        return JsonAnswer({"name": name, "turns": told})


def schedule_routes(app: App) -> APIRouter:
    """What runs by the calendar."""
    router = APIRouter(prefix="/schedules", tags=["schedules"], route_class=GuardedRoute)

    @router.get("", operation_id="listSchedules", response_model=ScheduleList)
    async def listed() -> Response:
        """Every schedule in words, its last firing and the next ones."""
        states = {state.workflow: state for state in await app.journal.schedules()}
        found = [_schedule(app, each, states.get(each.workflow)) for each in await planned_now(app)]
        return JsonAnswer({"schedules": found})

    @router.post("/{namespace}/{name}/pause", operation_id="pauseSchedule", response_model=ScheduleShape)
    async def paused(namespace: Part, name: Part, me: Me) -> Response:
        """Let a schedule fire no more; runs in progress go on."""
        planned = await scheduled(app, f"{namespace}/{name}")
        return JsonAnswer(_schedule(app, planned, await pause(app.journal, app.clock, planned.workflow, me.name)))

    @router.post("/{namespace}/{name}/resume", operation_id="resumeSchedule", response_model=ScheduleShape)
    async def resumed(namespace: Part, name: Part) -> Response:
        """Let it fire again, from now on."""
        planned = await scheduled(app, f"{namespace}/{name}")
        return JsonAnswer(_schedule(app, planned, await resume(app.journal, app.clock, planned.workflow)))

    @router.post("/{namespace}/{name}/fire", operation_id="fireSchedule", status_code=201, response_model=RunSummary)
    async def fired(namespace: Part, name: Part, me: Me) -> Response:
        """Start a scheduled workflow now; its schedule stays as it is."""
        run = await fire(app, f"{namespace}/{name}", subject=me.name, advance=True)
        return JsonAnswer(run_summary(run), status_code=201, headers={"location": f"/api/v1/runs/{run.id}"})

    return router


def _schedule(app: App, planned: Planned, state: ScheduleState | None) -> Json:
    is_paused = state is not None and state.paused_by is not None
    ahead = [] if is_paused else upcoming(planned.schedule, state, app.clock.now(), NEXT)
    return {
        "workflow": planned.workflow,
        "words": planned.schedule.words,
        "timezone": planned.schedule.timezone,
        "paused_by": state.paused_by if state is not None else None,
        "last_at": iso(state.last_at) if state is not None and state.last_at is not None else None,
        "last_run": state.last_run_id if state is not None else None,
        "next": [iso(at) for at in ahead],
    }
