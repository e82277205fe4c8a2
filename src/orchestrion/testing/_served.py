"""A real server on a loopback port, over a real project, with somebody of every role."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from orchestrion.app import App, open_app
from orchestrion.server import ROLES, Limits, Place, Serving, serving

HELLO = """
document: { dsl: '1.0.3', namespace: examples, name: hello, version: '1.0.0' }
input: { schema: { document: { type: object, required: [name], properties: { name: { type: string } } } } }
do:
  - greet: { set: { greeting: '${ "Hello, \\(.name)." }' } }
"""
ASK = """
document: { dsl: '1.0.3', namespace: examples, name: ask, version: '1.0.0' }
do:
  - first: { set: { step: 1 } }
  - question:
      call: human:1.0.0@default
      with:
        role: clerk
        title: How many?
        form: { type: object, required: [count], properties: { count: { type: integer } } }
  - last: { set: { counted: '${ .count }' } }
"""
BREAK = """
document: { dsl: '1.0.3', namespace: examples, name: broken, version: '1.0.0' }
do:
  - first: { set: { step: 1 } }
  - fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken } } }
"""
CLOCK = """
document: { dsl: '1.0.3', namespace: examples, name: nightly, version: '1.0.0' }
schedule: { cron: '0 3 * * *' }
do:
  - note: { set: { done: true } }
"""
HEARD = """
document: { dsl: '1.0.3', namespace: examples, name: heard, version: '1.0.0' }
schedule: { on: { one: { with: { type: com.example.order } } } }
do:
  - note: { set: { order: '${ . }' } }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A server and somebody of every role."""

    app: App
    server: Serving
    tokens: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.server.place.url

    def client(self, role: str | None = "admin", **headers: str) -> httpx.AsyncClient:
        given = {"authorization": f"Bearer {self.tokens[role]}"} if role is not None else {}
        return httpx.AsyncClient(base_url=self.url, headers={**given, **headers}, timeout=20)

    async def settled(self, run_id: str) -> str:
        """The status of a run once nothing moves any more."""
        return (await self.app.engine.settle(run_id)).status.value


def write_served(folder: Path) -> None:
    """A project with a few small workflows, unless the folder is there."""
    if folder.exists():
        return
    (folder / "workflows").mkdir(parents=True)
    (folder / "orchestrion.yaml").write_text("name: test\nroles: [clerk]\n")
    for name, text in {"hello": HELLO, "ask": ASK, "broken": BREAK, "nightly": CLOCK, "heard": HEARD}.items():
        (folder / "workflows" / f"{name}.yaml").write_text(text)


@asynccontextmanager
async def served(folder: Path, limits: Limits | None = None, head_s: float = 10) -> AsyncGenerator[World]:
    """The project of a folder, or a new one with a few small workflows: hello, ask, broken, nightly, heard."""
    write_served(folder)
    async with (
        open_app(folder) as app,
        serving(app, Place.bind("127.0.0.1", 0, None), limits=limits, head_s=head_s, drain_s=2) as server,
    ):
        tokens: dict[str, str] = {}
        for role in ROLES:
            await server.accounts.ensure(role, [role], by="test")
            tokens[role] = await server.accounts.issue(role, "token", by="test", lasts_s=3600)
        following = asyncio.ensure_future(_follow(app))
        try:
            yield World(app=app, server=server, tokens=tokens)
        finally:
            following.cancel()


async def _follow(app: App) -> None:
    async for _ in app.engine.follow(0.5):
        pass
