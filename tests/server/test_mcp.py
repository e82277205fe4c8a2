"""Agents, teams and workflows as tools, and runs as resources, asked by the protocol's own client."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent, TextResourceContents

from orchestrion.core import Answer, Datum, RequestStatus
from orchestrion.server import Limits
from orchestrion.testing import Process, World, run_command, served, start_command, write_served
from orchestrion.testing.openai_server import OpenAIServer, Says

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": "name: bank\nroles: [clerk]\negress: { allow: ['127.0.0.1'] }\nmodels: { writer: { provider: openai:test, base_url: URL } }\n",
    "agents/writer.yaml": """
name: writer
description: Writes.
model: writer
input: { type: object, required: [message], properties: { message: { type: string } } }
""",
    "agents/desk.yaml": """
name: desk
input: { type: object, properties: { message: { type: string } } }
output: { type: object, required: [reply], properties: { reply: { type: string } } }
asks: true
playbook: { rules: [{ name: rest, answer: { reply: Hello from the rules. } }] }
""",
    "teams/service.yaml": "name: service\npattern: supervisor\nlead: desk\nmembers: [writer]\n",
    "workflows/hello.yaml": """
document: { dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0', summary: Greets somebody. }
input: { schema: { document: { type: object, required: [name], properties: { name: { type: string }, age: { type: integer } } } } }
output: { schema: { document: { type: object, required: [greeting], properties: { greeting: { $ref: '#/$defs/words' } }, $defs: { words: { type: string } } } } }
do: [{ greet: { set: { greeting: '${ "Hello, \\(.name)." }' } } }]
""",
    "workflows/double.yaml": """
document: { dsl: '1.0.3', namespace: test, name: double, version: '1.0.0' }
input: { schema: { document: { type: integer } } }
do: [{ twice: { set: '${ . * 2 }' } }]
""",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
output: { schema: { document: { type: object, required: [count], properties: { count: { type: integer } } } } }
do:
  - before: { set: { step: 1 } }
  - question: { call: 'human:1.0.0@default', with: { role: clerk, title: How many?, form: { type: object } } }
""",
    "workflows/slow.yaml": """
document: { dsl: '1.0.3', namespace: test, name: slow, version: '1.0.0' }
do:
  - first: { wait: { milliseconds: 10 } }
  - second: { wait: { seconds: 300 } }
""",
    "workflows/broken.yaml": """
document: { dsl: '1.0.3', namespace: test, name: broken, version: '1.0.0' }
do:
  - fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken, detail: It fell. } } }
""",
    "policies/all.cedar": "permit (principal, action, resource);\n",
}
MODES = ("auto", "legacy")


@asynccontextmanager
async def bank(folder: Path, url: str = "http://127.0.0.1:1", limits: Limits | None = None) -> AsyncGenerator[World]:
    for name, text in FILES.items():
        path = folder / "project" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text.replace("URL", url))
    async with served(folder / "project", limits) as world:
        yield world


