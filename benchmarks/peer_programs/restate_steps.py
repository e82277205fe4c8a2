"""Restate: a handler with ten `ctx.run` steps, served by Hypercorn, called through the ingress of the server from npm."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import restate
from _workload import PAYLOAD, STEPS, RunOne, Settings, answer, effect, place
from hypercorn.asyncio import serve
from hypercorn.config import Config

service = restate.Service(f"Steps{place()['copy']}")


async def step(number: int) -> dict[str, str]:
    return effect(number)


@service.handler()
async def run(ctx: restate.Context, name: str) -> dict[str, str]:
    output: dict[str, str] = {}
    for number in range(STEPS):
        output = await ctx.run_typed(f"step{number}", step, number=number)
    return output


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _start_server(where: Settings, ports: Mapping[str, int]) -> subprocess.Popen[bytes]:
    settings = {
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports['node']}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{ports['node']}/",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['ingress']}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['admin']}",
        "RESTATE_LOG_SERVER__ROCKSDB_DISABLE_WAL_FSYNC": "false",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "off",
        **where.get("server", {}),
    }
    command = [
        where["server_binary"],
        "--no-logo",
        "--base-dir",
        str(Path(where["folder"]) / "restate"),
        "--node-name",
        "bench",
    ]
    return subprocess.Popen(command, env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=sys.stderr)


async def _register(session: aiohttp.ClientSession, admin: str, service: str) -> None:
    problem: object = None
    for _ in range(600):
        try:
            async with session.post(f"{admin}/deployments", json={"uri": service, "force": True}) as response:
                if response.status < 300:
                    return
                problem = await response.text()
        except aiohttp.ClientError as error:
            problem = error
        await asyncio.sleep(0.1)
    raise SystemExit(f"the Restate server did not take the service within 60 s: {problem}")


async def main() -> None:
    where = place()
    joined: Mapping[str, int] | None = where.get("join")
    ports = joined or {name: _free_port() for name in ("node", "ingress", "admin")}
    server = None if joined else _start_server(where, ports)
    own = _free_port()
    config = Config()
    config.bind = [f"127.0.0.1:{own}"]
    config.accesslog = config.errorlog = None
    closing = asyncio.Event()
    serving = asyncio.ensure_future(serve(restate.app([service]), config, shutdown_trigger=closing.wait))
    handler = f"http://127.0.0.1:{ports['ingress']}/{service.name}/run"
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await _register(session, f"http://127.0.0.1:{ports['admin']}", f"http://127.0.0.1:{own}")

            async def run_one(name: str, _: Settings) -> None:
                async with session.post(handler, json=name) as response:
                    assert await response.json() == PAYLOAD, response.status

            await _until_served(run_one)
            await answer(run_one, {"durability": "log and its write-ahead log with fsync", "join": ports})
    finally:
        closing.set()
        await serving
        if server is not None:
            server.terminate()
            server.wait()


async def _until_served(run_one: RunOne) -> None:
    """The first calls after a start may find no partition that answers."""
    for _ in range(100):
        try:
            return await run_one("first", {})
        except (AssertionError, aiohttp.ClientError):
            await asyncio.sleep(0.1)
    raise SystemExit("the Restate server refused its service for 10 s")


asyncio.run(main())
