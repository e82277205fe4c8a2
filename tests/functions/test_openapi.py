"""`call: openapi` against a service of our own: its document, its operations, what stands in the record."""

import base64
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestrion.core import (
    Entry,
    EntryStatus,
    Json,
    Run,
    RunStatus,
    SystemClock,
)
from orchestrion.egress import Egress
from orchestrion.engine import DryRun, Mock
from orchestrion.expressions import Expressions
from orchestrion.functions import Describe, HttpFunction, OpenApi, Tokens
from orchestrion.journal import MemoryJournal
from orchestrion.testing import (
    CrashingJournal,
    Moment,
    Stage,
    interpreting,
    read_document,
    run_of,
    serving,
    walk_document,
)

pytestmark = pytest.mark.anyio

DOCUMENT = """
openapi: 3.1.0
info: { title: Parcels, version: '3' }
servers: [{ url: /api }]
components:
  securitySchemes: { key: { type: apiKey, in: header, name: X-Parcel-Key } }
  schemas:
    Parcel:
      type: object
      required: [weight]
      properties: { id: { type: string, readOnly: true }, weight: { type: number, exclusiveMinimum: 0 } }
paths:
  /parcels/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
    get:
      operationId: findParcel
      parameters: [{ name: fields, in: query, explode: false, schema: { type: array, items: { type: string } } }]
      responses: { 200: { content: { application/json: { schema: { $ref: '#/components/schemas/Parcel' } } } } }
  /parcels:
    post:
      operationId: sendParcel
      security: [{ key: [] }]
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: '#/components/schemas/Parcel' } } }
      responses: { 201: { description: sent } }
  /labels:
    post:
      operationId: printLabel
      requestBody:
        content:
          multipart/form-data:
            schema: { type: object, properties: { text: { type: string }, logo: { type: string, format: binary } } }
      responses: { 200: { description: printed } }
  /moved:
    get: { operationId: moved, responses: { 200: { description: here } } }
"""


@dataclass
class Shop:
    """The service, and what it received."""

    url: str = ""
    documents: int = 0
    gone: bool = False
    received: list[tuple[str, str, Mapping[str, str], bytes]] = field(
        default_factory=list[tuple[str, str, Mapping[str, str], bytes]]
    )
    answer: Json = field(default_factory=lambda: {"id": "P-1", "weight": 2.5})

    async def document(self, _: Request) -> Response:
        self.documents += 1
        if self.gone:
            return Response(status_code=410)
        return PlainTextResponse(DOCUMENT, media_type="application/yaml")

    async def serve(self, request: Request) -> Response:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.received.append((request.method, path, dict(request.headers), await request.body()))
        if path == "/api/moved":
            return RedirectResponse("/api/parcels/P-2")
        return JSONResponse(self.answer, 201 if request.method == "POST" else 200)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/openapi.yaml", self.document),
                Route("/api/{rest:path}", self.serve, methods=["GET", "POST"]),
            ]
        )


class Vault:
    def get(self, name: str) -> Json:
        return f"value of {name}"


@pytest.fixture
async def shop() -> AsyncGenerator[Shop]:
    started = Shop()
    async with serving(started.app) as url:
        started.url = url
        yield started


@asynccontextmanager
async def staged(root: Path | None = None, allow: tuple[str, ...] = ("127.0.0.1",)) -> AsyncGenerator[Stage]:
    async with Egress(allow) as egress:
        tokens = Tokens(egress)
        describe = Describe(egress, tokens, SystemClock(), root=root)
        yield Stage(functions=(HttpFunction(egress, tokens), describe, OpenApi()), secrets=Vault())


HEAD = "document: { dsl: '1.0.3', namespace: test, name: parcels, version: '1.0.0' }\nuse: { secrets: [PARCELS] }\n"


def workflow(document: str, operation: str, **more: str) -> str:
    given = "".join(f"        {name}: {value}\n" for name, value in more.items())
    return (
        f"{HEAD}do:\n  - it:\n      call: openapi\n      with:\n        document: {{ endpoint: '{document}' }}\n"
        f"        operationId: {operation}\n{given}"
    )


async def walked(text: str, root: Path | None = None, value: Json = None) -> tuple[Run, Mapping[str, Entry]]:
    journal = MemoryJournal(SystemClock())
    async with staged(root) as stage, Expressions() as expressions:
        run = await walk_document(read_document(text), value, journal=journal, stage=stage, evaluator=expressions)
    return run, {entry.key: entry for entry in await journal.entries(run.id)}


def problem(run: Run) -> Mapping[str, Json]:
    assert run.status is RunStatus.FAULTED
    return cast("Mapping[str, Json]", run.problem)


