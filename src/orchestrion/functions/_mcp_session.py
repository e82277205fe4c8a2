"""One session with an MCP server: open, ask, close; and what goes wrong on the way, in our words."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, cast

import anyio
import httpx2
from mcp.client import Transport
from mcp.client.client import Client
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    InputRequiredResult,
    PaginatedRequestParams,
    Tool,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrion import __version__
from orchestrion.core import (
    ERROR_TYPES,
    Faulted,
    Json,
    OrchestrionError,
    Problem,
    TransientError,
    UserError,
    dump,
)
from orchestrion.egress import Egress, response_too_big

from ._credentials import UNAUTHORIZED, Credentials
from ._http import host_of
from ._mcp_process import Ending, Process, started
from ._schema import check_schema, sentences, violations

_LIBRARY_LOG = logging.getLogger("mcp.client")
"""It writes what servers sent, customers' data included; everything in it that matters is raised too."""
MOST_PAGES = 50
"""A list that goes on longer is none."""
_SAID = 500
_ONCE_MORE = "It may have been performed: the answer was lost, not the request."


@dataclass(frozen=True, slots=True, kw_only=True)
class McpRequest:
    method: str
    parameters: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An MCP server that runs somewhere."""

    url: str
    headers: Mapping[str, str]
    credentials: Credentials | None

    @property
    def name(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSettings:
    """Where and how to reach a server."""

    place: Address | Process
    timeout_s: float
    """For the whole conversation."""
    version: str | None = None
    client: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpResult:
    value: Json
    server: str
    protocol: str


@dataclass(slots=True)
class _Seen:
    """What the wire showed while the library reported in its own way."""

    status: int = 0
    """Of the last answer to a POST."""
    finished: bool = False
    """Only a conversation that ended well says goodbye: a server that hangs would hang there too."""
    ending: Ending = field(default_factory=Ending)
    """Of a process."""

    async def response(self, response: httpx2.Response) -> None:
        if response.request.method == "POST":
            self.status = response.status_code

    async def request(self, request: httpx2.Request) -> None:
        if request.method == "DELETE" and not self.finished:
            raise httpx2.RequestError("not worth a goodbye", request=request)


class _Auth(httpx2.Auth):
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        await self._credentials.apply(request)
        response = yield request
        if response.status_code == UNAUTHORIZED and self._credentials.renew():
            await self._credentials.apply(request)
            yield request


async def converse(request: McpRequest, settings: McpSettings, egress: Egress) -> McpResult:
    """One request and its result, within the time allowed. Raises: what `Mcp.perform` says."""
    seen = _Seen()
    _LIBRARY_LOG.setLevel(logging.CRITICAL)
    try:
        with anyio.fail_after(settings.timeout_s):
            async with _opened(settings, egress, seen) as client:
                value = await _ask(client.session, request, settings.place.name)
                server = client.session.server_info
                seen.finished = True
                return McpResult(
                    value=value,
                    server=f"{server.name} {server.version}".strip()[:100] if server else "",
                    protocol=str(client.session.protocol_version),
                )
    except Exception as error:  # the library reports through groups of tasks
        told = _translated(error, settings, seen, egress)
        if told is None:
            raise
        raise told from error


@asynccontextmanager
async def _opened(settings: McpSettings, egress: Egress, seen: _Seen) -> AsyncGenerator[Client]:
    name, version = settings.client or ("orchestrion", __version__)
    place = settings.place
    transport = (
        started(place, seen.ending, most_bytes=egress.max_response_bytes)
        if isinstance(place, Process)
        else _over_http(place, settings.timeout_s, egress, seen)
    )
    async with Client(
        transport, mode=_mode(settings.version), cache=None, client_info=Implementation(name=name, version=version)
    ) as client:
        yield client


def _over_http(address: Address, timeout_s: float, egress: Egress, seen: _Seen) -> Transport:
    http = egress.client2()
    http.timeout = httpx2.Timeout(max(timeout_s, egress.timeout_s))
    http.headers.update({"user-agent": "orchestrion", **address.headers})
    if address.credentials is not None:
        http.auth = _Auth(address.credentials)
    http.event_hooks = {"response": [seen.response], "request": [seen.request]}
    return streamable_http_client(
        address.url,
        http_client=http,
        # Below the limit of the whole answer, which the library would not tell from a lost connection.
        max_sse_event_size=max(egress.max_response_bytes // 2, 1),
    )


def _mode(version: str | None) -> str:
    if version is None:
        return "auto"
    return version if version in MODERN_PROTOCOL_VERSIONS else "legacy"


async def _ask(session: ClientSession, request: McpRequest, host: str) -> Json:
    parameters = request.parameters
    match request.method:
        case "tools/call":
            return await _call_tool(session, request, host)
        case "tools/list":
            return {"tools": [_json(tool) for tool in await _tools(session)]}
        case "prompts/get":
            texts = cast("Mapping[str, Json]", parameters.get("arguments") or {})
            given = {name: value if isinstance(value, str) else dump(value) for name, value in texts.items()}
            return _json(await session.get_prompt(str(parameters["name"]), given))
        case "resources/read":
            return _json(await session.read_resource(str(parameters["uri"])))
        case "prompts/list":
            return {"prompts": await _pages(session.list_prompts, "prompts")}
        case "resources/list":
            return {"resources": await _pages(session.list_resources, "resources")}
        case _:
            return {"resourceTemplates": await _pages(session.list_resource_templates, "resource_templates")}


async def _pages(list_page: Any, member: str) -> list[Json]:  # the library's list methods share no type
    found: list[Json] = []
    async for page in _every_page(list_page):
        found += [_json(each) for each in getattr(page, member)]
    return found


async def _tools(session: ClientSession) -> list[Tool]:
    return [tool async for page in _every_page(session.list_tools) for tool in page.tools]


async def _every_page(list_page: Any) -> AsyncGenerator[Any]:  # as above
    cursor: str | None = None
    seen = set[str | None]()
    while cursor not in seen and len(seen) < MOST_PAGES:
        seen.add(cursor)
        page = await list_page(params=PaginatedRequestParams(cursor=cursor) if cursor else None)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return
    raise _bad_answer("the server", "its list has no end")


async def _call_tool(session: ClientSession, request: McpRequest, host: str) -> Json:
    name = str(request.parameters["name"])
    arguments = cast("dict[str, Any]", request.parameters.get("arguments") or {})
    tool = _known(name, await _tools(session), host)
    _check_arguments(tool, arguments)
    result = await session.send_request(
        CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments)), _RESULTS
    )
    if isinstance(result, InputRequiredResult):
        raise Faulted(
            Problem(
                type=ERROR_TYPES["runtime"],
                status=409,
                title="Input required",
                code="mcp-input-required",
                detail=f"The tool {name!r} at {host!r} asks a question back before it goes on.",
                hint="Ask a person first (`human`), and give the tool all it needs in its arguments.",
            )
        )
    if result.is_error:
        raise _failed(name, host, result)
    _check_result(tool, result, host)
    return _json(result)


_RESULTS: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)


def _known(name: str, tools: list[Tool], host: str) -> Tool:
    found = next((tool for tool in tools if tool.name == name), None)
    if found is not None:
        return found
    names = [tool.name[:100] for tool in tools]
    near = get_close_matches(name, names, n=2)
    raise UserError(
        "unknown-tool",
        f"The MCP server at {host!r} offers no tool {name!r}.",
        hint=f"Did you mean {' or '.join(map(repr, near))}?"
        if near
        else f"It offers: {', '.join(names[:12]) or 'none'}.",
    )


def _check_arguments(tool: Tool, arguments: dict[str, Any]) -> None:
    try:
        found = violations(cast("Json", tool.input_schema), arguments)
    except UserError:
        raise _bad_answer("the server", f"the input schema of its tool {tool.name!r} is no JSON Schema") from None
    if found:
        known = ", ".join(cast("Mapping[str, Json]", tool.input_schema.get("properties") or {}))
        raise UserError(
            "bad-tool-arguments",
            f"The arguments of the tool {tool.name!r} do not fit: {sentences(found)}. Nothing was called.",
            hint=f"It takes: {known}." if known else "It takes none.",
        )


def _check_result(tool: Tool, result: CallToolResult, host: str) -> None:
    if tool.output_schema is None:
        return
    schema = cast("Json", tool.output_schema)
    try:
        check_schema(schema)
    except UserError:
        raise _bad_answer(host, f"the output schema of its tool {tool.name!r} is no JSON Schema", done=True) from None
    found = violations(schema, result.structured_content)
    if found:
        raise _bad_answer(
            host, f"the result of {tool.name!r} is not what it promises: {sentences(found[:3])}", done=True
        )


def _failed(name: str, host: str, result: CallToolResult) -> Faulted:
    said = " ".join(text for block in result.content if isinstance(text := getattr(block, "text", None), str))
    problem = Problem(
        type=ERROR_TYPES["runtime"],
        status=500,
        title="Tool failed",
        code="mcp-tool-failed",
        detail=f"The tool {name!r} at {host!r} says that it failed.",
        hint="What it said stands in the problem's `said`.",
    )
    return Faulted(problem.model_copy(update={"said": said[:_SAID]}) if said else problem)


def _json(value: BaseModel) -> Json:
    """A result without the protocol's own fields."""
    found = cast("dict[str, Json]", value.model_dump(mode="json", by_alias=True, exclude_none=True))
    return {name: each for name, each in found.items() if name not in _OF_PROTOCOL}


