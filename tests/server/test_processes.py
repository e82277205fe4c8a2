"""`orchestrion dev`, `serve` and `users` as processes of their own: they begin, are killed, and end in order."""

import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from orchestrion.core import parse
from orchestrion.testing import Process, run_command, start_command, write_served

READY = re.compile(r"Ready at (http://\S+)")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_served(tmp_path / "project")
    return tmp_path / "project"


def line_with(lines: Iterator[str], pattern: re.Pattern[str]) -> re.Match[str]:
    for line in lines:
        if (found := pattern.search(line)) is not None:
            return found
    raise AssertionError(f"the process ended before it said {pattern.pattern}")


def command(project: Path, *arguments: str) -> Any:
    """What a command prints as JSON."""
    result = run_command(*arguments, "--project", str(project), "--json")
    assert result.code == 0, result.said
    return result.json


def started(project: Path) -> tuple[Process, str, Iterator[str]]:
    process = start_command("serve", "--port", "0", "--project", str(project))
    lines = process.lines()
    return process, line_with(lines, READY)[1].rstrip('"}'), lines


def test_dev_signs_in_whoever_began_it_and_ends_at_ctrl_c(project: Path) -> None:
    process = start_command("dev", "--port", "0", "--as", "lea", "--project", str(project))
    link = line_with(process.lines(), re.compile(r"(http://\S+)/sign-in\?code=(\S+)"))
    with httpx.Client(base_url=link[1], headers={"origin": link[1]}) as client:
        assert client.post("/sign-in", data={"code": link[2]}).status_code == 303
        assert client.get("/api/v1/me").json() == {"name": "lea", "roles": ["admin"]}
        assert client.post("/api/v1/runs", json={"workflow": "ask"}).status_code == 201
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.poll(), out, "Traceback" in err) == (0, "", False)


def test_users_are_added_beside_a_server_that_runs(project: Path) -> None:
    process, url, _ = started(project)
    try:
        added = command(project, "users", "add", "kim", "--role", "operator", "--url", url)
        assert added["link"].startswith(f"{url}/sign-in?code=link_")
        token = command(project, "users", "token", "kim", "--label", "shop")["token"]
        bearer = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/api/v1/me", headers=bearer).json() == {"name": "kim", "roles": ["operator"]}
        (listed,) = command(project, "users", "list")
        assert (listed["name"], [each["label"] for each in listed["tokens"]]) == ("kim", ["shop"])
        assert token.rpartition("_")[2] not in str(listed)
        database = (project / ".orchestrion" / "orchestrion.db").read_bytes()
        wal = project / ".orchestrion" / "orchestrion.db-wal"
        assert token[-43:].encode() not in database + (wal.read_bytes() if wal.exists() else b"")
        command(project, "users", "remove", "kim")
        assert httpx.get(f"{url}/api/v1/me", headers=bearer).status_code == 401
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("users", "add", "a b"), "bad-user-name"),
        (("users", "add", "kim", "--role", "king"), "unknown-role"),
        (("users", "remove", "kim"), "unknown-user"),
        (("users", "token", "kim"), "unknown-user"),
    ],
)
def test_users_that_cannot_be_are_explained(project: Path, arguments: tuple[str, ...], code: str) -> None:
    result = run_command(*arguments, "--project", str(project), "--json")
    assert (result.code, cast("Any", result.json)["problem"]["code"]) == (2, code)


def test_a_port_in_use_names_the_way_out(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run_command("dev", "--port", str(port), "--project", str(project))
    assert result.code == 2
    assert "port-in-use" in result.said
    assert f"--port {port + 1}" in result.said


def test_addresses_that_others_reach_need_a_name(project: Path) -> None:
    result = run_command("serve", "--host", "0.0.0.0", "--project", str(project))
    assert result.code == 2
    assert "not-loopback" in result.said


def test_serve_ends_in_order_and_logs_in_json_with_run_ids(project: Path) -> None:
    command(project, "users", "add", "kim", "--role", "operator")
    token = command(project, "users", "token", "kim")["token"]
    process, url, lines = started(project)
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=20) as client:
        run = client.post("/api/v1/runs", json={"workflow": "ask"}).json()["id"]
        with client.stream("GET", "/api/v1/events") as stream:
            told = stream.iter_lines()
            assert next(told)
            process.send_signal(signal.SIGTERM)
            assert list(told)[-1] == ""
    logged = [cast("dict[str, Any]", parse(line)) for line in lines]
    assert process.wait() == 0
    assert all({"at", "level", "message"} <= line.keys() for line in logged)
    assert logged[-1]["message"] == "Stopped"
    assert any(line.get("run") == run for line in logged)


def test_every_start_that_was_accepted_ends_once_although_the_server_is_killed(project: Path) -> None:
    command(project, "users", "add", "kim", "--role", "operator")
    token = command(project, "users", "token", "kim")["token"]
    headers = {"authorization": f"Bearer {token}"}
    accepted: dict[str, str] = {}
    for round_ in range(3):
        process, url, _ = started(project)
        with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            for number in range(30):
                key = f"{round_}-{number}"
                answer = client.post(
                    "/api/v1/runs",
                    json={"workflow": "hello", "input": {"name": key}},
                    headers={"idempotency-key": key},
                )
                accepted[key] = answer.json()["id"]
        process.kill()
        process.wait()
    process, url, _ = started(project)
    with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
        for key, run in accepted.items():
            again = client.post(
                "/api/v1/runs", json={"workflow": "hello", "input": {"name": key}}, headers={"idempotency-key": key}
            )
            assert again.json()["id"] == run
            with client.stream("GET", f"/api/v1/runs/{run}/events") as stream:
                assert "event: end" in list(stream.iter_lines())
        done = client.get("/api/v1/runs", params={"workflow": "hello", "limit": 200}).json()["runs"]
    process.kill()
    assert {each["id"] for each in done} == set(accepted.values())
    assert {each["status"] for each in done} == {"completed"}
