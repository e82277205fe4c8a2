"""How the console's files are served."""

import re
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from orchestrion.server import console_routes
from orchestrion.testing import World

pytestmark = pytest.mark.anyio
PAGE = '<!doctype html><script type="module" src="/assets/index-a1.js"></script>'


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "assets" / "index-a1.js").write_text("console.log(1)")
    (tmp_path / "sources.sha256").write_text("0")
    return tmp_path


def _client(world: World, folder: Path) -> httpx.AsyncClient:
    api = FastAPI(exception_handlers=cast("Any", world.server.site.api.exception_handlers))
    api.state.door = world.server.site.door
    api.include_router(console_routes(folder))
    return httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://127.0.0.1")


@pytest.mark.parametrize("address", ["/", "/runs", "/runs/0", "/approvals", "/approvals/0"])
async def test_the_page_is_at_each_of_its_addresses_and_never_kept(world: World, built: Path, address: str) -> None:
    async with _client(world, built) as client:
        answer = await client.get(address)
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy


async def test_files_are_kept_for_ever_because_their_names_change(world: World, built: Path) -> None:
    async with _client(world, built) as client:
        answer = await client.get("/assets/index-a1.js")
    assert (answer.status_code, answer.text) == (200, "console.log(1)")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("index-b2.js", 404), ("..%2Fsources.sha256", 404), ("..%2findex.html", 404), ("x.html", 422), ("%2e%2e.js", 422)],
)
async def test_nothing_else_is_served(world: World, built: Path, name: str, status: int) -> None:
    async with _client(world, built) as client:
        answer = await client.get(f"/assets/{name}")
    assert answer.status_code == status


async def test_an_installation_without_a_console_says_so(world: World, tmp_path: Path) -> None:
    async with _client(world, tmp_path) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["code"]) == (404, "console-missing")


async def test_no_page_has_a_script_within(world: World) -> None:
    async with world.client(None) as client:
        answer = await client.get("/")
    if answer.status_code == 404:
        pytest.skip("The console is not built: `make console` builds it")
    assert re.findall(r"<script[^>]*>([^<]*)</script>", answer.text) == [""]
    assert not re.search(r"<style| style=| on[a-z]+=", answer.text)
