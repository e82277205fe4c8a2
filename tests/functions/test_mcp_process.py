"""`mcp` with servers that are processes: real ones, and some that crash, hang, write rubbish or will not go."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import cast

import pytest

from orchestrion.core import (
    BugError,
    Datum,
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
from orchestrion.project import McpServer, SecretReference

pytestmark = pytest.mark.anyio

PATIENCE_S = 20.0

OFFICE = """
import os
from mcp.server.mcpserver import MCPServer

server = MCPServer("office", version="7", log_level="CRITICAL")

@server.tool()
def add(a: int, b: int) -> dict[str, int]:
    return {"total": a + b}

@server.tool()
def told() -> dict[str, str]:
    '''What this process was told, but for what Python adds itself.'''
    return {name: value for name, value in os.environ.items() if name != "LC_CTYPE"} | {"in": os.getcwd()}

server.run("stdio")
"""

BY_HAND = """
import json, os, signal, subprocess, sys, time
def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()
def answer(asked, result):
    say(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + "\\n")
def on(method, asked):
    if method == "initialize":
        answer(asked, {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "rogue", "version": "1"}})
    elif method == "tools/list":
        answer(asked, {"tools": [{"name": "pay", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        call(asked)
    elif "id" in asked:
        say(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}}) + "\\n")
BEGIN
def call(asked):
    CALL
for line in sys.stdin:
    asked = json.loads(line)
    on(asked.get("method"), asked)
"""


def script(folder: Path, code: str) -> tuple[str, ...]:
    """A server's command."""
    file = folder / "server.py"
    file.write_text(code)
    return (sys.executable, str(file))


def rogue(folder: Path, call: str, begin: str = "") -> tuple[str, ...]:
    """A server that follows the protocol until its tool is called."""
    return script(folder, BY_HAND.replace("BEGIN", dedent(begin)).replace("CALL", call))


class Vault:
    def get(self, name: str) -> Json:
        return f"value-of-{name}"


async def perform(
    server: McpServer, arguments: Mapping[str, Json], *, allowed: bool = True, most_bytes: int = 1_000_000
) -> Outcome:
    command = server.command or ()
    async with Egress((), timeout_s=5, max_response_bytes=most_bytes) as egress:
        processes = [command] if allowed else [command[:1], (*command, "more")]
        function = Mcp(egress, Tokens(egress), {"office": server}, processes=processes, root=Path("/"))
        given = Datum({"server": "office", **arguments})
        invocation = Invocation(key="k", task="t", function="mcp:1.0.0", arguments=given)
        with permitted(Permit(run_id="r", key="k")):
            return await function.perform(invocation, LeafContext(run_id="r", idempotency_key="i", secrets=Vault()))


def tool(name: str, timeout: Json = "PT20S", **arguments: Json) -> dict[str, Json]:
    return {"method": "tools/call", "timeout": timeout, "parameters": {"name": name, "arguments": arguments}}


async def failing(
    server: McpServer, arguments: Mapping[str, Json], *, allowed: bool = True, most_bytes: int = 1_000_000
) -> OrchestrionError:
    with pytest.raises(OrchestrionError) as caught:
        await perform(server, arguments, allowed=allowed, most_bytes=most_bytes)
    assert not isinstance(caught.value, BugError)
    return caught.value


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as state:  # nobody may be there to take note of its end
        return state.read().rpartition(")")[2].split()[0] != "Z"


def wait_until(what: str, condition: object) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not (callable(condition) and condition()):
        assert time.monotonic() < give_up_at, what
        time.sleep(0.01)


def gone(pids: list[int]) -> None:
    wait_until(f"{pids} are still there", lambda: not any(map(alive, pids)))


def noted(folder: Path) -> list[int]:
    """The processes that the server of `WRITE_PIDS` noted."""
    file = folder / "pids"
    wait_until("the server has begun", lambda: file.exists() and file.read_text().endswith("\n"))
    return [int(pid) for pid in file.read_text().split()]


async def test_tools_of_a_process_are_listed_and_called(tmp_path: Path) -> None:
    server = McpServer(command=script(tmp_path, OFFICE))
    listed = await perform(server, {"method": "tools/list"})
    tools = cast("Mapping[str, list[Mapping[str, Json]]]", listed.output.value)["tools"]
    assert [each["name"] for each in tools] == ["add", "told"]
    assert listed.output.labels == {"": {"untrusted"}}
    outcome = await perform(server, tool("add", a=1, b=2))
    assert cast("Mapping[str, Json]", outcome.output.value)["structuredContent"] == {"total": 3}


async def test_a_process_is_told_what_is_declared_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "s3cret")
    server = McpServer(
        command=script(tmp_path, OFFICE), environment={"DESK": "7", "TOKEN": SecretReference(secret="crm")}
    )
    outcome = await perform(server, tool("told"))
    told = cast("Mapping[str, Json]", outcome.output.value)["structuredContent"]
    assert told == {"DESK": "7", "TOKEN": "value-of-crm", "in": "/"}


