"""The specification's conformance kit, its features unmodified."""

import base64
import os
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from orchestrion.core import EntryKind, Journal, Run, RunStatus, SystemClock
from orchestrion.egress import Egress
from orchestrion.expressions import Expressions
from orchestrion.functions import Describe, HttpFunction, OpenApi, Tokens
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.spec import parse_yaml, to_json
from orchestrion.store import Store
from orchestrion.testing import Stage, read_document, walk_document

pytestmark = pytest.mark.anyio

KIT = Path(os.environ.get("ORCHESTRION_TEST_DATA", "/nonexistent")) / "open-workflow" / "ctk"


@dataclass
class Scenario:
    feature: str
    name: str
    document: str = ""
    input: object = None
    steps: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])


def load(text: str) -> object:
    source, findings = parse_yaml(text, file="step")
    assert source is not None, findings
    return to_json(source.root)


def scenarios() -> list[Scenario]:
    found: list[Scenario] = []
    for path in sorted(KIT.glob("*.feature")):
        for block in re.split(r"^\s*Scenario:\s*", path.read_text(), flags=re.MULTILINE)[1:]:
            name, _, rest = block.partition("\n")
            scenario = Scenario(path.stem, name.strip())
            for line, text in re.findall(
                r"^\s*(?:Given|And|When|Then)\s+(.+?)\s*$(?:\n\s*\"\"\"yaml\n(.*?)\n\s*\"\"\")?",
                rest,
                flags=re.MULTILINE | re.DOTALL,
            ):
                place(scenario, line, text)
            found.append(scenario)
    return found


def place(scenario: Scenario, line: str, text: str) -> None:
    if "workflow with definition" in line:
        scenario.document = text
    elif "workflow input is" in line:
        scenario.input = load(text)
    elif "is executed" not in line:
        scenario.steps.append((line, load(text) if text else None))


def at(value: object, path: str) -> object:
    for name in path.split("."):
        assert isinstance(value, Mapping), f"nothing at {path}"
        value = cast("Mapping[str, object]", value)[name]
    return value


def check(step: str, expected: object, run: Run, order: list[str]) -> None:
    words = re.findall(r"'([^']*)'", step)
    match step:
        case "the workflow should complete":
            assert run.status is RunStatus.COMPLETED, run.problem
        case "the workflow should complete with output:":
            assert run.status is RunStatus.COMPLETED, run.problem
            assert run.output == expected
        case "the workflow should fault":
            assert run.status is RunStatus.FAULTED
        case "the workflow should fault with error:":
            assert run.status is RunStatus.FAULTED
            problem = cast("Mapping[str, Any]", run.problem)
            assert {name: problem[name] for name in cast("Mapping[str, Any]", expected)} == expected
        case _ if "should have properties" in step:
            for path in words:
                at(run.output, path)
        case _ if "property with value" in step:
            assert at(run.output, words[0]) == expected
        case _ if found := re.search(r"property containing (\d+) items", step):
            assert len(cast("list[object]", at(run.output, words[0]))) == int(found[1])
        case _ if found := re.fullmatch(r"(\w+) should run (first|last)", step):
            assert order[0 if found[2] == "first" else -1] == found[1]
        case _ if found := re.fullmatch(r"(\w+) should run after (\w+)", step):
            assert order.index(found[1]) > order.index(found[2])
        case _:
            pytest.fail(f"unknown step {step!r}")


PETS = [{"id": number, "name": f"pet {number}", "status": "available"} for number in (1, 2)]


PET = {"type": "object", "required": ["name"], "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
SWAGGER = {
    "swagger": "2.0",
    "info": {"title": "Pets", "version": "1.0.0"},
    "host": "petstore.swagger.io",
    "basePath": "/v2",
    "schemes": ["https", "http"],
    "paths": {
        "/pet/findByStatus": {
            "get": {
                "operationId": "findPetsByStatus",
                "produces": ["application/json", "application/xml"],
                "parameters": [
                    {
                        "name": "status",
                        "in": "query",
                        "required": True,
                        "type": "array",
                        "items": {"type": "string", "enum": ["available", "pending", "sold"]},
                        "collectionFormat": "multi",
                    }
                ],
                "responses": {"200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Pet"}}}},
            }
        },
        "/pet/{petId}": {
            "get": {
                "operationId": "getPetById",
                "parameters": [{"name": "petId", "in": "path", "required": True, "type": "integer"}],
                "responses": {"200": {"schema": {"$ref": "#/definitions/Pet"}}, "404": {"description": "none"}},
            }
        },
    },
    "definitions": {"Pet": PET},
}


def answer(request: httpx.Request) -> httpx.Response:
    """What the kit's remote hosts answer."""
    path = request.url.path
    if path == "/v2/swagger.json":
        return httpx.Response(200, json=SWAGGER)
    if found := re.fullmatch(r"/v2/pet/([12])", path):
        return httpx.Response(200, json=PETS[int(found[1]) - 1])
    if path == "/v2/pet/findByStatus":
        return httpx.Response(200, json=PETS if request.url.params["status"] == "available" else [])
    if found := re.fullmatch(r"/basic-auth/([^/]+)/([^/]+)", path):
        expected = "Basic " + base64.b64encode(f"{found[1]}:{found[2]}".encode()).decode()
        return httpx.Response(200 if request.headers.get("Authorization") == expected else 401, json={"user": found[1]})
    return httpx.Response(404, json={"path": path})


def stage() -> Stage:
    stub = httpx.MockTransport(answer)
    hosts = ("petstore.swagger.io", "httpbin.org")
    egress = Egress(hosts, stubs=dict.fromkeys(hosts, stub))
    describe = Describe(egress, Tokens(egress), SystemClock(), root=None)
    return Stage(functions=(HttpFunction(egress), describe, OpenApi()))


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Journal]:
    if request.param == "memory":
        yield MemoryJournal(SystemClock())
        return
    where = request.getfixturevalue("postgresql") if request.param == "postgresql" else tmp_path / "kit.db"
    store = Store.open(where, mode="own", blobs=str(tmp_path / "blobs"))
    durable = DurableJournal(store, SystemClock())
    yield durable
    await durable.close()
    store.close()


@pytest.mark.skipif(not KIT.is_dir(), reason="ORCHESTRION_TEST_DATA names no folder with the conformance kit")
@pytest.mark.parametrize("scenario", scenarios(), ids=lambda s: f"{s.feature}: {s.name}")
async def test_scenario(scenario: Scenario, journal: Journal) -> None:
    async with Expressions() as expressions:
        run = await walk_document(
            read_document(scenario.document), scenario.input, journal=journal, stage=stage(), evaluator=expressions
        )
    entries = await journal.entries(run.id)
    order = [
        entry.task.rpartition("/")[2]
        for entry in entries
        if entry.task and entry.kind in {EntryKind.TRACE, EntryKind.LEAF, EntryKind.VALUE}
    ]
    for step, expected in scenario.steps:
        check(step, expected, run, order)
