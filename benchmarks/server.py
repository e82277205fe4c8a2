"""The server under load: starts over HTTP with a console open, lists beside a million runs, and a process that is killed.

Run: make bench NAME=server [QUICK=1]. The server is a process of its own; this one asks, at a fixed rate and without waiting for
answers before the next start. Prints what was measured and one line of JSON.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from orchestrion.core import dump, parse

QUICK = bool(os.environ.get("QUICK"))
RATE, SECONDS, STORED = (200, 10, 20_000) if QUICK else (200, 60, 1_000_000)
OVERLOAD_S = 3 if QUICK else 10
CONNECTIONS = 1_000
"""Of those who ask too much at once: about twice as many as are answered at once."""
GENERATING = Path(__file__).with_name("_scale") / "generating.py"
WORKFLOW = """
document: { dsl: '1.0.3', namespace: bench, name: three, version: '1.0.0' }
do:
  - first: { set: { n: '${ .n + 1 }' } }
  - second: { set: { n: '${ .n * 2 }' } }
  - third: { set: { answer: '${ .n }' } }
"""
READY = re.compile(r"Ready at (http://[\w.:\[\]]+)")


@dataclass(slots=True)
class Load:
    """What was asked and how it went."""

    took_ms: list[float] = field(default_factory=list[float])
    accepted: list[str] = field(default_factory=list[str])
    answers: Counter[str] = field(default_factory=Counter[str])


class Server:
    """`orchestrion serve` as a process of its own."""

    def __init__(self, project: Path) -> None:
        self._log = (project / "serve.log").open("w")
        command = [sys.executable, "-m", "orchestrion", "serve", "--port", "0", "--project", str(project)]
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stderr=self._log)
        while (found := READY.search((project / "serve.log").read_text())) is None:
            if self.process.poll() is not None:
                raise SystemExit((project / "serve.log").read_text())
            time.sleep(0.01)
        self.ready_s = time.monotonic() - begun
        self.url = found[1]

    def rss_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return int(found[1]) / 1024 if found else 0.0

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(60)
        self._log.close()


def project_in(folder: Path, *, backlog: int = 10_000) -> str:
    """A token for the new project."""
    (folder / "workflows").mkdir(parents=True)
    (folder / "orchestrion.yaml").write_text(f"name: bench\nlimits: {{ backlog: {backlog} }}\n")
    (folder / "workflows" / "three.yaml").write_text(WORKFLOW)
    return token_for(folder)


def token_for(folder: Path) -> str:
    def users(*arguments: str) -> Any:
        command = [sys.executable, "-m", "orchestrion", "users", *arguments, "--project", str(folder), "--json"]
        return parse(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    users("add", "load", "--role", "operator")
    return str(users("token", "load")["token"])


async def started(client: httpx.AsyncClient, load: Load, number: int) -> None:
    begun = time.perf_counter()
    try:
        answer = await client.post("/api/v1/runs", json={"workflow": "three", "input": {"n": number}})
    except httpx.HTTPError as error:
        load.answers[type(error).__name__] += 1
        return
    load.took_ms.append((time.perf_counter() - begun) * 1000)
    told = str(answer.status_code)
    if answer.status_code == 429:
        told += " with Retry-After" if "retry-after" in answer.headers else " without Retry-After"
    load.answers[told] += 1
    if answer.status_code == 201:
        load.accepted.append(answer.json()["id"])


async def under_load(client: httpx.AsyncClient, rate: int, seconds: float) -> Load:
    load, tasks, begun = Load(), set[asyncio.Task[None]](), time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        task = asyncio.ensure_future(started(client, load, number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return load


async def crowd(server: Server, token: str) -> Load:
    """Everybody starts a run, again as soon as the last start is answered. Plain sockets: a client of comfort is slower than the server."""
    load, until, port = Load(), time.perf_counter() + OVERLOAD_S, int(server.url.rpartition(":")[2])
    body = b'{"workflow":"three","input":{"n":1}}'
    request = (
        f"POST /api/v1/runs HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            told = await reader.readexactly(int(length[1]) if length else 0)
            status = head.split(" ", 2)[1]
            retry = " with Retry-After" if "retry-after" in head else ""
            load.answers[status + retry] += 1
            if status == "201":
                started_run: Any = parse(told)
                load.accepted.append(started_run["id"])
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return load


async def console(client: httpx.AsyncClient) -> None:
    """A page that follows the project, and asks for the list every two seconds."""

    async def follow() -> None:
        async with client.stream("GET", "/api/v1/events", timeout=None) as stream:
            async for _ in stream.aiter_lines():
                pass

    async def look() -> None:
        while True:
            await client.get("/api/v1/runs", params={"limit": 50})
            await asyncio.sleep(2)

    await asyncio.gather(follow(), look())


async def lost_of(client: httpx.AsyncClient, accepted: list[str]) -> int:
    """Accepted runs that did not complete, once nothing is open any more."""
    open_ = {"status": ["pending", "running"], "limit": 1}
    while (await client.get("/api/v1/runs", params=open_)).json()["runs"]:  # noqa: ASYNC110  another process's
        await asyncio.sleep(0.1)
    completed: set[str] = set()
    after: str | None = None
    while True:
        query = {"status": "completed", "limit": 200, **({"after": after} if after else {})}
        page = (await client.get("/api/v1/runs", params=query)).json()
        completed |= {run["id"] for run in page["runs"]}
        after = page["next"]
        if after is None:
            return len(set(accepted) - completed)


def client_of(server: Server, token: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    return httpx.AsyncClient(
        base_url=server.url, headers={"authorization": f"Bearer {token}"}, limits=limits, timeout=60
    )


async def steady(folder: Path) -> dict[str, Any]:
    token = project_in(folder)
    server = Server(folder)
    async with client_of(server, token) as client, client_of(server, token) as page:
        watching = asyncio.ensure_future(console(page))
        await under_load(client, RATE, 2)  # what is loaded once
        before = server.rss_mb()
        begun = time.perf_counter()
        load = await under_load(client, RATE, SECONDS)
        took = time.perf_counter() - begun
        after = server.rss_mb()
        lost = await lost_of(client, load.accepted)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    server.end(signal.SIGTERM)
    load.took_ms.sort()
    return {
        "ready_s": round(server.ready_s, 2),
        "starts_per_s": round(len(load.accepted) / took, 1),
        "p50_ms": round(load.took_ms[len(load.took_ms) // 2], 1),
        "p95_ms": round(load.took_ms[int(len(load.took_ms) * 0.95)], 1),
        "lost": lost,
        "rss_mb": round(after, 1),
        "rss_grown_mb": round(after - before, 1),
        "answers": dict(load.answers),
    }


async def overloaded(folder: Path) -> dict[str, Any]:
    """More at once than it answers; then killed under load, and begun again."""
    token = project_in(folder)
    server = Server(folder)
    async with client_of(server, token) as client:
        load = await crowd(server, token)
        lost = await lost_of(client, load.accepted)
        dying = asyncio.ensure_future(under_load(client, RATE, 4))
        await asyncio.sleep(2)
        server.end(signal.SIGKILL)
        killed = await dying
    server = Server(folder)
    async with client_of(server, token) as client:
        lost_by_kill = await lost_of(client, killed.accepted)
    server.end(signal.SIGTERM)
    return {
        "overload": dict(load.answers),
        "lost_above_capacity": lost,
        "accepted_before_kill": len(killed.accepted),
        "lost_by_kill": lost_by_kill,
    }


async def listed(folder: Path) -> dict[str, Any]:
    """Milliseconds of the slowest of several lists, each the median of many, over HTTP beside many stored runs."""
    project_in(folder)
    database = folder / ".orchestrion" / "orchestrion.db"
    for file in database.parent.glob("orchestrion.db*"):
        file.unlink()
    subprocess.run(  # noqa: ASYNC221  nothing else goes on
        [sys.executable, GENERATING, database, str(STORED)], check=True, stdout=subprocess.DEVNULL
    )
    token = token_for(folder)
    server = Server(folder)
    async with client_of(server, token) as client:
        newest = (await client.get("/api/v1/runs", params={"limit": 1})).json()["runs"][0]
        middle = (await client.get("/api/v1/runs", params={"until": newest["created_at"], "limit": 50})).json()["next"]
        workflow = newest["workflow"]
        queries: tuple[dict[str, Any], ...] = (
            {},
            {"workflow": workflow},
            {"status": "faulted"},
            {"workflow": workflow, "status": ["faulted", "cancelled"]},
            {"workflow": workflow, "until": newest["created_at"]},
            {"after": middle} if middle else {},
        )
        slowest = 0.0
        for query in queries:
            took: list[float] = []
            for _ in range(20):
                begun = time.perf_counter()
                (await client.get("/api/v1/runs", params={"limit": 50, **query})).raise_for_status()
                took.append((time.perf_counter() - begun) * 1000)
            slowest = max(slowest, sorted(took)[len(took) // 2])
    server.end(signal.SIGTERM)
    return {"list_million_ms": round(slowest, 1)}


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="orchestrion-server-") as name:
        folder = Path(name)
        found: dict[str, Any] = {}
        for part in (steady, listed, overloaded):
            figures = await part(folder / part.__name__)
            for what, figure in figures.items():
                print(f"{what:22}{figure}", flush=True)
            found |= figures
    print(dump(found))


asyncio.run(main())