async def test_only_the_exact_command_is_started(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    server = McpServer(command=script(tmp_path, f"open({str(begun)!r}, 'w')"))
    error = await failing(server, {"method": "tools/list"}, allowed=False)
    assert isinstance(error, PolicyDenied)
    assert error.code == "process-refused"
    assert not begun.exists()


@pytest.mark.parametrize("command", [("/nowhere/office",), ("office-that-is-nowhere",)])
async def test_a_command_that_does_not_exist_is_said(command: tuple[str, ...]) -> None:
    error = await failing(McpServer(command=command), {"method": "tools/list"})
    assert isinstance(error, UserError)
    assert (error.code, "No such file" in error.message) == ("mcp-not-started", True)


def test_a_process_is_a_resource_of_its_own() -> None:
    server = McpServer(command=("/usr/bin/office", "--stdio"))
    function = Mcp(Egress(), Tokens(Egress()), {"office": server})
    nature = function.nature({"server": "office", "method": "tools/call"})
    assert (nature.effect, nature.idempotent, nature.resource) == ("write", False, ("Process", "office"))


DIES = "sys.stderr.write('the till is on fire'); sys.stderr.flush(); os._exit(3)"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (DIES, "mcp-connection-lost"),
        ("say('hello\\n{\\n'); answer(asked, {'content': []})", ""),
        ("say('hello\\n' * 1000)", "timed-out"),
        ("say('x' * 3000)", "timed-out"),
        ("while True: say('x' * 1000)", "response-too-big"),
        ("while True: say('hello\\n')", "response-too-big"),
        ("while True: sys.stderr.write('x' * 1000)", "timed-out"),
        ("say(json.dumps({'jsonrpc': '2.0', 'id': 999, 'result': {'content': []}}) + '\\n')", "timed-out"),
        ("answer(asked, 7)", "timed-out"),
        ("answer(asked, {'content': 'none'})", "mcp-bad-answer"),
        ("time.sleep(1000)", "timed-out"),
        ("os.close(1); time.sleep(1000)", "timed-out"),
    ],
)
async def test_a_process_that_breaks_is_a_clear_problem(tmp_path: Path, call: str, code: str) -> None:
    server = McpServer(command=rogue(tmp_path, call))
    asked = tool("pay", {"milliseconds": 1500} if code == "timed-out" else "PT20S")
    if not code:
        await perform(server, asked)
        return
    error = await failing(server, asked, most_bytes=100_000)
    assert error.code == code, error
    assert isinstance(error, TransientError) == (code in ("timed-out", "mcp-connection-lost"))
    if call == DIES:
        assert (error.problem.model_extra or {})["said"] == "the till is on fire"
        assert "till" not in error.message


@pytest.mark.parametrize("code", ["", "raise SystemExit(1)", "print('hello')"])
async def test_a_process_that_ends_at_once_is_a_lost_connection(tmp_path: Path, code: str) -> None:
    error = await failing(McpServer(command=script(tmp_path, code)), {"method": "tools/list"})
    assert error.code == "mcp-connection-lost"


WRITE_PIDS = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["/bin/sleep", "1000"])
    with open("PIDS", "w") as pids:
        pids.write(f"{os.getpid()} {os.getppid()} {child.pid}\\n")
"""
"""It notes itself, its keeper and a process of its own, and does not go when it is asked to."""


def stubborn(folder: Path, call: str) -> tuple[str, ...]:
    return rogue(folder, call, WRITE_PIDS.replace("PIDS", str(folder / "pids")))


async def test_a_process_ends_with_its_conversation(tmp_path: Path) -> None:
    await perform(McpServer(command=stubborn(tmp_path, "answer(asked, {'content': []})")), tool("pay"))
    gone(noted(tmp_path))


async def test_a_cancelled_call_ends_the_process(tmp_path: Path) -> None:
    hangs = f"open({str(tmp_path / 'called')!r}, 'w').close(); time.sleep(1000)"
    calling = asyncio.create_task(perform(McpServer(command=stubborn(tmp_path, hangs)), tool("pay")))
    await asyncio.to_thread(wait_until, "the tool is called", (tmp_path / "called").exists)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(calling, PATIENCE_S)
    gone(noted(tmp_path))


ENGINE = """
import asyncio, sys
from tests_of_process import McpServer, perform, tool
asyncio.run(perform(McpServer(command=tuple(sys.argv[1:])), tool("pay")))
"""


@pytest.mark.parametrize("with_", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_no_process_outlives_the_engine(tmp_path: Path, with_: signal.Signals) -> None:
    hangs = f"open({str(tmp_path / 'called')!r}, 'w').close(); time.sleep(1000)"
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "tests_of_process.py").write_text(Path(__file__).read_text())
    engine = subprocess.Popen(
        [sys.executable, str(tmp_path / "engine.py"), *stubborn(tmp_path, hangs)],
        stderr=subprocess.PIPE,
        text=True,
        # whoever runs the tests in the background may ignore Ctrl-C, and children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 nothing a thread could hold
    )
    wait_until("the tool is called", lambda: (tmp_path / "called").exists() or engine.poll() is not None)
    assert engine.poll() is None, engine.communicate()
    pids = noted(tmp_path)
    assert all(map(alive, pids))
    engine.send_signal(with_)
    _, said = engine.communicate(timeout=PATIENCE_S)
    assert engine.returncode != 0, said
    gone(pids)
