"""All routes over an open app, and what stands in front of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from orchestrion import __version__
from orchestrion.app import App, Notices
from orchestrion.core import OrchestrionError, TransientError

from ._a2a import A2aDoor, a2a_routes
from ._accounts import Accounts
from ._answers import JsonAnswer, durable
from ._approvals import approval_routes
from ._changes import Changes
from ._completions import completion_routes
from ._console import console_routes
from ._documents import document_routes
from ._guard import Asgi, Guard, Limits
from ._identity import Door, GuardedRoute
from ._incoming import incoming_routes
from ._live import Live, live_routes
from ._management import management_routes
from ._mcp import McpDoor, mcp_routes
from ._metrics import TEXT, metrics
from ._notices import notice_routes
from ._parts import part_routes, schedule_routes
from ._place import Place
from ._problems import MEDIA, on_http_error, on_invalid, on_orchestrion_error
from ._rights import rights
from ._runs import run_routes
from ._shapes import Health, ProblemShape, Ready
from ._sign_in import sign_in_routes
from ._talks import talk_routes
from ._users import user_routes
from ._versions import version_routes, workflow_routes
from ._webhooks import webhook_routes

API = "/api/v1"
REFUSALS: Mapping[int, str] = {
    400: "The request cannot be understood.",
    401: "Nobody is signed in.",
    403: "The role does not allow it, or a page of another site asked.",
    404: "There is no such thing.",
    405: "Not for this address.",
    408: "The body came too slowly.",
    409: "It has changed meanwhile, or is in no state for this.",
    413: "The body is too large.",
    421: "The server is not called so.",
    422: "The request does not fit.",
    429: "Too much at once; see Retry-After.",
    431: "The address or the headers are too large.",
    500: "A defect.",
    503: "Not now; see Retry-After.",
}


@dataclass(slots=True, kw_only=True)
class Site:
    """A server's routes, and the parts that live as long as it."""

    asgi: Asgi
    api: FastAPI
    door: Door
    changes: Changes
    live: Live
    notices: Notices
    mcp: McpDoor
    state: "State"

    def drain(self) -> None:
        """Say that no more should come, and end the streams."""
        self.state.draining = True
        self.live.close()


@dataclass(slots=True)
class State:
    draining: bool = field(default=False)


def site(app: App, place: Place, limits: Limits) -> Site:
    """Raises: UserError `not-kept` where nothing is kept."""
    accounts = Accounts(durable(app), app.clock)
    door = Door(accounts=accounts, rights=rights(), cookie=f"orchestrion_{place.port}", secure=place.secure)
    changes, state, notices = Changes(app), State(), Notices(app, durable(app), place.url)
    live = Live(app, changes, door, limits)
    mcp = McpDoor(app, door, live, limits)
    api = FastAPI(
        title="Orchestrion",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses={status: _problem(said) for status, said in REFUSALS.items()},
        exception_handlers={
            OrchestrionError: on_orchestrion_error,
            HTTPException: on_http_error,
            RequestValidationError: on_invalid,
            Exception: on_orchestrion_error,
        },
    )
    api.router.route_class = GuardedRoute
    api.state.door = door
    for router in (
        run_routes(app, live.expect),
        talk_routes(app),
        document_routes(app),
        approval_routes(app),
        live_routes(app, live),
        workflow_routes(app),
        version_routes(app),
        part_routes(app),
        user_routes(accounts, place),
        management_routes(app),
        schedule_routes(app),
        incoming_routes(app),
    ):
        api.include_router(router, prefix=API)
    api.include_router(completion_routes(app, live, limits))
    api.include_router(webhook_routes(app))
    api.include_router(mcp_routes(mcp))
    api.include_router(a2a_routes(A2aDoor(app, place, door, live)))
    api.include_router(sign_in_routes(door))
    api.include_router(notice_routes(notices.book, door))
    api.include_router(console_routes())
    guard = Guard(app=cast("Asgi", api), hosts=place.hosts, limits=limits)
    api.include_router(_of_the_process(app, state, api, guard))
    return Site(
        asgi=guard,
        api=api,
        door=door,
        changes=changes,
        live=live,
        notices=notices,
        mcp=mcp,
        state=state,
    )


def _problem(said: str) -> dict[str, Any]:
    return {"description": said, "model": ProblemShape, "content": {MEDIA: {}}}


def _of_the_process(app: App, state: State, api: FastAPI, guard: Guard) -> APIRouter:
    router = APIRouter(tags=["process"], route_class=GuardedRoute)

    @router.get("/health", operation_id="health", response_model=Health)
    async def health() -> Response:
        """Whether the process answers at all."""
        return JsonAnswer({"status": "ok"})

    @router.get("/ready", operation_id="ready", response_model=Ready)
    async def ready() -> Response:
        """Whether it takes work."""
        if app.engine.broken is not None:
            raise TransientError(
                "draining", "The engine has stopped: another process advances the runs, or the store failed."
            )
        if state.draining:
            raise TransientError("draining", "The server is stopping.")
        return JsonAnswer({"status": "ready"})

    @router.get("/metrics", operation_id="metrics", response_class=Response, responses={200: {"content": {TEXT: {}}}})
    async def measured() -> Response:
        """Figures of the process for Prometheus."""
        return Response(await metrics(app, guard), media_type=TEXT)

    @router.get(f"{API}/openapi.json", operation_id="openApi", response_class=Response)
    async def document(_: Request) -> Response:
        """This document."""
        return JsonAnswer(described(api))

    return router


def described(api: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with problems as `application/problem+json` alone."""
    found = api.openapi()
    for path in found["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if status.isdigit() and int(status) >= 400 and "application/json" in content and not content.get(MEDIA):
                    content[MEDIA] = content.pop("application/json")
    return found