async def test_an_operation_is_found_called_and_recorded(shop: Shop) -> None:
    text = workflow(f"{shop.url}/openapi.yaml", "findParcel", parameters="{ id: 'P 1', fields: [id, weight] }")
    run, entries = await walked(text)
    assert run.output == {"id": "P-1", "weight": 2.5}
    assert [(method, path) for method, path, *_ in shop.received] == [("GET", "/api/parcels/P 1?fields=id,weight")]
    described, requested = entries["/do/0/it#1/describe"], entries["/do/0/it#1/request"]
    told = cast("Mapping[str, Json]", requested.why)
    assert cast("Mapping[str, Json]", described.why)["api"] == "Parcels 3"
    assert told["document"] == cast("Mapping[str, Json]", described.why)["document"]
    assert (told["operation"], told["status"], "unexpected" in told) == ("findParcel", 200, False)


async def test_an_address_may_be_a_template(shop: Shop) -> None:
    text = workflow(shop.url + "/{file}", "findParcel", parameters="{ id: '${ .id }' }")
    run, _ = await walked(text, value={"file": "openapi.yaml", "id": "P-7"})
    assert run.status is RunStatus.COMPLETED
    assert shop.received[0][1] == "/api/parcels/P-7"


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "words"),
    [
        ("findParcels", "{}", "unknown-operation", "Did you mean 'findParcel'"),
        ("findParcel", "{}", "bad-operation-arguments", "id is missing. Nothing was sent."),
        ("findParcel", "{ id: a, fieds: [x] }", "bad-operation-arguments", "fieds is not expected here"),
        ("sendParcel", "{ body: { weight: 0 } }", "bad-operation-arguments", "body.weight must be more than 0"),
        ("sendParcel", "{ body: {} }", "bad-operation-arguments", "body.weight is missing"),
        ("findParcel", "{ id: '..' }", "bad-argument", "part of the path"),
    ],
)
async def test_what_does_not_fit_is_not_sent(
    shop: Shop, operation: str, parameters: str, code: str, words: str
) -> None:
    run, _ = await walked(workflow(f"{shop.url}/openapi.yaml", operation, parameters=parameters))
    told = problem(run)
    assert told["code"] == code
    assert words in f"{told['detail']} {told.get('hint')}"
    assert told["instance"] == "/do/0/it"
    assert shop.received == []


async def test_a_key_goes_where_the_document_wants_it_and_never_into_the_record(shop: Shop) -> None:
    text = workflow(
        f"{shop.url}/openapi.yaml",
        "sendParcel",
        parameters="{ body: { weight: 2 } }",
        authentication="{ bearer: { use: PARCELS } }",
        output="response",
    )
    run, entries = await walked(text)
    assert run.status is RunStatus.COMPLETED, run.problem
    assert shop.received[0][2]["x-parcel-key"] == "value of PARCELS"
    assert shop.received[0][2]["idempotency-key"]
    assert "value of PARCELS" not in str(run.output) + str(entries)
    shown = cast("Mapping[str, Mapping[str, Mapping[str, str]]]", run.output)["request"]["headers"]
    assert shown["x-parcel-key"] == "[redacted]"


async def test_a_file_travels_as_multipart(shop: Shop) -> None:
    logo = base64.b64encode(b"\x00\x01logo").decode()
    text = workflow(f"{shop.url}/openapi.yaml", "printLabel", parameters=f"{{ body: {{ text: Hi, logo: {logo} }} }}")
    run, _ = await walked(text)
    assert run.status is RunStatus.COMPLETED, run.problem
    _, _, headers, body = shop.received[0]
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="logo"; filename="logo"' in body
    assert b"\x00\x01logo" in body


async def test_an_answer_that_breaks_its_promise_is_used_and_reported(shop: Shop) -> None:
    shop.answer = {"id": 7, "weight": "heavy"}
    run, entries = await walked(workflow(f"{shop.url}/openapi.yaml", "findParcel", parameters="{ id: a }"))
    assert run.output == {"id": 7, "weight": "heavy"}
    why = cast("Mapping[str, Json]", entries["/do/0/it#1/request"].why)
    assert why["unexpected"] == ["id must be text", "weight must be a number"]


async def test_redirects_are_errors_unless_wished(shop: Shop) -> None:
    run, _ = await walked(workflow(f"{shop.url}/openapi.yaml", "moved"))
    assert problem(run)["code"] == "http-redirected"
    run, _ = await walked(workflow(f"{shop.url}/openapi.yaml", "moved", redirect="true"))
    assert run.output == shop.answer


