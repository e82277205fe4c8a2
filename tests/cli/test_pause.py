"""Ctrl-C pauses a batch: nothing faults, nothing is lost, and the same command goes on."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from orchestrion.app import open_app
from orchestrion.core import Json, new_id
from orchestrion.testing import run_command

ROWS = 2_000
MOST_S = 60.0


def begun() -> int:
    try:
        with closing(sqlite3.connect(".orchestrion/orchestrion.db")) as database:
            return database.execute("select count(*) from runs where status = 'completed'").fetchone()[0]
    except sqlite3.Error:
        return 0


def heed_interrupts() -> None:
    """Whoever runs the tests in the background may ignore Ctrl-C, and children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_pauses_and_the_same_command_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("people.csv").write_text("name\n" + "".join(f"person {number}\n" for number in range(ROWS)))
    command = [sys.executable, "-m", "orchestrion", "run", "hello", "--each", "people.csv", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 it calls nothing that a thread could hold
    )
    deadline = time.monotonic() + MOST_S
    while begun() < 20 and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=MOST_S)
    assert process.returncode == 130, said
    assert "goes on where it stopped" in said
    assert "Traceback" not in said
    assert begun() < ROWS
    after = run_command("run", "hello", "--each", "people.csv", "--json")
    assert (after.code, json.loads(after.out)["statuses"]) == (0, {"completed": ROWS})


async def leave_accepted(count: int) -> None:
    """Runs that a process accepted which was killed before it began them."""
    async with open_app(Path()) as app:
        document = app.checked.shelf.named("examples/hello")
        for _ in range(count):
            value: dict[str, Json] = {"name": "Ana"}
            run = await app.workflows.pin(document, run_id=new_id(), value=value, labels={}, versions={})
            await app.journal.start(run)


def test_a_batch_goes_on_with_what_a_killed_process_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    asyncio.run(leave_accepted(25))
    with Path("orchestrion.yaml").open("a") as settings:
        settings.write("limits: { concurrency: 10 }\n")
    Path("people.csv").write_text("name\nBo\n")

    batch = run_command("run", "hello", "--each", "people.csv", "--json")

    assert json.loads(batch.out)["statuses"] == {"completed": 1}
    assert begun() == 26
