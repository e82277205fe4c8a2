"""What strangers, and friends with the wrong role, try."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.routing import BaseRoute

from orchestrion.server import GRANTED, PUBLIC, ROLES, SIGNED, Limits
from orchestrion.server._identity import GuardedRoute
from orchestrion.server._problems import STATUS
from orchestrion.testing import World, served

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """A route as somebody calls it."""

    operation: str
    methods: set[str]
    path: str


def entrances(world: World) -> list[Entrance]:
    return list(_flat(world.server.site.api.routes, ""))


def _flat(routes: Sequence[BaseRoute], prefix: str) -> Iterator[Entrance]:
    """With those of included routers. A route of another class looks at nobody."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _flat(included.routes, prefix + getattr(route, "include_context").prefix)  # noqa: B009  private types
            continue
        assert isinstance(route, GuardedRoute), route
        filled = re.sub(r"\{place\}", "1", prefix + route.path)
        path = re.sub(r"\{(\w+)(?::path)?\}", r"\1", filled)
        yield Entrance(operation=route.operation_id or "", methods=set(route.methods or ()), path=path)


async def test_every_route_stands_in_the_table(world: World) -> None:
    operations = [entrance.operation for entrance in entrances(world)]

    assert len(operations) == len(set(operations))
    assert set(operations) == set(GRANTED) | PUBLIC | SIGNED
    assert not (set(GRANTED) | SIGNED) & PUBLIC
    assert not set(GRANTED) & SIGNED


async def test_every_route_refuses_who_is_not_recognised(world: World) -> None:
    wrong = {
        "none": {},
        "unknown": {"authorization": f"Bearer orc_{'0' * 12}_{'A' * 43}"},
        "not ours": {"authorization": "Bearer abc"},
        "basic": {"authorization": "Basic YTpi"},
        "a cookie": {"cookie": f"orchestrion_{world.server.place.port}=session_{'0' * 12}_{'A' * 43}"},
    }
    async with world.client(None) as client:
        for route in entrances(world):
            for headers in wrong.values():
                for method in route.methods:
                    if route.operation not in PUBLIC | SIGNED:
                        answer = await client.request(method, route.path, headers=headers, content=b"{")
                        assert answer.status_code == 401, (route.path, headers)
                        assert answer.headers["content-type"] == "application/problem+json"
                        assert answer.json()["code"] == "sign-in-required"


async def test_every_route_refuses_roles_that_were_not_granted_it(world: World) -> None:
    def has(role: str, granted: tuple[str, ...]) -> bool:
        return role in granted or any(has(other, granted) for other in ROLES[role])

    refused = 0
    for role in ROLES:
        async with world.client(role) as client:
            for route in entrances(world):
                granted = tuple(GRANTED.get(route.operation, ()))
                if route.operation in PUBLIC | SIGNED or has(role, granted):
                    continue
                for method in route.methods:
                    answer = await client.request(method, route.path, content=b"{")
                    assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted"), (role, route.path)
                    refused += 1
    assert refused > 10


async def test_who_was_removed_is_out_at_once(world: World) -> None:
    async with world.client("operator") as client:
        assert (await client.get("/api/v1/me")).json() == {"name": "operator", "roles": ["operator"]}
        await world.server.accounts.remove("operator")
        assert (await client.get("/api/v1/me")).status_code == 401