_OF_PROTOCOL = frozenset({"_meta", "resultType", "ttlMs", "cacheScope", "nextCursor", "isError"})


def _bad_answer(host: str, why: str, *, done: bool = False) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["runtime"],
            status=500,
            title="Bad answer",
            code="mcp-bad-answer",
            detail=f"The answer of {host!r} is of no use: {why}.",
            hint="The tool was performed." if done else None,
        )
    )


# --- failures ---


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [
            leaf for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions for leaf in _leaves(inner)
        ]
    return [error]


def _translated(error: BaseException, settings: McpSettings, seen: _Seen, egress: Egress) -> OrchestrionError | None:
    """What happened, from the most telling of what was raised; None for what is a bug."""
    leaves = _leaves(error)
    host = settings.place.name
    for leaf in leaves:
        if isinstance(leaf, OrchestrionError):
            return leaf
    if seen.ending.how in ("not-started", "too-big"):
        return _ended(host, seen.ending, egress)
    for leaf in leaves:
        match leaf:
            case TimeoutError():
                return _too_slow(host, settings)
            case MCPError():
                return _of_protocol(leaf, host, settings, seen, egress)
            case ValidationError():
                return _bad_answer(host, "it does not follow the protocol")
            case httpx2.HTTPError() | httpx2.InvalidURL():
                return TransientError(
                    "mcp-unavailable",
                    f"The MCP server at {host!r} cannot be reached ({type(leaf).__name__}).",
                    hint=_ONCE_MORE,
                )
            case RuntimeError():
                return _bad_answer(host, "it does not follow the protocol")
            case _:
                continue
    return None


