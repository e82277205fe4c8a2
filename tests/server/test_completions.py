"""Agents, teams and workflows as models, asked by OpenAI's own client."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from orchestrion.core import Answer, Datum, RequestStatus
from orchestrion.testing import World, served
from orchestrion.testing.openai_server import Calls, OpenAIServer, Says, Streams

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": "name: bank\nroles: [clerk]\negress: { allow: ['127.0.0.1'] }\nmodels: { writer: { provider: openai:test, base_url: URL } }\n",
    "agents/writer.yaml": """
name: writer
description: Writes.
model: writer
input: { type: object, required: [message, pages], properties: { message: { type: string }, pages: { type: integer } } }
tools: [{ name: pay, description: Pays., workflow: { namespace: test, name: pay, version: '1.0.0' } }]
""",
    "agents/desk.yaml": """
name: desk
input: { type: object, properties: { message: { type: string } } }
playbook: { rules: [{ name: rest, answer: Hello from the rules. }] }
""",
    "teams/service.yaml": "name: service\npattern: supervisor\nlead: desk\nmembers: [writer]\n",
    "workflows/pay.yaml": """
document: { dsl: '1.0.3', namespace: test, name: pay, version: '1.0.0' }
do: [{ paid: { set: { paid: true } } }]
""",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
input: { schema: { document: { type: object, properties: { text: { type: string } } } } }
do:
  - question: { call: 'human:1.0.0@default', with: { role: clerk, title: How many?, form: { type: object } } }
""",
    "workflows/broken.yaml": """
document: { dsl: '1.0.3', namespace: test, name: broken, version: '1.0.0' }
input: { schema: { document: { type: object, properties: { text: { type: string } } } } }
do:
  - fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken } } }
""",
    "policies/all.cedar": "permit (principal, action, resource);\n",
}


@asynccontextmanager
async def asked(folder: Path, url: str = "http://127.0.0.1:1") -> AsyncGenerator[tuple[World, AsyncOpenAI]]:
    for name, text in FILES.items():
        path = folder / "project" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text.replace("URL", url))
    async with (
        served(folder / "project") as world,
        AsyncOpenAI(base_url=f"{world.url}/v1", api_key=world.tokens["operator"], max_retries=0) as client,
    ):
        yield world, client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_models_are_whom_one_may_talk_to(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, client):
        found = [model.id async for model in client.models.list()]
        assert found == ["agents/desk", "agents/writer", "teams/service", "test/ask", "test/broken", "test/pay"]
        assert (await client.models.retrieve("agents/writer")).owned_by == "bank"
        with pytest.raises(openai.NotFoundError, match="nobody called"):
            await client.models.retrieve("gpt-5")


async def test_an_agent_answers_with_what_was_said_before(tmp_path: Path) -> None:
    async with OpenAIServer([Says("Dear Ana")]) as server, asked(tmp_path, server.base_url) as (world, client):
        answer = await client.chat.completions.create(
            model="agents/writer",
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "I am Ana"},
                {"role": "assistant", "content": "Hello Ana"},
                {"role": "user", "content": [{"type": "text", "text": "Write"}]},
            ],
            metadata={"pages": "2", "note": "of the caller's own"},
            temperature=0.2,
        )
        assert answer.choices[0].message.content == "Dear Ana"
        assert answer.usage is not None
        assert answer.usage.total_tokens > 0
        run = await world.app.journal.run(answer.id.removeprefix("chatcmpl-"))
        assert run is not None
        assert run.subject == "operator"
        assert run.input == {
            "input": {"message": "Write", "pages": 2},
            "history": [
                {"role": "user", "content": "Be brief."},
                {"role": "user", "content": "I am Ana"},
                {"role": "assistant", "content": "Hello Ana"},
            ],
        }
        assert "I am Ana" in json.dumps(server.requests[0]["messages"])


async def test_a_stream_says_the_answer_once_as_it_comes(tmp_path: Path) -> None:
    pieces = ["Dear Ana, ", "it is a pleasure ", "to write to you."]
    async with (
        OpenAIServer([Calls([("pay", {})]), Streams(pieces, pause_s=0.2)]) as server,
        asked(tmp_path, server.base_url) as (_, client),
    ):
        stream = await client.chat.completions.create(
            model="agents/writer",
            messages=user("Write"),
            metadata={"pages": "1"},
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        said = [each.choices[0].delta.content for each in chunks if each.choices and each.choices[0].delta.content]
        assert said == pieces
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens > 0


@pytest.mark.parametrize("model", ["agents/desk", "teams/service"])
async def test_what_is_not_made_by_a_model_is_streamed_whole(tmp_path: Path, model: str) -> None:
    async with asked(tmp_path) as (_, client):
        stream = await client.chat.completions.create(model=model, messages=user("Hi"), stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(pieces) == "Hello from the rules."


async def test_a_run_that_waits_for_a_person_says_so_and_goes_on(tmp_path: Path) -> None:
    async with asked(tmp_path) as (world, client):
        answer = await client.chat.completions.create(model="test/ask", messages=user("Hi"))
        assert "How many?" in (answer.choices[0].message.content or "")
        assert answer.model_extra is not None
        assert answer.model_extra["orchestrion"]["status"] in {"waiting", "running"}
        (request,) = await world.app.journal.requests(status=RequestStatus.OPEN)
        assert answer.model_extra["orchestrion"]["approvals"] == [request.id]
        await world.app.answer(request, Answer(verdict="answered", by="lea", at=world.app.clock.now(), value=Datum({})))
        assert await world.settled(answer.model_extra["orchestrion"]["run"]) == "completed"


async def test_a_failure_is_told_and_not_tried_again(tmp_path: Path) -> None:
    async with asked(tmp_path) as (world, client):
        patient = client.with_options(max_retries=2)
        with pytest.raises(openai.UnprocessableEntityError, match="Broken"):
            await patient.chat.completions.create(model="test/broken", messages=user("Hi"))
        stream = await patient.chat.completions.create(model="test/broken", messages=user("Hi"), stream=True)
        with pytest.raises(openai.APIError, match="Broken"):
            _ = [chunk async for chunk in stream]
        async with world.client("viewer") as viewer:
            assert len((await viewer.get("/api/v1/runs")).json()["runs"]) == 2


async def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    tool: Any = {"type": "function", "function": {"name": "own", "parameters": {}}}
    image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("tools-not-taken", {"tools": [tool]}),
        ("one-answer", {"n": 2}),
        ("text-only", {"messages": image}),
        ("no-question", {"messages": [{"role": "assistant", "content": "Hi"}]}),
        ("takes-no-text", {"model": "test/pay"}),
        ("schema-mismatch", {"model": "agents/writer"}),
        ("unknown-partner", {"model": "gpt-5"}),
    ]
    async with asked(tmp_path) as (world, client):
        create: Any = client.chat.completions.create
        for code, more in wrong:
            with pytest.raises(openai.APIStatusError) as error:
                await create(**{"model": "agents/desk", "messages": user("Hi"), **more})
            assert error.value.code == code
            assert error.value.status_code < 500
        viewer = client.with_options(api_key=world.tokens["viewer"])
        with pytest.raises(openai.PermissionDeniedError):
            await viewer.chat.completions.create(model="agents/desk", messages=user("Hi"))
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="sk-nobody").models.list()
