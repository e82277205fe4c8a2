"""Temporal: a workflow of ten activities, ordinary or local, on the development server with a database file.

The results of local activities are recorded when the workflow task ends, many in one write; those of ordinary activities one by one.
"""

import asyncio
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from _workload import PAYLOAD, STEPS, Settings, answer, effect, place
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "steps"
AT_ONCE = 500


@activity.defn
async def step(number: int) -> dict[str, str]:
    return effect(number)


@workflow.defn
class Steps:
    @workflow.run
    async def run(self, local: bool) -> dict[str, str]:
        output: dict[str, str] = {}
        perform = workflow.execute_local_activity if local else workflow.execute_activity
        for number in range(STEPS):
            output = await perform(step, number, start_to_close_timeout=timedelta(seconds=30))
        return output


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _start_server(folder: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            Path(sys.prefix) / "bin" / "temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1",
            "--port", str(port), "--log-level", "error", "--db-filename", folder / "temporal.db",
            "--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=2",
        ],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )  # fmt: skip


async def _connect(address: str) -> Client:
    for _ in range(300):
        try:
            return await Client.connect(address)
        except (RPCError, RuntimeError):
            await asyncio.sleep(0.1)
    raise SystemExit("the Temporal server did not answer within 30 s")


async def main() -> None:
    where = place()
    server = None
    address = where.get("join", {}).get("address")
    if address is None:
        port = _free_port()
        address = f"127.0.0.1:{port}"
        server = _start_server(Path(where["folder"]), port)
    try:
        client = await _connect(address)
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Steps],
            activities=[step],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_workflow_tasks=AT_ONCE,
            max_concurrent_activities=AT_ONCE,
            max_concurrent_local_activities=AT_ONCE,
            max_concurrent_workflow_task_polls=10,
            max_concurrent_activity_task_polls=10,
        )

        async def run_one(name: str, settings: Settings) -> None:
            output = await client.execute_workflow(Steps.run, settings["local"], id=name, task_queue=QUEUE)
            assert output == PAYLOAD

        async with worker:
            await answer(run_one, {"durability": "WAL, synchronous=FULL", "join": {"address": address}})
    finally:
        if server is not None:
            server.terminate()
            server.wait()


asyncio.run(main())
