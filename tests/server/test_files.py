"""Editing a project over HTTP: what is not edited stays as it is, what would break is refused, and new runs get it once deployed."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrion.testing import World

pytestmark = pytest.mark.anyio

HELLO = "/api/v1/files/workflows/hello.yaml"
NEW = """
document: { dsl: '1.0.3', namespace: examples, name: bye, version: '1.0.0' }
do:
  - part: { set: { said: Goodbye } }  # a comment
"""


async def digest(client: httpx.AsyncClient, path: str = HELLO) -> str:
    return (await client.get(path)).json()["digest"]


async def test_a_file_is_made_edited_deployed_and_run(world: World) -> None:
    place = "/api/v1/files/workflows/bye.yaml"
    async with world.client() as client:
        made = await client.put(place, json={"text": NEW})
        assert made.status_code == 200, made.json()
        assert [each for each in made.json()["findings"] if "bye" in each["file"]] == []
        edited = await client.post(
            f"{place}/edits",
            json={
                "digest": made.json()["file"]["digest"],
                "operations": [
                    {"op": "set", "path": "/do/0/part/set/said", "value": "Farewell"},
                    {"op": "rename", "task": "part", "to": "leave"},
                    {"op": "insert", "path": "/do/-", "value": {"last": {"set": {"said": '${ .said + "!" }'}}}},
                ],
            },
        )
        assert edited.status_code == 200, edited.json()
        assert "# a comment" in edited.json()["text"]
        assert "leave: { set: { said: Farewell } }" in edited.json()["text"]
        assert (await client.post("/api/v1/runs", json={"workflow": "examples/bye"})).json()[
            "code"
        ] == "unknown-workflow"
        now = {"workflow": "examples/bye", "version": "working"}
        run = (await client.post("/api/v1/runs", json=now)).json()["id"]
        assert await world.settled(run) == "completed"
        assert (await client.get(f"/api/v1/runs/{run}")).json()["output"] == {"said": "Farewell!"}
        released = await client.post("/api/v1/workflows/examples/bye/deploy", json={"version": "working", "why": "new"})
        assert released.status_code == 200, released.json()
        run = (await client.post("/api/v1/runs", json={"workflow": "examples/bye"})).json()["id"]
        assert await world.settled(run) == "completed"


async def test_whoever_edits_an_old_text_is_told(world: World) -> None:
    async with world.client() as client:
        before = await digest(client)
        change = {"digest": before, "operations": [{"op": "set", "path": "/document/version", "value": "1.0.1"}]}
        both = await asyncio.gather(*(client.post(f"{HELLO}/edits", json=change) for _ in range(2)))
        assert sorted(each.status_code for each in both) == [200, 409]
        assert (await client.put(HELLO, json={"text": "x", "digest": before})).json()["code"] == "document-changed"
        assert (await client.put(HELLO, json={"text": NEW})).json()["code"] == "document-changed"
        assert (await client.delete(HELLO, params={"digest": before})).status_code == 409
        gone = await client.delete(HELLO, params={"digest": await digest(client)})
        assert (gone.status_code, gone.json()["file"]) == (200, None)
        assert (await client.get(HELLO)).status_code == 404


async def test_what_would_break_is_refused_with_its_place_and_nothing_is_written(world: World) -> None:
    file = world.app.project.root / "workflows" / "hello.yaml"
    text = file.read_text()
    async with world.client() as client:
        now = await digest(client)
        wrong: dict[str, list[dict[str, Any]]] = {
            "bad-expression": [{"op": "set", "path": "/do/0/greet/set/greeting", "value": "${ .name + }"}],
            "no-such-place": [{"op": "remove", "path": "/do/7"}],
            "task-exists": [{"op": "rename", "task": "greet", "to": "greet"}],
        }
        for code, operations in wrong.items():
            answer = await client.post(f"{HELLO}/edits", json={"digest": now, "operations": operations})
            assert answer.status_code in {400, 422}, answer.json()
            found = answer.json()
            assert code in {found["code"], *(each["code"] for each in found.get("findings", []))}, found
        broken = (await client.put(HELLO, json={"text": "do: [", "digest": now})).json()
        assert (broken["code"], broken["findings"][0]["file"]) == ("bad-project", "workflows/hello.yaml")
        tried = (await client.put(HELLO, json={"text": "do: [", "digest": now, "dry": True})).json()
        assert (tried["written"], tried["findings"][0]["severity"]) == (False, "error")
    assert file.read_text() == text
    assert sorted(each.name for each in file.parent.iterdir()) == [
        "ask.yaml",
        "broken.yaml",
        "heard.yaml",
        "hello.yaml",
        "nightly.yaml",
    ]


async def test_only_files_of_the_project_are_read_and_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text("secret: 1\n")
    root = world.app.project.root
    (root / "workflows" / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    outside = [
        "../secret.yaml",
        "workflows/../../secret.yaml",
        "workflows/link.yaml",
        ".orchestrion/orchestrion.db",
        "/etc/passwd",
    ]
    async with world.client() as client:
        for path in outside:
            quoted = path.replace("..", "%2e%2e").replace("/", "%2F")
            for at in (f"/api/v1/files/{path}", f"/api/v1/files/{quoted}"):
                found = await client.get(at)
                assert found.status_code in {400, 404}, (at, found.text)
                written = await client.put(at, json={"text": "x: 1\n"})
                assert written.status_code >= 400, (at, written.text)
        for path in (
            "orchestrion.yaml",
            "workflows/hello.txt",
            "workflows/.hidden.yaml",
            "workflows/a/b.yaml",
            "elsewhere/x.yaml",
        ):
            written = await client.put(f"/api/v1/files/{path}", json={"text": "name: other\n"})
            assert written.json()["code"] == "not-editable", path
        listed = (await client.get("/api/v1/files")).json()["files"]
        assert [each["path"] for each in listed if "link" in each["path"]] == []
        assert {"orchestrion.yaml", "workflows/hello.yaml"} <= {each["path"] for each in listed}
    assert (tmp_path / "secret.yaml").read_text() == "secret: 1\n"
    assert (root / "orchestrion.yaml").read_text().startswith("name: test")