def _ended(name: str, ending: Ending, egress: Egress) -> OrchestrionError:
    """What became of a server that did not stay to the end."""
    if ending.how == "too-big":
        return response_too_big(name, egress.max_response_bytes)
    if ending.how == "not-started":
        return UserError(
            "mcp-not-started",
            f"The MCP server {name!r} cannot be started: {ending.said}.",
            hint="Its `command` stands under `mcp` in orchestrion.yaml; no PATH is passed on to it.",
        )
    lost = TransientError("mcp-connection-lost", f"The MCP server at {name!r} ended the conversation.", hint=_ONCE_MORE)
    said = ending.said.strip()[-_SAID:]
    if not said:
        return lost
    return TransientError(
        "mcp-connection-lost", lost.message, hint=lost.hint, problem=lost.problem.model_copy(update={"said": said})
    )


def _too_slow(host: str, settings: McpSettings) -> OrchestrionError:
    return TransientError(
        "timed-out", f"The MCP server at {host!r} took longer than {settings.timeout_s:g} s.", hint=_ONCE_MORE
    )


def _of_protocol(error: MCPError, host: str, settings: McpSettings, seen: _Seen, egress: Egress) -> OrchestrionError:
    if seen.status in (401, 403):
        return Faulted(
            Problem(
                type=ERROR_TYPES["authentication" if seen.status == UNAUTHORIZED else "authorization"],
                status=seen.status,
                title="MCP server refuses",
                code="mcp-unauthorized",
                detail=f"The MCP server at {host!r} answered with {seen.status}.",
                hint="Look at its `authentication`, and at the secret it uses.",
            )
        )
    if error.code == REQUEST_TIMEOUT:
        return _too_slow(host, settings)
    if "SSE stream failed" in error.message:
        return response_too_big(host, egress.max_response_bytes // 2)
    if error.code == PARSE_ERROR:
        return _bad_answer(host, "it does not follow the protocol")
    if seen.status >= 500:
        return TransientError(
            "mcp-unavailable", f"The MCP server at {host!r} answered with {seen.status}.", hint=_ONCE_MORE
        )
    if error.code == CONNECTION_CLOSED:
        return _ended(host, seen.ending, egress)
    problem = Problem(
        type=ERROR_TYPES["runtime"],
        status=500,
        title="MCP server refuses",
        code="mcp-refused",
        detail=f"The MCP server at {host!r} refuses the request with the code {error.code}.",
        hint="What it said stands in the problem's `said`.",
    )
    return Faulted(problem.model_copy(update={"said": error.message[:_SAID]}))