@asynccontextmanager
async def connected(world: World, role: str = "operator", mode: Any = "auto") -> AsyncGenerator[Client]:
    headers = {"authorization": f"Bearer {world.tokens[role]}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{world.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def words(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def run_of(result: CallToolResult) -> str:
    assert result.meta is not None
    return result.meta["orchestrion/run"]


async def resource(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text)


@pytest.mark.parametrize("mode", MODES)
async def test_agents_teams_and_workflows_are_tools(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "bank"
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == [
            "agents_desk",
            "agents_writer",
            "teams_service",
            "test_ask",
            "test_broken",
            "test_double",
            "test_hello",
            "test_slow",
            "run-status",
            "run-cancel",
        ]
        assert {name for name, tool in tools.items() if tool.output_schema is not None} == {
            "agents_desk",
            "run-cancel",
            "run-status",
            "test_ask",
            "test_hello",
        }
        hello = tools["test_hello"]
        assert (hello.title, hello.description) == ("test/hello", "Greets somebody.")
        assert hello.input_schema["required"] == ["name"]
        assert set(tools["agents_writer"].input_schema["properties"]) == {"message", "session"}


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_is_a_run_in_the_callers_name_and_answers_with_its_output(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        await client.list_tools()
        result = await client.call_tool("test_hello", {"name": "Ana"})
        assert (result.is_error, result.structured_content) == (False, {"greeting": "Hello, Ana."})
        run = await world.app.journal.run(run_of(result))
        assert run is not None
        assert (run.subject, run.input, run.status) == ("operator", {"name": "Ana"}, "completed")
        assert words(await client.call_tool("test_double", {"input": 21})) == "42"
        desk = await client.call_tool("agents_desk", {"message": "Hi"})
        assert (words(desk), desk.structured_content) == ("Hello from the rules.", {"reply": "Hello from the rules."})
        assert words(await client.call_tool("teams_service", {"message": "Hi"})) == "Hello from the rules."


async def test_an_agent_remembers_what_was_said_in_a_session(tmp_path: Path) -> None:
    async with (
        OpenAIServer([Says("Hello Ana"), Says("You are Ana")]) as server,
        bank(tmp_path, server.base_url) as world,
        connected(world) as client,
    ):
        first = await client.call_tool("agents_writer", {"message": "I am Ana", "session": "A-1"})
        second = await client.call_tool("agents_writer", {"message": "Who am I?", "session": "A-1"})
        assert (words(first), words(second)) == ("Hello Ana", "You are Ana")
        assert "I am Ana" in json.dumps(server.requests[1]["messages"])


@pytest.mark.parametrize("mode", MODES)
async def test_what_does_not_fit_is_said_with_its_place(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        result = await client.call_tool("test_hello", {"name": "Ana", "age": "old"})
        assert result.is_error
        assert "/age" in words(result)
        assert result.meta is not None
        assert result.meta["orchestrion/problem"]["code"] == "schema-mismatch"
        for name, arguments in (
            ("test_double", {"number": 1}),
            ("run-status", {}),
            ("run-status", {"run": "nope"}),
            ("agents_writer", {"message": "Hi", "session": 5}),
            ("agents_writer", {"message": "Hi", "session": ""}),
        ):
            assert (await client.call_tool(name, arguments)).is_error, name
        assert (await client.list_resources()).resources == []


async def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world) as client:
        result = await client.call_tool("test_broken", {})
        assert result.is_error
        assert "Broken, It fell." in words(result)
        status = await client.call_tool("run-status", {"run": run_of(result)})
        assert not status.is_error
        assert status.structured_content["status"] == "faulted"
        assert status.structured_content["problem"]["title"] == "Broken"


@pytest.mark.parametrize("mode", MODES)
async def test_a_run_that_waits_for_a_person_is_come_back_to(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        await client.list_tools()
        result = await client.call_tool("test_ask", {})
        run_id = run_of(result)
        assert "How many?" in words(result)
        (request,) = await world.app.journal.requests(status=RequestStatus.OPEN)
        waits = [{"id": request.id, "title": "How many?", "role": "clerk"}]
        assert result.structured_content["pending"]["waits_for"] == waits
        assert (await resource(client, f"orchestrion://runs/{run_id}"))["waits_for"][0]["id"] == request.id
        said = Answer(verdict="answered", by="lea", at=world.app.clock.now(), value=Datum({"count": 3}))
        await world.app.answer(request, said)
        status = await client.call_tool("run-status", {"run": run_id})
        assert (status.structured_content["run"], status.structured_content["status"]) == (run_id, "completed")
        assert status.structured_content["output"]["count"] == 3


@pytest.mark.parametrize("mode", MODES)
async def test_a_long_run_tells_of_its_steps_goes_on_and_can_be_stopped(tmp_path: Path, mode: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async with bank(tmp_path, limits=Limits(tool_s=0.5)) as world, connected(world, mode=mode) as client:
        result = await client.call_tool("test_slow", {}, progress_callback=listen)
        assert not result.is_error
        assert "goes on" in words(result)
        assert [progress for progress, _ in heard] == sorted({progress for progress, _ in heard})
        assert heard[-1][1] is not None
        assert "/do/1/second" in heard[-1][1]
        run = await world.app.journal.run(run_of(result))
        assert run is not None
        assert not run.status.ended
        stopped = await client.call_tool("run-cancel", {"run": run.id})
        assert stopped.structured_content["status"] == "cancelled"
        assert (await client.call_tool("run-cancel", {"run": run.id})).is_error


@pytest.mark.parametrize("mode", MODES)
async def test_who_turns_away_ends_nothing(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        with pytest.raises(MCPError):
            await client.call_tool("test_slow", {}, read_timeout_seconds=0.5)
        (run,) = (await client.list_resources()).resources
        assert (await resource(client, run.uri))["status"] in {"running", "waiting"}


@pytest.mark.parametrize("mode", MODES)
async def test_runs_are_resources(tmp_path: Path, mode: str) -> None:
    async with bank(tmp_path) as world, connected(world, mode=mode) as client:
        ids = [run_of(await client.call_tool("test_hello", {"name": str(number)})) for number in range(51)]
        first = await client.list_resources()
        rest = await client.list_resources(cursor=first.next_cursor)
        uris = [each.uri for each in [*first.resources, *rest.resources]]
        assert uris == [f"orchestrion://runs/{run_id}" for run_id in reversed(ids)]
        assert (len(first.resources), rest.next_cursor) == (50, None)
        whole = await resource(client, uris[0])
        assert (whole["status"], whole["output"]) == ("completed", {"greeting": "Hello, 50."})
        templates = (await client.list_resource_templates()).resource_templates
        assert [each.uri_template for each in templates] == [
            "orchestrion://runs/{id}",
            "orchestrion://runs/{id}/entries{?after}",
        ]
        asked = run_of(await client.call_tool("test_ask", {}))
        steps = (await resource(client, f"orchestrion://runs/{asked}/entries"))["entries"]
        assert "/do/1/question" in {step["task"] for step in steps}
        later = await resource(client, f"orchestrion://runs/{asked}/entries?after={steps[0]['place']}")
        assert later["entries"] == steps[1:]


async def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world) as client:
        known = run_of(await client.call_tool("test_hello", {"name": "Ana"}))
        for uri in (
            "orchestrion://runs/nope",
            f"orchestrion://runs/{known}/../{known}",
            f"orchestrion://runs/{known}%2f..",
            f"orchestrion://runs/{known}/entries?after=-5",
            f"orchestrion://runs/{known}#x",
            f"ORCHESTRION://runs/{known}",
            "file:///etc/passwd",
            "",
            "orchestrion://runs/" + "a" * 5000,
        ):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
        for name in (
            "../../etc/passwd",
            "test/hello",
            "test_hello/../ask",
            "TEST_HELLO",
            "test_hello\x00",
            "",
            "x" * 9000,
        ):
            with pytest.raises(MCPError, match="no tool"):
                await client.call_tool(name, {"name": "Ana"})
        with pytest.raises(MCPError):
            await client.list_resources(cursor="nonsense")


async def test_a_viewer_looks_and_starts_nothing(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world, "viewer") as viewer, connected(world) as operator:
        assert [tool.name for tool in (await viewer.list_tools()).tools] == ["run-status"]
        result = await viewer.call_tool("test_hello", {"name": "Eve"})
        assert result.is_error
        assert result.meta is not None
        assert result.meta["orchestrion/problem"]["code"] == "not-permitted"
        assert (await viewer.list_resources()).resources == []
        run = run_of(await operator.call_tool("test_ask", {}))
        assert (await viewer.call_tool("run-cancel", {"run": run})).is_error
        assert (await viewer.call_tool("run-status", {"run": run})).structured_content["status"] != "cancelled"


async def test_what_comes_before_the_protocol_is_checked_before_it(tmp_path: Path) -> None:
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    accept = "application/json, text/event-stream"
    async with bank(tmp_path, limits=Limits(body_bytes=10_000)) as world:
        async with world.client(None, accept=accept) as nobody:
            assert (await nobody.post("/mcp", json=ping)).status_code == 401
        async with world.client("operator", accept=accept) as client:
            assert (await client.post("/mcp", json=ping)).status_code == 200
            unfit = await client.post("/mcp", json=ping, headers={"accept": "application/json"})
            assert (unfit.status_code, unfit.json()["code"]) == (406, "not-acceptable")
            foreign = await client.post("/mcp", json=ping, headers={"host": "evil.example"})
            assert (foreign.status_code, foreign.json()["code"]) == (421, "foreign-host")
            large = {**ping, "params": {"_meta": {"x": "x" * 20_000}}}
            assert (await client.post("/mcp", json=large)).status_code == 413
            for content in (b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b"[" * 5000, b"\xff\xfe"):
                for version in ("2025-06-18", "2026-07-28", "1999-01-01"):
                    headers = {"content-type": "application/json", "mcp-protocol-version": version}
                    answer = await client.post("/mcp", content=content, headers=headers)
                    assert 400 <= answer.status_code < 500, (content, version, answer.text)
            for method in ("GET", "DELETE", "PUT"):
                answer = await client.request(method, "/mcp")
                assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_more_calls_than_are_taken_start_nothing(tmp_path: Path) -> None:
    async with bank(tmp_path, limits=Limits(streams=0)) as world, connected(world) as client:
        result = await client.call_tool("test_hello", {"name": "Ana"})
        assert result.is_error
        assert result.meta is not None
        assert result.meta["orchestrion/problem"]["code"] == "too-busy"
        assert (await client.list_resources()).resources == []


async def test_a_server_that_stops_answers_who_waits(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world) as client:
        assert run_of(await client.call_tool("test_ask", {}))
        world.server.site.drain()
        async with asyncio.timeout(10):
            assert "goes on" in words(await client.call_tool("test_slow", {}))


def begun(project: Path, port: int) -> Process:
    """A server in a process of its own, once it answers."""
    process = start_command("serve", "--port", str(port), "--project", str(project))
    assert any("Ready at" in line for line in process.lines())
    return process


@pytest.fixture
def kim(tmp_path: Path) -> str:
    """The token of an operator of a project."""
    project = tmp_path / "project"
    write_served(project)
    asked = (("add", "kim", "--role", "operator"), ("token", "kim"))
    said = [run_command("users", *each, "--project", str(project), "--json") for each in asked]
    assert [each.code for each in said] == [0, 0]
    return cast("dict[str, str]", said[-1].json)["token"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_notices_nothing_when_the_server_is_killed_and_begun_anew(
    tmp_path: Path, kim: str, mode: Any
) -> None:
    project, headers = tmp_path / "project", {"authorization": f"Bearer {kim}"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = begun(project, port)
    try:
        url = f"http://127.0.0.1:{port}/mcp"
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(url, http_client=http), mode=mode) as client,
        ):
            run = run_of(await client.call_tool("examples_ask", {}))
            process.kill()
            process.wait()
            process = begun(project, port)
            status = await client.call_tool("run-status", {"run": run})
            assert [each["title"] for each in status.structured_content["waits_for"]] == ["How many?"]
    finally:
        process.kill()
        process.wait()
