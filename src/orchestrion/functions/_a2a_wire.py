"""One request to an agent that speaks A2A, and its messages as JSON."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx
from a2a.client.card_resolver import parse_agent_card
from a2a.client.client import Client, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
)
from a2a.utils.constants import TransportProtocol
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from orchestrion.core import ERROR_TYPES, Faulted, Json, OrchestrionError, Problem, TransientError, UserError, parse
from orchestrion.egress import Egress

from ._a2a import MESSAGE_ONCE
from ._a2a_stream import followed
from ._credentials import Credentials, http_auth
from ._http import host_of

BINDINGS = (TransportProtocol.JSONRPC.value, TransportProtocol.HTTP_JSON.value)
STREAMS = ("message/stream", "tasks/resubscribe")

_ROLES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}
_SAID = 500
_ONCE_MORE = "It may have been performed: the answer was lost, not the request."


def read_card(text: bytes, host: str) -> dict[str, Json]:
    """What a card says that calls need: its name, where and how the agent is reached, whether messages count once.

    Raises: Faulted `a2a-bad-card`.
    """
    try:
        given = parse(text)
        card = parse_agent_card(cast("dict[str, Any]", dict(given) if isinstance(given, Mapping) else {}))
    except (UserError, ParseError, ValueError, TypeError, AttributeError, KeyError):
        raise _bad_card(host, "it is not an agent card") from None
    chosen = [each for each in card.supported_interfaces if each.protocol_binding in BINDINGS]
    if not chosen:
        offered = ", ".join(sorted({each.protocol_binding for each in card.supported_interfaces})) or "nothing"
        raise _bad_card(host, f"the agent offers {offered}, and neither {' nor '.join(BINDINGS)}")
    return {
        "name": card.name,
        "version": card.version,
        "interfaces": [_json(each) for each in chosen],
        "once": any(each.uri == MESSAGE_ONCE for each in card.capabilities.extensions),
    }


async def ask_agent(
    interfaces: Sequence[Mapping[str, Json]],
    method: str,
    parameters: Mapping[str, Json],
    *,
    message_id: str,
    credentials: "Credentials | httpx.DigestAuth | None",
    egress: Egress,
) -> Json:
    """The result of one method, in the JSON form of A2A 1.0. Raises: what `A2aRequest.perform` says."""
    card = AgentCard(
        supported_interfaces=[
            ParseDict(dict(each), AgentInterface(), ignore_unknown_fields=True) for each in interfaces
        ],
        capabilities=AgentCapabilities(extended_agent_card=True, streaming=True),
    )
    host = host_of(card.supported_interfaces[0].url)
    async with egress.client() as http:
        if (auth := http_auth(credentials)) is not None:
            http.auth = auth
        http.headers["user-agent"] = "orchestrion"
        streaming = method in STREAMS
        config = ClientConfig(
            streaming=streaming,
            polling=not streaming,
            httpx_client=http,
            supported_protocol_bindings=list(BINDINGS),
        )
        client = ClientFactory(config).create(card)
        try:
            if streaming:
                return await _stream(client, method, parameters, message_id, egress.timeout_s)
            async with asyncio.timeout(egress.timeout_s):
                return await _method(client, method, parameters, message_id)
        except TimeoutError:
            raise TransientError(
                "timed-out", f"The agent at {host!r} took longer than {egress.timeout_s:g} s.", hint=_ONCE_MORE
            ) from None
        except A2AError as error:
            raise _translated(error, host) from error
        except (ParseError, ValueError) as error:
            raise _bad_answer(host) from error


async def _stream(client: Client, method: str, parameters: Mapping[str, Json], message_id: str, seconds: float) -> Json:
    """A stream is followed for so long; a task that an agent no longer streams is looked at."""
    if method == "message/stream":
        events = client.send_message(_message_request(parameters, message_id))
        return _told(await followed(events, seconds=seconds))
    request = _filled(parameters, SubscribeToTaskRequest())
    try:
        return _told(await followed(client.subscribe(request), seconds=seconds, task_id=request.id))
    except A2AError as error:
        if isinstance(error.__cause__, httpx.RequestError | httpx.HTTPStatusError):
            raise
        async with asyncio.timeout(seconds):
            return _told(await client.get_task(GetTaskRequest(id=request.id)))


def _told(found: Message) -> Json:
    return {"kind": "task" if isinstance(found, Task) else "message", **_json(found)}


async def _method(client: Client, method: str, parameters: Mapping[str, Json], message_id: str) -> Json:
    match method:
        case "message/send":
            request = _message_request(parameters, message_id)
            async for answer in client.send_message(request):
                if answer.HasField("task"):
                    return {"kind": "task", **_json(answer.task)}
                return {"kind": "message", **_json(answer.message)}
            raise ValueError("no answer")
        case "tasks/get":
            return {"kind": "task", **_json(await client.get_task(_filled(parameters, GetTaskRequest())))}
        case "tasks/cancel":
            return {"kind": "task", **_json(await client.cancel_task(_filled(parameters, CancelTaskRequest())))}
        case "tasks/list":
            return _json(await client.list_tasks(_filled(parameters, ListTasksRequest())))
        case _:
            return _json(await client.get_extended_agent_card(GetExtendedAgentCardRequest()))


def _message_request(parameters: Mapping[str, Json], message_id: str) -> SendMessageRequest:
    """Accepts the JSON of A2A 1.0, and that of 0.3, which the workflow language's examples use."""
    message = dict(cast("Mapping[str, Json]", parameters.get("message") or {}))
    message.pop("kind", None)
    role = str(message.get("role", "user"))
    message["role"] = _ROLES.get(role, role)
    message["messageId"] = message.get("messageId") or message_id
    parts = message.get("parts")
    if isinstance(parts, list | tuple):
        message["parts"] = [_part(each) for each in parts]
    configuration = dict(cast("Mapping[str, Json]", parameters.get("configuration") or {}))
    configuration.pop("blocking", None)
    return _filled({**parameters, "message": message, "configuration": configuration}, SendMessageRequest())