@asynccontextmanager
async def signed_in(world: World, name: str = "admin") -> AsyncGenerator[httpx.AsyncClient]:
    link = urlsplit(await world.server.sign_in_link(name, by="test", lasts_s=60))
    async with world.client(None) as client:
        page = await client.get(f"{link.path}?{link.query}")
        assert 'name="code"' in page.text
        form = {"code": parse_qs(link.query)["code"][0]}
        answer = await client.post("/sign-in", data=form, headers={"origin": world.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        yield client


async def test_a_link_signs_in_once(world: World) -> None:
    code = await world.server.accounts.issue("admin", "link", by="test", lasts_s=60)
    old = await world.server.accounts.issue("admin", "link", by="test", lasts_s=-1)
    session = await world.server.accounts.issue("admin", "session", by="test", lasts_s=60)
    async with world.client(None, origin=world.url) as client:
        both = await asyncio.gather(*(client.post("/sign-in", data={"code": code}) for _ in range(2)))
        assert sorted(answer.status_code for answer in both) == [303, 401]
        for other in (code, old, session, "x", ""):
            answer = await client.post("/sign-in", data={"code": other})
            assert (answer.status_code, answer.json()["code"]) == (401, "link-used")


async def test_pages_of_other_sites_change_nothing(world: World) -> None:
    async with signed_in(world) as client:
        assert (await client.get("/api/v1/me")).json()["name"] == "admin"
        start = {"workflow": "hello", "input": {"name": "Eve"}}
        foreign: tuple[dict[str, str], ...] = (
            {"sec-fetch-site": "cross-site", "origin": world.url},
            {"sec-fetch-site": "same-site", "origin": world.url},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": f"{world.url}.evil.example"},
            {},
        )
        for headers in foreign:
            answer = await client.post("/api/v1/runs", json=start, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "cross-site"), headers
            code = await world.server.accounts.issue("viewer", "link", by="test", lasts_s=60)
            answer = await client.post("/sign-in", data={"code": code}, headers=headers)
            assert answer.status_code == 403, headers
        assert (await client.get("/api/v1/runs")).json()["runs"] == []
        own = {"sec-fetch-site": "same-origin", "origin": world.url}
        assert (await client.post("/api/v1/runs", json=start, headers=own)).status_code == 201
        answer = await client.options("/api/v1/runs", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers


async def test_signing_out_ends_a_session_and_revokes_a_token(world: World) -> None:
    async with signed_in(world) as client, world.client("viewer") as program:
        assert (await client.post("/api/v1/sign-out", headers={"origin": world.url})).status_code == 204
        assert (await client.get("/api/v1/me")).status_code == 401
        assert (await program.post("/api/v1/sign-out")).status_code == 204
        assert (await program.get("/api/v1/me")).status_code == 401


async def test_a_name_that_somebody_elses_dns_points_here_is_refused(world: World) -> None:
    port = world.server.place.port
    async with world.client() as client:
        for host in (
            "evil.example",
            f"evil.example:{port}",
            f"127.0.0.1.evil.example:{port}",
            f"localhost.:{port}",
            "",
        ):
            answer = await client.get("/api/v1/runs", headers={"host": host})
            assert (answer.status_code, answer.json()["code"]) == (421, "foreign-host"), host
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST"):
            assert (await client.get("/api/v1/runs", headers={"host": host})).status_code == 200, host


async def raw(world: World, sent: bytes, wait_s: float = 5) -> bytes:
    """What comes back until the server closes, or nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.place.port)
    writer.write(sent)
    await writer.drain()
    try:
        return await asyncio.wait_for(reader.read(), wait_s)
    finally:
        writer.close()


async def test_requests_that_are_two_at_once_are_refused(world: World) -> None:
    host = f"Host: 127.0.0.1:{world.server.place.port}\r\n"
    close = "Connection: close\r\n"
    smuggled = (
        f"GET /health HTTP/1.1\r\n{host}Host: evil.example\r\n{close}\r\n",
        f"POST /api/v1/runs HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n{close}\r\nabcdef",
        f"GET /health HTTP/1.1\r\n{host}X: a\x00b\r\n{close}\r\n",
        f"GET /health HTTP/1.1\r\n{host} folded\r\n{close}\r\n",
        f"GET /health\r\n{host}{close}\r\n",
        f"GET /health HTTP/1.1\r\n{host}X: {'a' * 100_000}\r\n{close}\r\n",
        f"GET /health HTTP/1.1\r\n{close}\r\n",
    )
    for sent in smuggled:
        answer = await raw(world, sent.encode("latin-1"))
        assert int(answer.split(b" ", 2)[1]) in {400, 421, 431}, sent
    well = await raw(world, f"GET /health HTTP/1.1\r\n{host}{close}\r\n".encode())
    assert well.startswith(b"HTTP/1.1 200")


async def test_paths_lead_nowhere_else(world: World) -> None:
    async with world.client() as client:
        for path in (
            "/../../etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/api/v1/runs/..%2f..%2fetc",
            "/api/v1//runs",
            "/api/v1/runs/",
            "/API/v1/runs",
            "/api/v1/runs/%00",
            "/api/v1/runs/" + "a" * 5000,
            "/api/v1/runs/%0d%0aset-cookie:%20a=b",
            "//evil.example/api/v1/runs",
            "/api/v1/runs;x=y",
        ):
            answer = await client.get(httpx.URL(world.url).copy_with(raw_path=path.encode()))
            assert answer.status_code == 404, path
            assert "set-cookie" not in answer.headers
            assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_sent_does_not_become_a_header(world: World) -> None:
    evil = "x\r\nSet-Cookie: a=b"
    async with world.client() as client:
        answer = await client.post("/api/v1/runs", json={"workflow": evil})
        assert answer.status_code == 404
        assert "set-cookie" not in answer.headers
        page = await client.get("/sign-in", params={"code": '"><script>alert(1)</script>' + evil})
        assert "<script>" not in page.text
        assert "set-cookie" not in page.headers
        assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_bodies_that_are_too_large_are_not_read(tmp_path: Path) -> None:
    async with served(tmp_path / "project", Limits(body_bytes=10_000)) as world, world.client() as client:
        large = json.dumps({"workflow": "hello", "input": {"name": "x" * 20_000}}).encode()

        async def pieces() -> AsyncGenerator[bytes]:
            for at in range(0, len(large), 1000):
                yield large[at : at + 1000]

        for content in (large, pieces()):
            answer = await client.post("/api/v1/runs", content=content, headers={"content-type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
        assert (await client.get("/api/v1/runs")).json()["runs"] == []


async def test_who_sends_slowly_is_not_waited_for(tmp_path: Path) -> None:
    async with served(tmp_path / "project", Limits(body_s=0.3), head_s=0.3) as world:
        port = world.server.place.port
        token = world.tokens["admin"]
        nothing = await raw(world, b"")
        half = await raw(world, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert (nothing, half) == (b"", b"")
        head = f"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nContent-Length: 50\r\nContent-Type: application/json\r\n\r\n"
        slow = await raw(world, head.encode() + b"{")
        assert slow.startswith(b"HTTP/1.1 408")


async def test_many_silent_connections_keep_nobody_out(tmp_path: Path) -> None:
    async with served(tmp_path / "project", head_s=0.5) as world:
        silent = [socket.create_connection(("127.0.0.1", world.server.place.port)) for _ in range(300)]
        async with world.client() as client:
            assert (await client.get("/api/v1/runs")).status_code == 200
        for each in silent:
            each.close()


async def test_more_requests_than_are_taken_get_told_when_to_come_back(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "project", Limits(at_once=1)) as world,
        world.client() as client,
        client.stream("GET", "/api/v1/events"),
    ):
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()["code"]) == (429, "too-busy")
        assert int(answer.headers["retry-after"]) >= 1


def test_every_code_with_a_status_of_its_own_exists() -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()
    unseen = {"answer-does-not-fit"}  # raised by a function that is given it, which the reference does not see
    assert {code for code in STATUS if f"\n## {code}\n" not in reference} == unseen
