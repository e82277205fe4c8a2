"""The OpenAPI document says what the server does: whatever fits it is answered as it says, and never with a defect."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for

from orchestrion.server import PUBLIC
from orchestrion.testing import World, served

pytestmark = pytest.mark.anyio
STREAMS = {"followRun", "followProject", "signOut"}

text = st.text(max_size=20) | st.sampled_from(
    ["hello", "examples", "ask", "production", "working", "0", "\x00", "🦉" * 30]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
bodies = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "workflow",
            "input",
            "version",
            "task",
            "verdict",
            "value",
            "reason",
            "binding",
            "alias",
            "why",
            "to",
            "source",
            "type",
            "id",
        ),
        text | json_values,
    ),
)


async def test_every_operation_is_described(world: World) -> None:
    async with world.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            failed = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            if path == "/mcp":  # the protocol has an error of its own for what it cannot read
                assert failed.pop("400")["content"].keys() == {"application/json", "application/problem+json"}
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in failed.values()), path


def test_whatever_is_sent_is_answered_as_documented(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        context = served(tmp_path / "project")
        world = runner.run(context.__aenter__())
        try:
            document = runner.run(_document(world))
            operations = [
                (method, path, operation)
                for path, several in document["paths"].items()
                for method, operation in several.items()
                if operation["operationId"] not in STREAMS
            ]
            assert len(operations) > 30

            @settings(
                max_examples=150,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            )
            @given(st.sampled_from(operations), st.data())
            def check(chosen: tuple[str, str, dict[str, Any]], data: st.DataObject) -> None:
                runner.run(_check(world, document, chosen, data))

            check()
        finally:
            runner.run(context.__aexit__(None, None, None))


async def _document(world: World) -> dict[str, Any]:
    async with world.client() as client:
        return cast("dict[str, Any]", (await client.get("/api/v1/openapi.json")).json())


async def _check(
    world: World, document: dict[str, Any], chosen: tuple[str, str, dict[str, Any]], data: st.DataObject
) -> None:
    method, path, operation = chosen
    query: dict[str, str] = {}
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = data.draw(text.filter(lambda given: given not in {"", ".", ".."}))
            path = path.replace(f"{{{parameter['name']}}}", "".join(f"%{byte:02x}" for byte in value.encode()))
        elif parameter["in"] == "query" and data.draw(st.booleans()):
            query[parameter["name"]] = data.draw(text)
    sent: dict[str, Any] = {}
    if "requestBody" in operation:
        body = data.draw(bodies)
        try:
            sent = {"json": body}
            world.client().build_request(method, "/", **sent)
        except ValueError:
            sent = {"content": repr(body).encode(errors="replace"), "headers": {"content-type": "application/json"}}
    async with world.client() as client:
        answer = await client.request(method, path, params=query, **sent)
    assert answer.status_code < 500, answer.text
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, (method, path, answer.status_code, answer.text)
    media = answer.headers.get("content-type", "").partition(";")[0]
    schema = described.get("content", {}).get(media, {}).get("schema")
    if schema and operation["operationId"] not in PUBLIC:
        whole = {**schema, "components": document["components"]}
        validator_for(whole).validate(answer.json())
