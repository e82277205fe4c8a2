"""Backup and restore as an operator does them: beside a server under load, and elsewhere."""

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from orchestrion.app import open_app
from orchestrion.core import Answer, Datum, RequestStatus, RunFilter, RunStatus, parse
from orchestrion.testing import Process, run_command, start_command, write_served

STEPS = """
document: { dsl: '1.0.3', namespace: examples, name: steps, version: '1.0.0' }
do:
  - first: { set: { large: '${ "x" * 300000 }', number: '${ .number }' } }
  - second: { set: { large: '${ .large }', number: '${ .number }' } }
  - rest: { wait: { milliseconds: 300 } }
  - last: { set: { number: '${ .number }' } }
"""

OPEN = [RunStatus.PENDING, RunStatus.RUNNING, RunStatus.WAITING]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_served(tmp_path / "project")
    (tmp_path / "project" / "workflows" / "steps.yaml").write_text(STEPS)
    return tmp_path / "project"


def command(project: Path, *arguments: str) -> Any:
    result = run_command(*arguments, "--project", str(project), "--json")
    assert result.code == 0, result.said
    return result.json


def url_of(process: Process) -> str:
    line = next(line for line in process.lines() if "Ready at" in line)
    return line.partition("Ready at ")[2].rstrip('"}\n')


def end(process: Process) -> None:
    """Without a chance to end in order."""
    process.kill()
    process.wait()


class Load:
    """Starts runs one after the other until told to stop."""

    def __init__(self, url: str, token: str) -> None:
        self.accepted: list[str] = []
        self.enough, self._stop = threading.Event(), threading.Event()
        self._client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=20)
        self._thread = threading.Thread(target=self._go)
        self._thread.start()

    def _go(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            name = "ask" if number % 3 == 0 else "steps"
            answer = self._client.post("/api/v1/runs", json={"workflow": name, "input": {"number": number}})
            self.accepted.append(answer.json()["id"])
            if number == 40:
                self.enough.set()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()


def test_a_backup_under_load_is_restored_elsewhere_and_its_runs_end(project: Path, tmp_path: Path) -> None:
    command(project, "users", "add", "kim", "--role", "operator")
    token = command(project, "users", "token", "kim")["token"]
    process = start_command("serve", "--port", "0", "--project", str(project))
    load = Load(url_of(process), token)
    try:
        assert load.enough.wait(60)
        before = list(load.accepted)
        taking = start_command("store", "backup", str(tmp_path / "a.backup"), "--project", str(project), "--json")
        out, said = taking.communicate()
        after = list(load.accepted)
    finally:
        load.stop()
        end(process)
    done = cast("Any", parse(out or said))
    assert len(after) > len(before)  # it was taken while runs began
    assert len(before) <= done["runs"] <= len(after) + 1
    assert done["blobs"] > 0

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(project, elsewhere, ignore=shutil.ignore_patterns(".orchestrion"))
    assert command(elsewhere, "store", "restore", str(tmp_path / "a.backup"))["runs"] == done["runs"]
    asyncio.run(finish(elsewhere, before))
    people = command(elsewhere, "users", "list")
    assert [each["name"] for each in people] == ["kim"]


async def finish(project: Path, accepted: Sequence[str]) -> None:
    """Every run comes to its end, those that wait by an answer."""
    async with open_app(project) as app:
        runs = await app.journal.runs(RunFilter(limit=1000))
        assert {run.id for run in runs} >= set(accepted)
        assert {"pending", "running"} & {run.status.value for run in runs}
        async with asyncio.timeout(60):
            async for _ in app.engine.follow(0.1):
                for request in await app.journal.requests(status=RequestStatus.OPEN):
                    said = Answer(verdict="answered", by="ana", at=app.clock.now(), value=Datum({"count": 3}))
                    await app.answer(request, said)
                if not await app.journal.runs(RunFilter(status=OPEN)):
                    break
        ended = await app.journal.runs(RunFilter(limit=1000))
        assert {(run.workflow, run.status.value) for run in ended} == {("ask", "completed"), ("steps", "completed")}


def test_what_an_operator_gets_wrong_is_explained(project: Path, tmp_path: Path) -> None:
    def refused(*arguments: str) -> str:
        result = run_command(*arguments, "--project", str(project), "--json")
        assert result.code == 2, result.said
        return str(cast("Any", result.json)["problem"]["code"])

    file = str(tmp_path / "a.backup")
    assert refused("store", "backup", file) == "store-folder-missing"
    command(project, "run", "hello", "--input", '{"name": "Ana"}')
    command(project, "store", "backup", file)
    assert refused("store", "backup", file) == "backup-exists"
    assert refused("store", "restore", file) == "store-not-empty"
    assert refused("store", "restore", str(tmp_path / "none")) == "not-a-backup"
    process = start_command("serve", "--port", "0", "--project", str(project))
    try:
        url_of(process)
        assert refused("store", "restore", file, "--force") == "store-in-use"
    finally:
        end(process)
    before = command(project, "store", "restore", file, "--force")["before"]
    assert Path(before).is_file()