def _part(part: Json) -> Json:
    if isinstance(part, str):
        return {"text": part}
    if not isinstance(part, Mapping):
        return part
    found = {name: value for name, value in part.items() if name not in ("kind", "file")}
    file = part.get("file")
    if isinstance(file, Mapping):
        names = {"bytes": "raw", "uri": "url", "name": "filename", "mimeType": "mediaType"}
        found |= {names.get(name, name): value for name, value in file.items()}
    return found


def _filled(parameters: Mapping[str, Json], request: Any) -> Any:  # any of the protocol's request types
    try:
        return ParseDict(cast("dict[str, Any]", dict(parameters)), request)
    except ParseError as error:
        raise UserError(
            "bad-a2a-parameters",
            f"The parameters do not fit the method: {str(error).splitlines()[0][:200]}.",
            hint="Write them as A2A does: `message: { role: user, parts: [{ text: ... }] }`.",
        ) from None


def _json(value: Message) -> dict[str, Json]:
    return cast("dict[str, Json]", MessageToDict(value))


# --- failures ---


def _translated(error: A2AError, host: str) -> OrchestrionError:
    cause = error.__cause__
    status = cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else 0
    if status in (401, 403):
        return Faulted(
            Problem(
                type=ERROR_TYPES["authentication" if status == 401 else "authorization"],
                status=status,
                title="Agent refuses",
                code="a2a-unauthorized",
                detail=f"The agent at {host!r} answered with {status}.",
                hint="Look at the endpoint's `authentication`, and at the secret it uses.",
            )
        )
    if isinstance(error, A2AClientTimeoutError):
        return TransientError("timed-out", f"The agent at {host!r} did not answer in time.", hint=_ONCE_MORE)
    if isinstance(cause, httpx.RequestError) or status >= 500 or status == 429:
        why = f"answered with {status}" if status else f"cannot be reached ({type(cause).__name__})"
        return TransientError("a2a-unavailable", f"The agent at {host!r} {why}.", hint=_ONCE_MORE)
    if isinstance(error, A2AClientError) and not status and "JSON-RPC Error" not in error.message:
        return _bad_answer(host)
    problem = Problem(
        type=ERROR_TYPES["runtime"],
        status=status or 500,
        title="Agent refuses",
        code="a2a-refused",
        detail=f"The agent at {host!r} refuses the request: {type(error).__name__.removesuffix('Error')}.",
        hint="What it said stands in the problem's `said`.",
    )
    return Faulted(problem.model_copy(update={"said": error.message[:_SAID]}))


def _bad_answer(host: str) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["runtime"],
            status=500,
            title="Bad answer",
            code="a2a-bad-answer",
            detail=f"The answer of the agent at {host!r} does not follow the protocol.",
        )
    )


def _bad_card(host: str, why: str) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["communication"],
            status=502,
            title="Bad agent card",
            code="a2a-bad-card",
            detail=f"The agent card at {host!r} cannot be used: {why}.",
            hint="A card stands at /.well-known/agent-card.json below the agent's address.",
        )
    )