async def test_a_document_of_the_project_needs_no_network(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "apis").mkdir()
    (tmp_path / "apis/parcels.yaml").write_text(DOCUMENT.replace("url: /api", f"url: {shop.url}/api"))
    run, _ = await walked(workflow("apis/parcels.yaml", "findParcel", parameters="{ id: a }"), tmp_path)
    assert run.output == shop.answer
    assert shop.documents == 0


@pytest.mark.parametrize("place", ["gone.yaml", "../outside.yaml"])
async def test_only_files_of_the_project_are_read(place: str, tmp_path: Path) -> None:
    (tmp_path / "outside.yaml").write_text(DOCUMENT)
    (tmp_path / "project").mkdir()
    run, _ = await walked(workflow(place, "findParcel"), tmp_path / "project")
    assert problem(run)["code"] == "no-such-document"


@pytest.mark.parametrize(
    ("path", "code", "status"), [("/nothing.yaml", "document-unavailable", 404), ("/api/x", "bad-api-document", 400)]
)
async def test_a_document_that_is_none_is_said(shop: Shop, path: str, code: str, status: int) -> None:
    run, _ = await walked(workflow(shop.url + path, "findParcel"))
    assert (problem(run)["code"], problem(run)["status"]) == (code, status)


async def test_a_document_elsewhere_is_refused_like_any_host(shop: Shop) -> None:
    run, _ = await walked(workflow(f"{shop.url.replace('127.0.0.1', 'localhost')}/openapi.yaml", "findParcel"))
    assert problem(run)["code"] == "egress-refused"


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_killed_call_goes_on_without_its_document(shop: Shop, at: int, moment: Moment) -> None:
    """The second life finds the document gone: what was recorded is enough, and the parcel is sent with the same key."""
    text = workflow(f"{shop.url}/openapi.yaml", "sendParcel", parameters="{ body: { weight: 2 } }")
    document = read_document(text + "      metadata: { idempotent: true }\n")
    inner = MemoryJournal(SystemClock())
    crashing = CrashingJournal(inner, at=at, moment=moment)
    run = run_of(document, None, "run-1")
    async with staged() as stage, Expressions() as expressions:
        interpret = interpreting({document.digest: document}, expressions)
        async with stage.engine(crashing.journal, interpret) as engine:
            await engine.start(run)
            await crashing.crashed.wait()
            await crashing.bury(engine)
    described = await inner.entries("run-1")
    if any(entry.key.endswith("/describe") and entry.status is EntryStatus.COMPLETED for entry in described):
        shop.gone = True
    async with staged() as stage, Expressions() as expressions:
        interpret = interpreting({document.digest: document}, expressions)
        async with stage.engine(inner, interpret) as engine:
            await engine.start(run)
            settled = await engine.settle("run-1")
    assert settled.status is RunStatus.COMPLETED, settled.problem
    assert len({headers["idempotency-key"] for _, _, headers, _ in shop.received}) == 1


async def dry(
    text: str, root: Path, mocks: Mapping[str, Mock] | None = None
) -> tuple[Run, Mapping[str, Entry], DryRun]:
    walk = DryRun(mocks={name: [mock] for name, mock in (mocks or {}).items()})
    journal = MemoryJournal(SystemClock())
    async with staged(root) as stage, Expressions() as expressions:
        dry_stage = replace(stage, dry=walk)
        run = await walk_document(read_document(text), None, journal=journal, stage=dry_stage, evaluator=expressions)
    return run, {entry.key: entry for entry in await journal.entries(run.id)}, walk


async def test_a_dry_run_shows_the_request_that_a_document_of_the_project_means(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "parcels.yaml").write_text(DOCUMENT.replace("url: /api", f"url: {shop.url}/api"))
    run, entries, _ = await dry(workflow("parcels.yaml", "findParcel", parameters="{ id: a }"), tmp_path)
    assert run.status is RunStatus.COMPLETED, run.problem
    request = cast("Mapping[str, Json]", entries["/do/0/it#1/request"].input)
    assert request["endpoint"] == f"{shop.url}/api/parcels/a"
    assert shop.received == []


async def test_a_dry_run_reads_no_document_elsewhere(shop: Shop, tmp_path: Path) -> None:
    text = workflow(f"{shop.url}/openapi.yaml", "findParcel", parameters="{ id: a }")
    run, _, _ = await dry(text, tmp_path)
    assert run.status is RunStatus.COMPLETED, run.problem
    run, _, walk = await dry(text, tmp_path, {"it": Mock(output={"id": "P-9"})})
    assert (run.output, walk.unused, shop.documents) == ({"id": "P-9"}, [], 0)
