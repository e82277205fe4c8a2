"""Two `orchestrion work` on one PostgreSQL, the one that leads killed under load: the other serves soon, nothing lost or repeated."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestrion.app import open_app
from orchestrion.core import RunFilter, RunStatus, SystemClock, new_id
from orchestrion.testing import counting_server

pytestmark = pytest.mark.anyio

RUNS = 150
WORKFLOW = """
document: { dsl: '1.0.3', namespace: shop, name: order, version: '1.0.0' }
do:
  - charge: { call: http, metadata: { idempotent: true }, with: { method: post, endpoint: 'http://ADDRESS/charge' } }
  - ship: { call: http, metadata: { idempotent: true }, with: { method: post, endpoint: 'http://ADDRESS/ship' } }
"""
Process = asyncio.subprocess.Process


def write_project(folder: Path, url: str, address: str) -> None:
    (folder / "workflows").mkdir()
    (folder / "policies").mkdir()
    (folder / "orchestrion.yaml").write_text(
        f"store: '{url}'\negress: {{ allow: ['{address}'] }}\nlimits: {{ concurrency: 20 }}\n"
    )
    (folder / "workflows" / "order.yaml").write_text(WORKFLOW.replace("ADDRESS", address))
    (folder / "policies" / "all.cedar").write_text("permit (principal, action, resource);\n")


@asynccontextmanager
async def at_work(folder: Path) -> AsyncGenerator[tuple[Process, list[str]]]:
    """A process, and the lines it says."""
    command = [sys.executable, "-m", "orchestrion", "work", "--project", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    lines: list[str] = []

    async def listen() -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            lines.append(line.decode())

    listening = asyncio.create_task(listen())
    try:
        yield process, lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


async def until(condition: Callable[[], object], within_s: float = 60.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "it took too long"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def accept(folder: Path, number: int) -> None:
    """What a webhook would do beside a leader: runs that wait to begin."""
    async with open_app(folder, mode="join") as app:
        document = app.checked.shelf.named("order")
        for _ in range(number):
            pinned = await app.workflows.pin(document, run_id=new_id(), value=None, labels={}, versions={})
            await app.journal.start(replace(pinned, created_at=SystemClock().now()))


def completed(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from runs where status = 'completed'").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("way", ["killed", pytest.param("frozen", marks=pytest.mark.soak)])
async def test_the_standby_serves_when_the_leader_is_gone(postgresql: str, tmp_path: Path, way: str) -> None:
    with counting_server() as server:
        write_project(tmp_path, postgresql, server.address)
        async with at_work(tmp_path) as (leader, said):
            await until(lambda: any("runs are open" in line for line in said))
            async with at_work(tmp_path) as (_, heard):
                await until(lambda: any("stands by" in line for line in heard))
                await accept(tmp_path, RUNS)
                await until(lambda: completed(postgresql) > RUNS // 5)
                leader.send_signal(signal.SIGKILL if way == "killed" else signal.SIGSTOP)
                before = completed(postgresql)
                assert before < RUNS, "it was too quick to be interrupted"
                took_s = await until(lambda: completed(postgresql) > before)
                assert took_s < (5 if way == "killed" else 10)
                await until(lambda: completed(postgresql) == RUNS)
                if way == "frozen":
                    leader.send_signal(signal.SIGCONT)
                    await until(lambda: any("stands by" in line for line in said))
                async with open_app(tmp_path, mode="join") as app:
                    runs = await app.journal.runs(RunFilter(limit=RUNS + 1))
                    assert {run.status for run in runs} == {RunStatus.COMPLETED}
                    assert len(runs) == RUNS
                assert server.effects() == {"/charge": RUNS, "/ship": RUNS}
                assert server.requests["/charge"] <= RUNS + 20
