"""The route of the MCP server. What it takes is imported when somebody first asks: the protocol's library is slow to load."""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response

from orchestrion.app import App
from orchestrion.core import UserError

from ._guard import Limits
from ._identity import Door, GuardedRoute
from ._live import Live
from ._problems import MEDIA
from ._shapes import ProblemShape

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.types import Receive, Scope, Send

_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "A message of JSON-RPC 2.0."}}},
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, alone or after news of its progress.",
        "content": {"application/json": {}, "text/event-stream": {"schema": {"type": "string"}}},
    },
    202: {"description": "A message that takes no answer has come."},
    400: {
        "description": "The request cannot be understood: as a problem, or as an error of JSON-RPC 2.0.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemShape"}},
        },
    },
    406: {"description": "Clients take both JSON and a stream of events.", "model": ProblemShape},
    415: {"description": "Messages are JSON.", "model": ProblemShape},
}


class McpDoor:
    """The MCP server of an open project, from the first request until it is closed."""

    def __init__(self, app: App, door: Door, live: Live, limits: Limits) -> None:
        self._app = app
        self._door = door
        self._live = live
        self._limits = limits
        self._manager: StreamableHTTPSessionManager | None = None
        self._started = asyncio.Event()
        self._closed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def manager(self) -> "StreamableHTTPSessionManager":
        """What answers requests."""
        if self._manager is None:
            await run_sync(import_module, f"{__package__}._mcp_server")
            from ._mcp_server import session_manager

            # somebody else may have been as early
            self._manager = self._manager or session_manager(self._app, self._door, self._live, self._limits)
            self._running = self._running or asyncio.ensure_future(self._run(self._manager))
        await self._started.wait()
        return self._manager

    async def _run(self, manager: "StreamableHTTPSessionManager") -> None:
        """In a task of its own, which is what leaves its task group too."""
        async with manager.run():
            self._started.set()
            await self._closed.wait()

    async def close(self) -> None:
        """End what is still under way."""
        self._closed.set()
        if self._running is not None:
            await self._running


class _Handed(Response):
    """An answer that the protocol's library gives itself."""

    def __init__(self, manager: "StreamableHTTPSessionManager") -> None:
        super().__init__()
        self._manager = manager

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        await self._manager.handle_request(scope, receive, send)


def mcp_routes(mcp: McpDoor) -> APIRouter:
    """`/mcp` of an open project."""
    router = APIRouter(tags=["mcp"], route_class=GuardedRoute)

    @router.post("/mcp", operation_id="mcp", response_class=Response, openapi_extra=_SCHEMA, responses=_ANSWERS)
    async def asked(request: Request) -> Response:
        """A message of the Model Context Protocol: agents, teams and workflows as tools, runs as resources."""
        manager = await mcp.manager()
        _require_accepted(request)
        return _Handed(manager)

    return router


def _require_accepted(request: Request) -> None:
    """Raises: UserError `not-acceptable`, `unsupported-media-type`."""
    from mcp.server.streamable_http import check_accept_headers  # as above

    if not all(check_accept_headers(request)):
        raise UserError(
            "not-acceptable",
            "The answer may be JSON or a stream of events, and the client does not take both.",
            hint="Send `Accept: application/json, text/event-stream`.",
        )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UserError(
            "unsupported-media-type",
            f"A message of the protocol is JSON, and this is {kind or 'of no type'}.",
            hint="Send `Content-Type: application/json`.",
        )
