"""Runs and approvals over HTTP, against a real server."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from orchestrion.testing import World, served

pytestmark = pytest.mark.anyio

START = {"workflow": "hello", "input": {"name": "Ana"}}


async def test_a_run_is_started_and_seen(world: World) -> None:
    async with world.client("operator") as client:
        answer = await client.post("/api/v1/runs", json=START)
        run = answer.json()
        assert (answer.status_code, run["workflow"], run["subject"]) == (201, "examples/hello", "operator")
        assert await world.settled(run["id"]) == "completed"
        shown = (await client.get(answer.headers["location"])).json()
        assert (shown["status"], shown["input"], shown["output"]) == (
            "completed",
            {"name": "Ana"},
            {"greeting": "Hello, Ana."},
        )
        entries = (await client.get(f"{answer.headers['location']}/entries")).json()
        assert [entry["key"] for entry in entries["entries"]] == ["/do/0/greet#1"]
        place = entries["entries"][0]["place"]
        whole = (await client.get(f"{answer.headers['location']}/entries/{place}")).json()
        assert whole["output"] == {"greeting": "Hello, Ana."}
        assert (await client.get(f"{answer.headers['location']}/entries/7")).json()["code"] == "unknown-entry"


async def test_a_repeated_key_joins_the_run_of_whoever_used_it(world: World) -> None:
    async with world.client("operator") as client, world.client("admin") as other:
        key = {"idempotency-key": "order-17"}
        both = await asyncio.gather(*(client.post("/api/v1/runs", json=START, headers=key) for _ in range(5)))
        assert len({answer.json()["id"] for answer in both}) == 1
        again = await other.post("/api/v1/runs", json=START, headers=key)
        assert again.json()["id"] != both[0].json()["id"]


async def test_a_start_that_cannot_be_says_why(world: World) -> None:
    wrong: dict[str, tuple[int, dict[str, Any]]] = {
        "unknown-workflow": (404, {"workflow": "helo", "input": {}}),
        "schema-mismatch": (422, {"workflow": "hello", "input": {"name": 1}}),
        "unknown-version": (404, {**START, "version": "nothing"}),
        "bad-request": (422, {**START, "inputs": 1}),
    }
    async with world.client("operator") as client:
        for code, (status, body) in wrong.items():
            answer = await client.post("/api/v1/runs", json=body)
            assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
        for content in (
            b"",
            b"{",
            b"[1",
            b'{"workflow": "hello", "input": NaN}',
            b'"\\ud800"',
            b"[" * 100_000,
            b"\xff",
        ):
            answer = await client.post("/api/v1/runs", content=content, headers={"content-type": "application/json"})
            assert answer.status_code in {400, 422}, content[:20]
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get("/api/v1/runs")).json()["runs"] == []


async def test_lists_are_filtered_and_come_in_pages(world: World) -> None:
    async with world.client("operator") as client:
        ids = [(await client.post("/api/v1/runs", json=START)).json()["id"] for _ in range(5)]
        faulted = (await client.post("/api/v1/runs", json={"workflow": "broken"})).json()
        for run_id in [*ids, faulted["id"]]:
            await world.settled(run_id)
        found: list[str] = []
        after = None
        while True:
            query = {"workflow": "hello", "limit": "2", **({"after": after} if after else {})}
            page = (await client.get("/api/v1/runs", params=query)).json()
            found += [run["id"] for run in page["runs"]]
            after = page["next"]
            if after is None:
                break
        assert found == ids[::-1]
        listed = (await client.get("/api/v1/runs", params={"status": "faulted"})).json()["runs"]
        assert [(run["id"], run["problem"]["title"]) for run in listed] == [(faulted["id"], "Broken")]
        several = {"status": ["faulted", "completed"], "workflow": "examples/hello"}
        assert len((await client.get("/api/v1/runs", params=several)).json()["runs"]) == 5
        created = faulted["created_at"]
        since = (await client.get("/api/v1/runs", params={"since": created})).json()["runs"]
        assert [run["id"] for run in since] == [faulted["id"]]
        until = (await client.get("/api/v1/runs", params={"until": "2001-01-01T00:00:00Z"})).json()["runs"]
        assert until == []
        for wrong in ({"after": "x"}, {"status": "ended"}, {"limit": "1000"}, {"since": "yesterday"}):
            assert (await client.get("/api/v1/runs", params=wrong)).status_code in {400, 422}, wrong


async def test_a_run_is_cancelled_retried_and_done_again(world: World) -> None:
    async with world.client("operator") as client:
        waiting = (await client.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
        assert await world.settled(waiting) == "waiting"
        assert (await client.post(f"/api/v1/runs/{waiting}/cancel")).status_code == 200
        assert await world.settled(waiting) == "cancelled"
        again = await client.post(f"/api/v1/runs/{waiting}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "run-ended")

        broken = (await client.post("/api/v1/runs", json={"workflow": "broken"})).json()["id"]
        assert await world.settled(broken) == "faulted"
        assert (await client.post(f"/api/v1/runs/{broken}/retry")).json()["attempt"] == 2
        assert await world.settled(broken) == "faulted"
        fine = (await client.post("/api/v1/runs", json=START)).json()["id"]
        await world.settled(fine)
        assert (await client.post(f"/api/v1/runs/{fine}/retry")).json()["code"] == "not-faulted"

        other = (await client.post(f"/api/v1/runs/{fine}/rerun", json={"input": {"name": "Bo"}})).json()["id"]
        assert await world.settled(other) == "completed"
        assert (await client.get(f"/api/v1/runs/{other}")).json()["output"] == {"greeting": "Hello, Bo."}
        part = await client.post(f"/api/v1/runs/{broken}/rerun", json={"task": "fail"})
        assert part.status_code == 201
        assert (await client.get(f"/api/v1/runs/{part.json()['id']}")).json()["copied_from"] == broken
        both = await client.post(f"/api/v1/runs/{fine}/rerun", json={"task": "greet", "input": {}})
        assert both.json()["code"] == "input-not-taken"


async def test_an_approval_is_answered_once(world: World) -> None:
    async with world.client("approver") as client, world.client("operator") as operator:
        run = (await operator.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
        await world.settled(run)
        (asked,) = (await client.get("/api/v1/approvals")).json()["approvals"]
        assert (asked["title"], asked["run"], asked["role"], asked["status"]) == ("How many?", run, "clerk", "open")
        address = f"/api/v1/approvals/{asked['id']}/answer"
        unfit = (
            ("verdict-unfit", {"verdict": "approved"}),
            ("answer-does-not-fit", {"verdict": "answered", "value": {"count": "many"}}),
            ("binding-changed", {"verdict": "answered", "value": {"count": 3}, "binding": {"arguments": "other"}}),
        )
        for code, body in unfit:
            assert (await client.post(address, json=body)).json()["code"] == code
        said = {"verdict": "answered", "value": {"count": 3}, "reason": "I counted."}
        both = await asyncio.gather(*(client.post(address, json=said) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [200, 409]
        assert await world.settled(run) == "completed"
        assert (await client.get(f"/api/v1/runs/{run}")).json()["output"] == {"counted": 3}
        assert (await client.get("/api/v1/approvals")).json()["approvals"] == []
        (told,) = (await client.get("/api/v1/approvals", params={"run": run})).json()["approvals"]
        assert (told["status"], told["answer"]["by"]) == ("decided", "approver")
        assert (await client.get(f"/api/v1/approvals/{asked['id'][:8]}")).status_code == 404


async def test_who_may_not_decide_in_the_project_may_not_here(tmp_path: Path) -> None:
    async with served(tmp_path / "project"):
        pass
    (tmp_path / "project" / "orchestrion.yaml").write_text(
        "name: test\nroles: [clerk]\nusers: {carla: [clerk], approver: []}\n"
    )
    async with served(tmp_path / "project") as world, world.client("approver") as client, world.client() as admin:
        run = (await admin.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
        await world.settled(run)
        (asked,) = (await client.get("/api/v1/approvals")).json()["approvals"]
        said = {"verdict": "answered", "value": {"count": 3}}
        answer = await client.post(f"/api/v1/approvals/{asked['id']}/answer", json=said)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


async def test_events_come_in_whole_or_in_headers(world: World) -> None:
    async with world.client("operator") as client:
        whole = {"specversion": "1.0", "source": "/shop", "id": "1", "type": "com.example.order", "data": {"n": 1}}
        kind = {"content-type": "application/cloudevents+json; charset=utf-8"}
        first = await client.post("/api/v1/events", json=whole, headers=kind)
        assert (first.status_code, first.json()) == (202, {"source": "/shop", "id": "1", "new": True})
        assert (await client.post("/api/v1/events", json=whole, headers=kind)).json()["new"] is False
        binary = {
            "ce-specversion": "1.0",
            "ce-source": "/shop",
            "ce-id": "2",
            "ce-type": "com.example.order",
            "ce-subject": quote("Größe 5"),
        }
        for number, (content_type, content) in enumerate(
            (("application/json", b'{"n": 2}'), ("text/plain", "für".encode()), ("image/png", b"\x89PNG")), start=2
        ):
            headers = {**binary, "ce-id": str(number), "content-type": content_type}
            assert (await client.post("/api/v1/events", content=content, headers=headers)).status_code == 202
        await world.app.engine.routed()
        await world.app.engine.calm()
        runs = (await client.get("/api/v1/runs", params={"workflow": "heard"})).json()["runs"]
        assert len(runs) == 4
        assert {event["id"] for event in (await client.get("/api/v1/events/received")).json()["events"]} == {
            "1",
            "2",
            "3",
            "4",
        }
        told = await world.app.journal.event("/shop", "2")
        assert told is not None
        body = told.body
        assert isinstance(body, dict)
        assert (body["data"], body["subject"], body["datacontenttype"]) == ({"n": 2}, "Größe 5", "application/json")
        unfit: tuple[Any, ...] = ({"source": "/shop"}, [], {"source": "a b", "type": "x"})
        for wrong in unfit:
            answer = await client.post("/api/v1/events", json=wrong, headers=kind)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad-event")


async def test_versions_are_deployed_and_rolled_back(world: World) -> None:
    async with world.client("editor") as client:
        listed = (await client.get("/api/v1/workflows")).json()["workflows"]
        assert [each["name"].partition("/")[2] for each in listed] == ["ask", "broken", "heard", "hello", "nightly"]
        shown = (await client.get("/api/v1/workflows/examples/hello")).json()
        assert (shown["file"], "greeting" in shown["text"]) == ("workflows/hello.yaml", True)
        done = (await client.post("/api/v1/workflows/examples/hello/deploy", json={"why": "first"})).json()
        assert (done["alias"], done["before"]) == ("production", None)
        versions = (await client.get("/api/v1/versions", params={"workflow": "hello"})).json()["versions"]
        assert [(each["digest"], each["aliases"]) for each in versions] == [(done["version"], ["production"])]
        pair = {"before": "production", "after": "working", "workflow": "hello"}
        assert (await client.get("/api/v1/versions/compare", params=pair)).json()["changes"] == []
        back = await client.post("/api/v1/workflows/examples/hello/rollback", json={})
        assert (back.status_code, back.json()["code"]) == (409, "nothing-before")
        assert (await client.get("/api/v1/rollouts")).json() == {"rollouts": []}
        assert (await client.get("/api/v1/rollouts/0a")).json()["code"] == "unknown-rollout"


async def test_what_else_a_project_has_is_listed(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/api/v1/agents")).json() == {"agents": []}
        assert (await client.get("/api/v1/models")).json() == {"models": [{"name": "default", "provider": "playbook"}]}
        assert (await client.get("/api/v1/sessions")).json() == {"sessions": []}
        assert (await client.get("/api/v1/sessions/nobody")).json()["code"] == "unknown-session"
        assert {user["name"] for user in (await client.get("/api/v1/users")).json()["users"]} >= {"viewer", "admin"}
        (schedule,) = (await client.get("/api/v1/schedules")).json()["schedules"]
        assert (schedule["workflow"], schedule["paused_by"]) == ("examples/nightly", None)
        address = "/api/v1/schedules/examples/nightly"
        assert (await client.post(f"{address}/pause")).json()["paused_by"] == "admin"
        assert (await client.post(f"{address}/pause")).json()["code"] == "schedule-paused"
        assert (await client.post(f"{address}/resume")).json()["paused_by"] is None
        assert (await client.post(f"{address}/fire")).status_code == 201
        figures = (await client.get("/metrics")).text
        assert 'orchestrion_open_runs{status="waiting"} 0' in figures
        assert 'orchestrion_http_requests_total{status="409"} 1' in figures


async def test_people_say_what_they_think_of_a_run(world: World) -> None:
    async with world.client("operator") as client, world.client("viewer") as viewer:
        run = (await client.post("/api/v1/runs", json=START)).json()["id"]
        await world.settled(run)
        place = f"/api/v1/runs/{run}/feedback"
        given = await client.post(place, json={"correction": {"greeting": "Good day, Ana."}, "note": "too short"})
        assert (given.status_code, given.json()["thumb"], given.json()["by"]) == (201, "bad", "operator")
        assert (await client.post(place, json={"correction": {"greting": 1}})).json()[
            "code"
        ] == "correction-fits-nothing"
        assert (await client.post(place, json={})).json()["code"] == "empty-feedback"
        assert (await viewer.post(place, json={"thumb": "good"})).status_code == 403
        told = (await viewer.get(place)).json()["feedback"]
        assert [(each["by"], each["note"]) for each in told] == [("operator", "too short")]


async def test_partners_and_how_everybody_does_are_told(world: World) -> None:
    async with world.client("viewer") as viewer:
        found = {each["name"]: each for each in (await viewer.get("/api/v1/partners")).json()["partners"]}
        assert found["examples/hello"]["text"] == "name"
        assert (await viewer.get("/api/v1/watching", params={"of": "agent"})).json() == {"measures": [], "drift": []}
        assert (await viewer.get("/api/v1/watching", params={"of": "nobody"})).status_code == 422


async def test_runs_are_found_by_the_keys_they_were_started_with(world: World) -> None:
    async with world.client("operator") as client, world.client("viewer") as other:
        started = [
            (await client.post("/api/v1/runs", json=START, headers={"idempotency-key": f"talk/{number}"})).json()
            for number in (1, 2)
        ]
        assert [run["key"] for run in started] == ["talk/1", "talk/2"]
        keys = {"key": ["talk/2", "talk/3", "talk/1"]}
        found = (await client.get("/api/v1/runs", params=keys)).json()["runs"]
        assert [run["id"] for run in found] == [started[1]["id"], started[0]["id"]]
        assert (await other.get("/api/v1/runs", params=keys)).json()["runs"] == []
        assert len((await other.get("/api/v1/runs", params={**keys, "by": "operator"})).json()["runs"]) == 2
