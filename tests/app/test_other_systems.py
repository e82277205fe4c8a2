"""A project that calls other systems: workflows and agents, a service with OpenAPI and an MCP server, under policies."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrion.app import open_app, open_rooms
from orchestrion.core import Entry, Json, Run, RunStatus
from orchestrion.testing import run_command, serving

pytestmark = pytest.mark.anyio

DOCUMENT: Json = {
    "openapi": "3.1.0",
    "info": {"title": "Parcels", "version": "3"},
    "servers": [{"url": "/"}],
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "security": [{"token": []}],
    "paths": {
        "/parcels/{id}": {
            "get": {
                "operationId": "findParcel",
                "summary": "One parcel.",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}},
            }
        }
    },
}

SETTINGS = """
egress: { allow: ['127.0.0.1'] }
secrets: { parcels: { file: secrets/parcels.json } }
mcp:
  office: { url: OFFICE/mcp, trust: true }
"""

WORKFLOW = """
document: { dsl: '1.0.3', namespace: test, name: where-is-it, version: '1.0.0' }
use:
  secrets: [parcels]
  authentications: { parcels: { oauth2: { use: parcels } } }
do:
  - find:
      call: openapi
      with:
        document: { endpoint: 'PARCELS/openapi.json' }
        operationId: findParcel
        parameters: { id: '${ .id }' }
        authentication: { use: parcels }
      export: { as: '${ { parcel: . } }' }
  - count:
      call: mcp
      with:
        method: tools/call
        parameters: { name: stock, arguments: { item: box } }
        transport: { http: { endpoint: 'OFFICE/mcp' } }
  - tell:
      call: agent:1.0.0@default
      with: { agent: desk, input: { message: Where is my parcel?, id: '${ $context.parcel.id }' } }
"""

AGENT = """
name: desk
input:
  type: object
  required: [message, id]
  properties: { message: { type: string }, id: { type: integer } }
tools:
  - openapi:
      document: PARCELS/openapi.json
      include: [findParcel]
      authentication: { oauth2: { use: parcels } }
    bind: { id: input.id }
  - mcp: { server: office, include: [stock] }
playbook:
  rules:
    - { name: look, when: { says: parcel }, call: findParcel }
    - { name: count, when: { done: findParcel }, call: stock, arguments: { item: box } }
    - { name: say, when: { done: stock }, answer: { reply: '{tools.findParcel.state}, {tools.stock.left} left' } }
    - { name: refused, when: { refused: stock }, answer: { reply: 'refused: {refusals.stock.reason}' } }
    - { name: no rule fits, answer: { reply: Sorry. } }
"""

POLICY = """
permit (principal is Workflow, action in [Action::"describe", Action::"http", Action::"mcp", Action::"agent"], resource);
permit (principal is Agent, action in [Action::"model", Action::"describe", Action::"mcp", Action::"findParcel"], resource);
"""
STOCK = """
@id("stock") permit (principal == Agent::"desk", action == Action::"stock", resource is Host);
"""


class Parcels:
    """The service, and who let it in."""

    def __init__(self) -> None:
        self.tokens = 0
        self.asked: list[str] = []

    async def token(self, _: Request) -> Response:
        self.tokens += 1
        return JSONResponse({"access_token": f"t{self.tokens}", "expires_in": 3600})

    async def find(self, request: Request) -> Response:
        self.asked.append(request.headers.get("authorization", ""))
        return JSONResponse({"id": int(request.path_params["id"]), "state": "on its way"})

    async def document(self, _: Request) -> Response:
        return JSONResponse(DOCUMENT)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/oauth2/token", self.token, methods=["POST"]),
                Route("/parcels/{id}", self.find),
                Route("/openapi.json", self.document),
            ]
        )


def office() -> MCPServer:
    server = MCPServer("office", log_level="CRITICAL")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def stock(item: str) -> dict[str, int]:
        """How much is left."""
        return {"left": len(item)}

    assert stock
    return server


@asynccontextmanager
async def project(folder: Path, policy: str = POLICY + STOCK) -> AsyncGenerator[tuple[Path, Parcels]]:
    parcels = Parcels()
    async with serving(parcels.app) as here, serving(office().streamable_http_app()) as there:
        secret = {
            "authority": here,
            "grant": "client_credentials",
            "client": {"id": "desk", "secret": "s3cret-of-the-desk"},
        }
        contents = {
            "orchestrion.yaml": SETTINGS,
            "secrets/parcels.json": json.dumps(secret),
            "workflows/where-is-it.yaml": WORKFLOW,
            "agents/desk.yaml": AGENT,
            "policies/all.cedar": policy,
        }
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("PARCELS", here).replace("OFFICE", there), encoding="utf-8")
        yield folder, parcels


async def run_in(folder: Path) -> tuple[Run, Mapping[str, Entry]]:
    async with open_app(folder) as app:
        run = await app.start(app.checked.shelf.named("where-is-it"), {"id": 7})
        run = await app.engine.settle(run.id)
        return run, {entry.key: entry for entry in await app.journal.entries(run.id)}


async def test_workflows_and_agents_call_other_systems(tmp_path: Path) -> None:
    async with project(tmp_path) as (folder, parcels):
        run, entries = await run_in(folder)
        assert run.status is RunStatus.COMPLETED, run.problem
        assert run.output == {"reply": "on its way, 3 left"}
        assert parcels.asked == ["Bearer t1", "Bearer t1"]
        recorded = (folder / ".orchestrion/orchestrion.db").read_bytes()
    turn = "/do/2/tell#1/turn/0"
    assert [key for key in entries if key.startswith(turn)][:2] == [f"{turn}/offers/0", f"{turn}/offers/1"]
    assert entries[f"{turn}/model/0/tool/0"].subject == "Agent::desk"
    assert cast("Mapping[str, Json]", entries[f"{turn}/model/0/tool/0"].why)["operation"] == "findParcel"
    assert b"s3cret-of-the-desk" not in recorded
    assert b"Bearer t1" not in recorded


async def test_policies_decide_about_each_tool_by_name(tmp_path: Path) -> None:
    async with project(tmp_path, POLICY) as (folder, _):
        run, _ = await run_in(folder)
    assert run.status is RunStatus.COMPLETED, run.problem
    assert str(cast("Mapping[str, Json]", run.output)["reply"]).startswith("refused: ")


async def test_a_project_is_checked_without_asking_anybody(tmp_path: Path) -> None:
    async with project(tmp_path) as (folder, parcels):
        pass
    async with open_rooms(folder) as rooms:
        assert [str(finding) for finding in rooms.checked.findings] == []
    assert parcels.asked == []


async def test_a_run_is_shown_with_what_it_called(tmp_path: Path) -> None:
    async with project(tmp_path) as (folder, _):
        run, _ = await run_in(folder)
    loop = asyncio.get_running_loop()
    shown = await loop.run_in_executor(None, run_command, "runs", "show", run.id, "--project", str(folder))
    assert shown.code == 0, shown
    for word in ("find", "describe", "request", "count", "findParcel", "stock"):
        assert word in shown.out


async def test_a_dry_run_asks_nobody(tmp_path: Path) -> None:
    async with project(tmp_path) as (folder, parcels):
        loop = asyncio.get_running_loop()
        mocks = folder / "mocks.yaml"
        mocks.write_text("find: { output: { id: 7 } }\n")
        arguments = ("run", "where-is-it", "--project", str(folder), "--dry", "--mock", str(mocks), "-i", '{"id": 7}')
        shown = await loop.run_in_executor(None, run_command, *arguments)
        assert shown.code == 0, shown
        assert (parcels.asked, parcels.tokens) == ([], 0)
