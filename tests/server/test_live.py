"""Streams: what a run and a project tell as it happens, and to whoever comes back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from orchestrion.core import parse
from orchestrion.server import Limits
from orchestrion.testing import World, served
from orchestrion.testing.openai_server import OpenAIServer, Streams

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of a stream."""

    kind: str
    id: str
    content: dict[str, Any]


async def read(answer: httpx.Response) -> AsyncGenerator[Told]:
    kind = id_ = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        match name:
            case "event":
                kind = value
            case "id":
                id_ = value
            case "data":
                yield Told(kind=kind, id=id_, content=cast("dict[str, Any]", parse(value)))
            case _:
                pass


@asynccontextmanager
async def stream(
    client: httpx.AsyncClient, address: str, last: str | None = None
) -> AsyncGenerator[AsyncGenerator[Told]]:
    headers = {"last-event-id": last} if last is not None else {}
    async with client.stream("GET", address, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        async with aclosing(read(answer)) as events:
            yield events


async def until(events: AsyncGenerator[Told], kind: str, **wanted: object) -> list[Told]:
    """Events up to the first of a kind with such contents."""
    found: list[Told] = []
    async with asyncio.timeout(20):
        async for each in events:
            found.append(each)
            if each.kind == kind and wanted.items() <= each.content.items():
                return found
    raise AssertionError(f"the stream ended before {kind} {wanted}: {found}")


def keys(told: list[Told]) -> list[tuple[str, str]]:
    return [(each.content["key"], each.content["status"]) for each in told if each.kind == "entry"]


async def test_a_run_is_told_from_its_beginning_to_its_end(world: World) -> None:
    async with world.client() as client:
        run = (await client.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
        async with stream(client, f"/api/v1/runs/{run}/events") as events:
            begun = await until(events, "run", status="waiting")
            assert begun[0].kind == "reset"
            assert keys(begun) == [("/do/0/first#1", "completed"), ("/do/1/question#1/answer", "intent")]
            (asked,) = (await client.get("/api/v1/approvals")).json()["approvals"]
            said = {"verdict": "answered", "value": {"count": 3}}
            await client.post(f"/api/v1/approvals/{asked['id']}/answer", json=said)
            rest = await until(events, "end", status="completed")
            assert keys(rest) == [("/do/1/question#1/answer", "completed"), ("/do/2/last#1", "completed")]
        async with stream(client, f"/api/v1/runs/{run}/events") as events:
            whole = await until(events, "end")
            assert keys(whole) == [("/do/0/first#1", "completed"), *keys(rest)]


async def test_who_comes_back_goes_on_where_it_was(world: World) -> None:
    async with world.client() as client:
        run = (await client.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
        address = f"/api/v1/runs/{run}/events"
        async with stream(client, address) as events:
            slept_at = (await until(events, "run", status="waiting"))[-1].id
        (asked,) = (await client.get("/api/v1/approvals")).json()["approvals"]
        said = {"verdict": "answered", "value": {"count": 3}}
        await client.post(f"/api/v1/approvals/{asked['id']}/answer", json=said)
        await world.settled(run)
        async with stream(client, address, slept_at) as events:
            rest = await until(events, "end")
        assert keys(rest) == [("/do/1/question#1/answer", "completed"), ("/do/2/last#1", "completed")]
        async with stream(client, address, rest[-1].id) as events:
            assert keys(await until(events, "end")) == []
        for unknown in ("x", "9.9", "1.-5,3", "1.0,"):
            async with stream(client, address, unknown) as events:
                assert len(keys(await until(events, "end"))) == 3


async def test_a_run_that_is_tried_again_is_told_anew(world: World) -> None:
    async with world.client() as client:
        run = (await client.post("/api/v1/runs", json={"workflow": "broken"})).json()["id"]
        await world.settled(run)
        address = f"/api/v1/runs/{run}/events"
        async with stream(client, address) as events:
            first = await until(events, "end", status="faulted")
        await client.post(f"/api/v1/runs/{run}/retry")
        await world.settled(run)
        async with stream(client, address, first[-1].id) as events:
            again = await until(events, "end", status="faulted")
        assert (again[0].kind, again[0].content) == ("reset", {"attempt": 2})
        assert any(key.startswith("/retry") for key, _ in keys(again))


async def test_a_project_tells_of_its_runs_and_of_what_waits(world: World) -> None:
    async with world.client() as client:
        async with stream(client, "/api/v1/events") as events:
            begin = await until(events, "reset")
            run = (await client.post("/api/v1/runs", json={"workflow": "ask"})).json()["id"]
            told = await until(events, "approval", run=run, status="open")
            assert {each.content["id"] for each in told if each.kind == "run"} == {run}
        (asked,) = (await client.get("/api/v1/approvals")).json()["approvals"]
        said = {"verdict": "answered", "value": {"count": 3}}
        await client.post(f"/api/v1/approvals/{asked['id']}/answer", json=said)
        await world.settled(run)
        async with stream(client, "/api/v1/events", told[-1].id) as events:
            missed = await until(events, "run", id=run, status="completed")
            assert "reset" not in [each.kind for each in missed]
        async with stream(client, "/api/v1/events", begin[-1].id) as events:
            whole = await until(events, "run", id=run, status="completed")
            assert [each.kind for each in whole].count("approval") >= 1
        other = f"{'0' * 12}.1"
        async with stream(client, "/api/v1/events", other) as events:
            assert (await until(events, "reset"))[0].content == {"reason": "too long ago"}


async def test_who_reads_nothing_slows_no_run(world: World) -> None:
    async with world.client() as client, world.client() as slow, slow.stream("GET", "/api/v1/events"):
        runs = [
            (await client.post("/api/v1/runs", json={"workflow": "hello", "input": {"name": "x" * 5000}})).json()["id"]
            for _ in range(200)
        ]
        for run in runs:
            assert await world.settled(run) == "completed"


async def test_a_flood_of_streams_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with served(tmp_path / "project", Limits(streams=3)) as world, world.client() as client:
        open_ = [client.stream("GET", "/api/v1/events") for _ in range(3)]
        for each in open_:
            assert (await each.__aenter__()).status_code == 200
        async with asyncio.timeout(10):
            refused = await client.get("/api/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too-busy")
        assert (await client.get("/api/v1/runs")).status_code == 200
        for each in open_:
            await each.__aexit__(None, None, None)


async def test_who_is_removed_hears_no_more(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "project", Limits(heartbeat_s=0.1)) as world,
        world.client("viewer") as client,
        asyncio.timeout(20),
        client.stream("GET", "/api/v1/events") as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if line == ": still here":
                break
        await world.server.accounts.remove("viewer")
        assert len([line async for line in lines if line]) < 10


async def test_a_server_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async with served(tmp_path / "project") as world:
        client = world.client()
        context = client.stream("GET", "/api/v1/events")
        answer = await context.__aenter__()
        reading = asyncio.ensure_future(answer.aread())
        world.server.site.drain()
        async with asyncio.timeout(10):
            assert b"event: reset" in await reading
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/health")).status_code == 200
        await context.__aexit__(None, None, None)
        await client.aclose()


async def test_what_is_said_before_a_run_is_followed_is_kept_for_whoever_said_they_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    folder = tmp_path / "project"
    async with OpenAIServer([Streams(["Once ", "upon ", "a time"], stalls=True)]) as model:
        for name, text in {
            "orchestrion.yaml": f"egress: {{ allow: ['127.0.0.1'] }}\nmodels: {{ pen: {{ provider: openai:test, base_url: '{model.base_url}' }} }}\n",
            "agents/writer.yaml": "name: writer\nmodel: pen\n",
            "policies/all.cedar": "permit (principal, action, resource);\n",
        }.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(text)
        async with served(folder) as world, world.client("operator") as client:
            given: dict[str, Any] = {"workflow": "agents/writer", "input": {"input": {}}, "followed": True}
            with world.app.listen() as other:
                run = (await client.post("/api/v1/runs", json=given)).json()["id"]
                async with asyncio.timeout(20):
                    async for chunk in other:
                        if chunk.text == "a time":
                            break
            async with stream(client, f"/api/v1/runs/{run}/events") as events:
                heard = await until(events, "chunk", text="a time")
            assert "".join(each.content["text"] for each in heard if each.kind == "chunk") == "Once upon a time"
            async with stream(client, f"/api/v1/runs/{run}/events") as events:
                assert all(each.kind != "chunk" for each in await until(events, "run"))
            await client.post(f"/api/v1/runs/{run}/cancel")
