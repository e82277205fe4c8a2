"""`mcp` against real servers over streamable HTTP, and against some that misbehave."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

import pytest
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrion.core import (
    BugError,
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    OrchestrionError,
    Outcome,
    Permit,
    PolicyDenied,
    TransientError,
    UserError,
    permitted,
)
from orchestrion.egress import Egress
from orchestrion.functions import Mcp, Tokens
from orchestrion.project import McpServer
from orchestrion.testing import serving

pytestmark = pytest.mark.anyio


ASLEEP = asyncio.Event()
"""The tool that never ends has begun."""


class Sum(BaseModel):
    total: int


def office() -> MCPServer:
    """Tools, resources and prompts of an office."""
    server = MCPServer("office", version="7", log_level="CRITICAL")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def add(a: int, b: int) -> Sum:
        """Adds two numbers."""
        return Sum(total=a + b)

    @server.tool()
    def greet(name: str) -> str:
        return f"Hello {name}"

    @server.tool()
    def refuse() -> str:
        raise ValueError("the till is closed")

    @server.tool()
    async def sleep() -> str:
        ASLEEP.set()
        await asyncio.Event().wait()
        return ""

    @server.resource("note://{name}")
    def note(name: str) -> str:
        return f"note of {name}"

    @server.prompt()
    def ask(who: str) -> str:
        return f"Ask {who}"

    assert all((add, greet, refuse, sleep, note, ask))
    return server


@pytest.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    async with serving(office().streamable_http_app()) as address:
        yield f"{address}/mcp"


class Vault:
    def get(self, name: str) -> Json:
        return f"value-of-{name}"


async def perform(
    arguments: Mapping[str, Json],
    servers: Mapping[str, McpServer] | None = None,
    *,
    allow: tuple[str, ...] = ("127.0.0.1",),
    max_response_bytes: int = 1_000_000,
) -> Outcome:
    async with Egress(allow, timeout_s=5, max_response_bytes=max_response_bytes) as egress:
        function = Mcp(egress, Tokens(egress), servers or {})
        invocation = Invocation(key="k", task="t", function="mcp:1.0.0", arguments=Datum(dict(arguments)))
        with permitted(Permit(run_id="r", key="k")):
            return await function.perform(invocation, LeafContext(run_id="r", idempotency_key="i", secrets=Vault()))


def at(url: str, method: str, timeout: Json = "PT5S", **parameters: Json) -> dict[str, Json]:
    transport: Json = {"http": {"endpoint": url}}
    return {"transport": transport, "method": method, "timeout": timeout, "parameters": parameters}


def tool(url: str, name: str, timeout: Json = "PT5S", **arguments: Json) -> dict[str, Json]:
    return at(url, "tools/call", timeout, name=name, arguments=arguments)


async def failing(arguments: Mapping[str, Json], *, max_response_bytes: int = 1_000_000) -> OrchestrionError:
    with pytest.raises(OrchestrionError) as caught:
        await perform(arguments, max_response_bytes=max_response_bytes)
    assert not isinstance(caught.value, BugError)
    return caught.value


@pytest.mark.parametrize("version", [None, "2025-06-18", "2026-07-28"])
async def test_a_tool_is_called_in_every_protocol_version(url: str, version: str | None) -> None:
    asked = {**tool(url, "add", a=1, b=2), **({"protocolVersion": version} if version else {})}
    outcome = await perform(asked)
    assert cast("Mapping[str, Json]", outcome.output.value)["structuredContent"] == {"total": 3}
    assert outcome.output.labels == {"": {"untrusted"}}
    told = cast("Mapping[str, str]", outcome.why)
    assert told["server"] == ("" if version == "2026-07-28" else "office 7")
    assert (told["protocol"] >= "2026") == (version == "2026-07-28")


async def test_with_a_declared_server_the_version_is_agreed(url: str) -> None:
    outcome = await perform({"server": "office", "method": "tools/list"}, {"office": McpServer(url=url)})
    assert cast("Mapping[str, str]", outcome.why)["protocol"] == "2026-07-28"


async def test_everything_else_that_can_be_asked(url: str) -> None:
    async def ask(method: str, **parameters: Json) -> Mapping[str, Json]:
        return cast("Mapping[str, Json]", (await perform(at(url, method, **parameters))).output.value)

    tools = cast("list[Mapping[str, Json]]", (await ask("tools/list"))["tools"])
    assert [each["name"] for each in tools] == ["add", "greet", "refuse", "sleep"]
    assert "note of ana" in str(await ask("resources/read", uri="note://ana"))
    assert "Ask bo" in str(await ask("prompts/get", name="ask", arguments={"who": "bo"}))
    assert "ask" in str(await ask("prompts/list"))
    assert await ask("resources/list") == {"resources": []}
    assert "note://{name}" in str(await ask("resources/templates/list"))


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("ad", {}, "unknown-tool", "Did you mean 'add'"),
        ("add", {"a": 1}, "bad-tool-arguments", "b is missing. Nothing was called."),
        ("add", {"a": "x", "b": 1}, "bad-tool-arguments", "a must be a whole number"),
    ],
)
async def test_what_does_not_fit_is_not_called(
    url: str, name: str, arguments: dict[str, Json], code: str, words: str
) -> None:
    error = await failing(tool(url, name, **arguments))
    assert isinstance(error, UserError)
    assert error.code == code
    assert words in str(error)


async def test_a_tool_that_failed_is_an_error_with_what_it_said_beside_it(url: str) -> None:
    error = await failing(tool(url, "refuse"))
    assert error.code == "mcp-tool-failed"
    assert "Error executing tool refuse" in str((error.problem.model_extra or {})["said"])
    assert "Error executing" not in error.message


async def test_a_tool_that_hangs_is_left_in_time(url: str) -> None:
    error = await failing(tool(url, "sleep", {"milliseconds": 300}))
    assert isinstance(error, TransientError)
    assert (error.code, error.hint is not None and "may have been performed" in error.hint) == ("timed-out", True)


async def test_a_cancelled_call_stops(url: str) -> None:
    ASLEEP.clear()
    calling = asyncio.create_task(perform(tool(url, "sleep")))
    await ASLEEP.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(calling, 2)


async def test_only_allowed_hosts_are_reached(url: str) -> None:
    error = await failing(at(url.replace("127.0.0.1", "localhost"), "tools/list"))
    assert isinstance(error, PolicyDenied)


async def test_a_server_that_is_not_there_may_come_back() -> None:
    error = await failing(at("http://127.0.0.1:9/mcp", "tools/list"))
    assert isinstance(error, TransientError)


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read"])
async def test_what_a_method_needs_is_said(method: str) -> None:
    error = await failing(at("http://127.0.0.1:9/mcp", method))
    assert error.code == "missing-parameter"


def test_calling_a_tool_is_a_write_and_all_else_a_read() -> None:
    servers = {"crm": McpServer(url="https://crm.example/mcp")}
    function = Mcp(Egress(), Tokens(Egress()), servers)
    calls = function.nature({"server": "crm", "method": "tools/call"})
    assert (calls.effect, calls.idempotent, calls.resource) == ("write", False, ("Host", "crm.example"))
    reads = function.nature(at("http://other.example:8080/mcp", "tools/list"))
    assert (reads.effect, reads.idempotent, reads.resource) == ("read", True, ("Host", "other.example:8080"))
    with pytest.raises(UserError) as caught:
        function.nature({"server": "crn", "method": "tools/list"})
    assert "Did you mean 'crm'" in str(caught.value)


# --- servers that misbehave: JSON-RPC by hand ---

Answer = Callable[[Mapping[str, Json]], "Json | Response | Awaitable[Response]"]
TOOL: Json = {
    "name": "pay",
    "inputSchema": {"type": "object"},
    "outputSchema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
}
HELLO: Json = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "rogue", "version": "1"},
}


@asynccontextmanager
async def rogue(answers: Mapping[str, Answer]) -> AsyncGenerator[tuple[str, list[Mapping[str, str]]]]:
    """A server that follows the protocol but where told otherwise; its address, and the headers it received."""
    received: list[Mapping[str, str]] = []

    async def serve(request: Request) -> Response:
        received.append(dict(request.headers))
        if request.method == "DELETE" and "DELETE" in answers:
            await asyncio.Event().wait()
        if request.method != "POST":
            return Response(status_code=405)
        asked = cast("Mapping[str, Json]", json.loads(await request.body()))
        method = str(asked["method"])
        if "id" not in asked:
            return Response(status_code=202)
        usual: dict[str, Answer] = {
            "initialize": lambda _: HELLO,
            "tools/list": lambda _: {"tools": [TOOL]},
            "tools/call": lambda _: {"content": list[Json](), "structuredContent": {"id": 1}},
        }
        answer = {**usual, **answers}.get(method)
        if answer is None:
            return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}})
        result = answer(asked)
        if isinstance(result, Awaitable):
            return await result
        if isinstance(result, Response):
            return result
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    async with serving(Starlette(routes=[Route("/mcp", serve, methods=["GET", "POST", "DELETE"])])) as address:
        yield f"{address}/mcp", received


def stream(*parts: str) -> Response:
    async def body() -> AsyncGenerator[str]:
        for part in parts:
            yield part

    return StreamingResponse(body(), media_type="text/event-stream")


async def test_a_server_that_follows_the_protocol_is_believed() -> None:
    async with rogue({}) as (url, _):
        outcome = await perform(tool(url, "pay"))
    assert cast("Mapping[str, Json]", outcome.output.value)["structuredContent"] == {"id": 1}


ROGUES: list[tuple[str, Answer, str]] = [
    ("tools/call", lambda _: {"content": list[Json](), "structuredContent": {"id": "one"}}, "mcp-bad-answer"),
    ("tools/call", lambda _: {"content": list[Json]()}, "mcp-bad-answer"),
    ("tools/call", lambda _: {"content": "none"}, "mcp-bad-answer"),
    ("tools/call", lambda _: 7, "mcp-bad-answer"),
    ("tools/call", lambda _: JSONResponse({"jsonrpc": "2.0", "id": 999, "result": {"content": []}}), "timed-out"),
    ("tools/call", lambda _: Response("{", media_type="application/json"), "mcp-bad-answer"),
    ("tools/call", lambda _: Response("hello", media_type="text/html"), "mcp-refused"),
    ("tools/call", lambda _: Response(status_code=500), "mcp-unavailable"),
    ("tools/call", lambda _: Response(status_code=202), "mcp-refused"),
    ("tools/call", lambda _: stream(), "mcp-connection-lost"),
    ("tools/call", lambda _: stream("data: {\n\n"), "mcp-bad-answer"),
    ("tools/call", lambda _: stream(f"data: {'x' * 60_000}\n\n"), "response-too-big"),
    ("tools/call", lambda _: Response("x" * 110_000, media_type="application/json"), "response-too-big"),
    ("tools/call", lambda _: Response(status_code=307, headers={"location": "http://10.0.0.1/"}), "mcp-refused"),
    ("tools/list", lambda _: {"tools": [{"name": "pay", "inputSchema": {"type": 7}}]}, "mcp-bad-answer"),
    ("tools/list", lambda _: {"tools": list[Json](), "nextCursor": "again"}, "mcp-bad-answer"),
    ("tools/list", lambda _: {"tools": list[Json]()}, "unknown-tool"),
    ("initialize", lambda _: Response(status_code=401), "mcp-unauthorized"),
    ("initialize", lambda _: {"protocolVersion": "1999-01-01", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}, "mcp-bad-answer"),
]  # fmt: skip
"""What is answered to which method, and what it is called."""


@pytest.mark.parametrize(("method", "answer", "code"), ROGUES)
async def test_a_server_that_lies_or_breaks_is_a_clear_problem(method: str, answer: Answer, code: str) -> None:
    patience: Json = {"milliseconds": 700} if code == "timed-out" else "PT20S"
    async with rogue({method: answer}) as (url, _):
        error = await failing(tool(url, "pay", patience), max_response_bytes=100_000)
    assert error.code == code, error
    if isinstance(error, Faulted):
        assert error.problem.status in (401, 500)


async def test_a_server_that_dies_in_the_middle_is_a_lost_connection() -> None:
    async def dying() -> AsyncGenerator[str]:
        yield ": hello\n\n"
        raise RuntimeError("dead")

    async with rogue({"tools/call": lambda _: StreamingResponse(dying(), media_type="text/event-stream")}) as (url, _):
        error = await failing(tool(url, "pay"))
    assert isinstance(error, TransientError)
    assert error.code == "mcp-connection-lost"


async def test_a_declared_server_brings_its_credentials_and_headers() -> None:
    async with rogue({}) as (url, received):
        server = McpServer(url=url, headers={"X-Tenant": "acme"}, authentication={"bearer": {"use": "CRM"}})
        outcome = await perform({"server": "crm", "method": "tools/list"}, {"crm": server})
        assert outcome.output.labels == {"": {"untrusted"}}
        assert {headers["authorization"] for headers in received} == {"Bearer value-of-CRM"}
        assert received[0]["x-tenant"] == "acme"
        trusted = server.model_copy(update={"trust": True})
        outcome = await perform({"server": "crm", "method": "tools/list"}, {"crm": trusted})
        assert outcome.output.labels == {}


async def test_a_refused_token_is_fetched_anew_once() -> None:
    issued: list[str] = []

    async def token(_: Request) -> Response:
        issued.append(f"t{len(issued) + 1}")
        return JSONResponse({"access_token": issued[-1]})

    received: list[str | None] = []

    async def serve(request: Request) -> Response:
        received.append(request.headers.get("authorization"))
        return Response(status_code=401 if received[-1] == "Bearer t1" else 503)

    routes = [Route("/oauth2/token", token, methods=["POST"]), Route("/mcp", serve, methods=["GET", "POST"])]
    async with serving(Starlette(routes=routes)) as url:
        policy: Json = {"authority": url, "grant": "client_credentials", "client": {"id": "desk"}}
        endpoint: Json = {"uri": f"{url}/mcp", "authentication": {"oauth2": policy}}
        error = await failing({"method": "tools/list", "transport": {"http": {"endpoint": endpoint}}})
    assert error.code == "mcp-unavailable"
    assert received[:2] == ["Bearer t1", "Bearer t2"]
    assert issued == ["t1", "t2"]


async def test_a_cancelled_call_says_no_goodbye_to_a_server_that_hangs() -> None:
    called = asyncio.Event()

    async def hang() -> Response:
        called.set()
        await asyncio.Event().wait()
        return Response()

    def hello(asked: Mapping[str, Json]) -> Response:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": HELLO}
        return JSONResponse(answer, headers={"mcp-session-id": "s-1"})

    answers: dict[str, Answer] = {"initialize": hello, "tools/call": lambda _: hang(), "DELETE": lambda _: None}
    async with rogue(answers) as (url, _):
        calling = asyncio.create_task(perform(tool(url, "pay", "PT30S")))
        await called.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(calling, 3)
