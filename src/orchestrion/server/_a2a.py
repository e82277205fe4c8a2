"""The routes of the A2A server. What it takes is imported when somebody first asks: the protocol's library is slow to load.

Source: Agent2Agent Protocol 1.0, and 0.3 for older clients; JSON-RPC binding.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path, Request, Response

from orchestrion.app import App, partner, partners
from orchestrion.core import Json, OrchestrionError, parse
from orchestrion.governance import Person

from ._answers import JsonAnswer
from ._identity import Door, GuardedRoute, Me
from ._live import Live
from ._place import Place
from ._talk_shapes import AgentCard

if TYPE_CHECKING:
    from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher

CARD = "/.well-known/agent-card.json"
_SENDS = frozenset({"SendMessage", "SendStreamingMessage", "message/send", "message/stream"})
_CANCELS = frozenset({"CancelTask", "tasks/cancel"})
_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "A message of JSON-RPC 2.0."}}},
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, or a stream of events.",
        "content": {"application/json": {}, "text/event-stream": {"schema": {"type": "string"}}},
    }
}
Part = Annotated[str, Path(max_length=100, description="Of a partner's name.")]


class A2aDoor:
    """The A2A server of an open project."""

    def __init__(self, app: App, place: Place, door: Door, live: Live) -> None:
        self._app = app
        self._place = place
        self._door = door
        self._live = live
        self._dispatcher: JsonRpcDispatcher | None = None

    async def answer(self, request: Request, whom: str | None, person: Person) -> Response:
        """What a request asks for, of a partner, or of whom the message names."""
        content = await request.body()
        operation = _operation(content)
        if operation is not None:
            self._door.require(person, operation)
        if self._dispatcher is None:
            await run_sync(import_module, f"{__package__}._a2a_server")
            from ._a2a_server import dispatcher

            self._dispatcher = dispatcher(self._app, self._door, self._live)
        from ._a2a_server import Asked

        request.state.whom = whom
        return await self._dispatcher.handle_requests(Asked(request.scope, content))

    async def card(self, whom: str | None) -> Json:
        """Raises: UserError `unknown-partner`."""
        await run_sync(import_module, f"{__package__}._a2a_card")
        from ._a2a_card import card_of

        found = [partner(self._app, whom)] if whom is not None else list(partners(self._app).values())
        address = f"{self._place.url}/a2a/{whom}" if whom is not None else f"{self._place.url}/"
        return card_of(self._app.project, found, address, alone=whom is not None)


def _operation(content: bytes) -> str | None:
    """What a request takes beside the right to ask at all."""
    try:
        body = parse(content)
    except OrchestrionError:
        return None
    method = _member(body, "method")
    if isinstance(method, str) and method in _SENDS:
        answers = _member(_member(_member(body, "params"), "message"), "taskId")
        return "answerApproval" if answers else "startRun"
    return "cancelRun" if isinstance(method, str) and method in _CANCELS else None


def _member(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, Mapping) else None


def a2a_routes(a2a: A2aDoor) -> APIRouter:
    """Cards, and where messages are sent: to anybody of an open project, or to somebody."""
    router = APIRouter(tags=["a2a"], route_class=GuardedRoute)
    asking: dict[str, Any] = {"response_class": Response, "openapi_extra": _SCHEMA, "responses": _ANSWERS}
    of_one = "/a2a/{namespace}/{name}"

    @router.post("/", operation_id="a2a", **asking)
    async def asked(request: Request, me: Me) -> Response:
        """A message of the Agent2Agent protocol; its `metadata.skill` says whom it is for. A task is a run."""
        return await a2a.answer(request, None, me)

    @router.post(of_one, operation_id="a2aPartner", **asking)
    async def asked_one(request: Request, namespace: Part, name: Part, me: Me) -> Response:
        """A message of the Agent2Agent protocol, for one partner."""
        return await a2a.answer(request, f"{namespace}/{name}", me)

    @router.get(CARD, operation_id="agentCard", response_model=AgentCard)
    async def card() -> Response:
        """What the project offers other agents: every agent, team and workflow as a skill."""
        return JsonAnswer(await a2a.card(None))

    @router.get(f"{of_one}{CARD}", operation_id="partnerCard", response_model=AgentCard)
    async def card_of_one(namespace: Part, name: Part) -> Response:
        """One of them, as an agent of its own."""
        return JsonAnswer(await a2a.card(f"{namespace}/{name}"))

    return router
