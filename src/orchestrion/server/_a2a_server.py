"""The A2A server: a task is a run, and nothing of it is kept beside the run's record.

What clients may is what they may over HTTP: to send takes what starting a run takes, to answer what answering takes.
"""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import cast

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types.a2a_pb2 import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import (
    A2AError,
    ExtendedAgentCardNotConfiguredError,
    InternalError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from orchestrion.app import App
from orchestrion.core import Json, OrchestrionError, TransientError, UserError, parse

from ._a2a_runs import Runs
from ._identity import Door
from ._live import Live
from ._problems import status_of

log = logging.getLogger(__name__)

_LIBRARY_LOGS = ("a2a.server", "a2a.compat", "sse_starlette")
"""They write what clients sent; what matters of it is answered too."""


class Asked(Request):
    """A request whose body has been read, and is understood as strictly as everywhere here."""

    def __init__(self, scope: Scope, content: bytes) -> None:
        super().__init__(scope)
        self._content = content

    async def json(self) -> Json:
        try:
            return parse(self._content)
        except UserError as error:
            raise JSONDecodeError(error.message, "", 0) from None  # the library knows this one


class _Contexts(DefaultServerCallContextBuilder):
    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        context.state["asked"] = request
        return context


def dispatcher(app: App, door: Door, live: Live) -> JsonRpcDispatcher:
    """What answers requests that the door has let in."""
    for name in _LIBRARY_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return JsonRpcDispatcher(_Handler(Runs(app, door, live)), _Contexts(), enable_v0_3_compat=True)


@contextmanager
def _translated() -> Generator[None]:
    """Failures in the protocol's words."""
    try:
        yield
    except A2AError:
        raise
    except OrchestrionError as error:
        raise _translation(error) from error
    except Exception:
        log.exception("A request of the Agent2Agent protocol met a defect")
        raise InternalError("A defect.") from None


def _translation(error: OrchestrionError) -> Exception:
    """What a client should try again is said by the status: the route makes it a problem, with Retry-After."""
    words = " ".join(part for part in (error.message, error.problem.hint) if part)
    data = {"code": error.code}
    match error:
        case UserError(code="unknown-run"):
            return TaskNotFoundError(words, data)
        case UserError(code="run-ended"):
            return TaskNotCancelableError(words, data)
        case UserError():
            return InvalidParamsError(words, data)
        case TransientError():
            return HTTPException(status_of(error), error.message)
        case _:
            return InternalError(words, data)


class _Handler(RequestHandler):
    """The protocol's methods, over runs."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task:
        with _translated():
            validate_proto_required_fields(params)
            asked = _asked(context)
            run_id = await self._runs.sent(params, asked)
            return await self._runs.settled(run_id, asked, at_once=params.configuration.return_immediately)

    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        with _translated():
            validate_proto_required_fields(params)
            asked = _asked(context)
            self._runs.require_room()
            run_id = await self._runs.sent(params, asked)
            async for event in self._runs.followed(run_id, asked):
                yield event

    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        with _translated():
            asked = _asked(context)
            self._runs.require_room()
            task = await self._runs.task(params.id, asked)
            if self._runs.has_ended(task):
                raise UnsupportedOperationError("The task has ended: there is nothing to follow.")
            async for event in self._runs.followed(params.id, asked):
                yield event

    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        with _translated():
            return await self._runs.task(params.id, _asked(context))

    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        with _translated():
            return await self._runs.cancelled(params.id, _asked(context))

    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        raise UnsupportedOperationError("Tasks are not listed here: look at /api/v1/runs.")

    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        raise PushNotificationNotSupportedError

    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        raise PushNotificationNotSupportedError

    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        raise PushNotificationNotSupportedError

    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        raise PushNotificationNotSupportedError

    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        raise ExtendedAgentCardNotConfiguredError


def _asked(context: ServerCallContext) -> Request:
    return cast("Request", context.state["asked"])
