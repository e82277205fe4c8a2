"""Agents, teams and workflows as other systems' agents ask them: by the protocol's own client, and by our own."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client import Client, ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.client.errors import A2AClientError
from a2a.helpers.proto_helpers import get_data_parts, get_text_parts
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import (
    A2AError,
    ContentTypeNotSupportedError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from orchestrion.core import Answer, RequestStatus, RunFilter
from orchestrion.server import Limits
from orchestrion.testing import World, served
from orchestrion.testing.openai_server import OpenAIServer, Says, Streams

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": """
name: bank
roles: [clerk]
egress: { allow: ['127.0.0.1'] }
models: { writer: { provider: openai:test, base_url: URL } }
""",
    "agents/writer.yaml": """
name: writer
description: Writes.
model: writer
input: { type: object, required: [message], properties: { message: { type: string }, pages: { type: integer } } }
""",
    "agents/desk.yaml": """
name: desk
input: { type: object, properties: { message: { type: string } } }
playbook: { rules: [{ name: rest, answer: Hello from the rules. }] }
""",
    "teams/service.yaml": "name: service\npattern: supervisor\nlead: desk\nmembers: [writer]\n",
    "workflows/hello.yaml": """
document: { dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0', summary: Greets somebody. }
input: { schema: { document: { type: object, required: [name], properties: { name: { type: string }, age: { type: integer } } } } }
do: [{ greet: { set: { greeting: '${ "Hello, \\(.name)." }', age: '${ .age }' } } }]
""",
    "workflows/double.yaml": """
document: { dsl: '1.0.3', namespace: test, name: double, version: '1.0.0' }
input: { schema: { document: { type: integer } } }
do: [{ twice: { set: '${ . * 2 }' } }]
""",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do:
  - question:
      call: human:1.0.0@default
      with:
        role: clerk
        title: How many?
        form: { type: object, required: [count], properties: { count: { type: integer }, why: { type: string } } }
""",
    "workflows/pay.yaml": """
document: { dsl: '1.0.3', namespace: test, name: pay, version: '1.0.0' }
do: [{ mail: { call: http, with: { method: post, endpoint: 'http://127.0.0.1:1/' } } }]
""",
    "workflows/slow.yaml": """
document: { dsl: '1.0.3', namespace: test, name: slow, version: '1.0.0' }
do: [{ sleep: { wait: { seconds: 300 } } }]
""",
    "workflows/broken.yaml": """
document: { dsl: '1.0.3', namespace: test, name: broken, version: '1.0.0' }
do: [{ fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken, detail: It fell. } } } }]
""",
    "policies/all.cedar": """
@id("own") permit (principal, action, resource) unless { resource is Host && principal == Workflow::"test/pay" };
@id("pay") permit (principal == Workflow::"test/pay", action, resource is Host)
when { context has approval && context.approval.role == "clerk" };
""",
}


@asynccontextmanager
async def bank(folder: Path, url: str = "http://127.0.0.1:1", limits: Limits | None = None) -> AsyncGenerator[World]:
    for name, text in FILES.items():
        path = folder / "project" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text.replace("URL", url))
    async with served(folder / "project", limits) as world:
        yield world


@asynccontextmanager
async def connected(
    world: World, whom: str | None = None, *, role: str = "operator", streaming: bool = False, legacy: bool = False
) -> AsyncGenerator[Client]:
    """The client of a partner, or of the whole project; `legacy` speaks 0.3."""
    async with world.client(role) as http:
        place = world.url if whom is None else f"{world.url}/a2a/{whom}"
        async with httpx.AsyncClient() as nobody:
            card = await A2ACardResolver(nobody, place).get_agent_card()
        version = "0.3" if legacy else "1.0"
        kept = [each for each in card.supported_interfaces if each.protocol_version == version]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        yield ClientFactory(ClientConfig(streaming=streaming, httpx_client=http)).create(card)


def message(text: str | None = None, data: Any = None, number: str = "m-1", **more: Any) -> SendMessageRequest:
    parts = [Part(text=text)] if text is not None else []
    if data is not None:
        parts.append(Part(data=ParseDict(data, Value())))
    said = Message(message_id=number, role=Role.ROLE_USER, parts=parts, **more)
    return SendMessageRequest(message=said)


async def sent(client: Client, request: SendMessageRequest) -> Task:
    (answer,) = [each async for each in client.send_message(request)]
    return answer.task


def output(task: Task) -> tuple[list[str], list[Any]]:
    (artifact,) = task.artifacts
    return get_text_parts(artifact.parts), get_data_parts(artifact.parts)


async def test_the_card_says_what_is_offered_to_everybody(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, world.client(None) as nobody:
        card = (await nobody.get("/.well-known/agent-card.json")).json()
        assert card["name"] == "bank"
        assert [each["url"] for each in card["supportedInterfaces"]] == [f"{world.url}/"] * 2
        assert card["url"] == f"{world.url}/"
        assert {each["id"]: each["tags"] for each in card["skills"]} == {
            "agents/desk": ["agent"],
            "agents/writer": ["agent"],
            "teams/service": ["team"],
            **{f"test/{name}": ["workflow"] for name in ("ask", "broken", "double", "hello", "pay", "slow")},
        }
        assert card["capabilities"]["streaming"]
        own = (await nobody.get("/a2a/test/hello/.well-known/agent-card.json")).json()
        assert (own["name"], own["url"]) == ("test/hello", f"{world.url}/a2a/test/hello")
        assert "Greets somebody." in own["description"]
        missing = await nobody.get("/a2a/test/nobody/.well-known/agent-card.json")
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown-partner")


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_message_is_a_run_in_the_senders_name(tmp_path: Path, legacy: bool) -> None:
    async with bank(tmp_path) as world, connected(world, "test/hello", legacy=legacy) as client:
        task = await sent(client, message("Ana", {"age": 41}, context_id="c-1"))
        assert task.status.state == TaskState.TASK_STATE_COMPLETED
        assert output(task) == ([], [{"greeting": "Hello, Ana.", "age": 41}])
        assert task.context_id == "c-1"
        run = await world.app.journal.run(task.id)
        assert run is not None
        assert (run.subject, run.input) == ("operator", {"name": "Ana", "age": 41})
        assert await client.get_task(GetTaskRequest(id=task.id)) == task


async def test_a_message_that_is_sent_again_starts_nothing(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world, "test/hello") as client:
        first = await sent(client, message("Ana"))
        assert (await sent(client, message("Ana"))).id == first.id
        assert (await sent(client, message("Ana", number="m-2"))).id != first.id
        async with connected(world, "test/hello", role="admin") as other:
            assert (await sent(other, message("Ana"))).id != first.id


async def test_an_agent_remembers_its_context_and_no_other(tmp_path: Path) -> None:
    async with (
        OpenAIServer([Says("Hello Ana"), Says("You are Ana"), Says("Who knows?")]) as server,
        bank(tmp_path, server.base_url) as world,
        connected(world, "agents/writer") as client,
    ):
        first = await sent(client, message("I am Ana"))
        assert output(first) == (["Hello Ana"], [{"reply": "Hello Ana"}])
        second = await sent(client, message("Who am I?", number="m-2", context_id=first.context_id))
        assert (output(second)[0], second.context_id) == (["You are Ana"], first.context_id)
        assert "I am Ana" in json.dumps(server.requests[1]["messages"])
        async with connected(world, "agents/writer", role="admin") as stranger:
            await sent(stranger, message("Who am I?", number="m-2", context_id=first.context_id))
        assert "I am Ana" not in json.dumps(server.requests[2]["messages"])


async def test_whom_a_message_is_for_may_stand_in_it(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world) as client:
        team = await sent(client, message("Hi", metadata={"skill": "teams/service"}))
        assert output(team)[0] == ["Hello from the rules."]
        double = await sent(client, message(data=21, number="m-2", metadata={"skill": "test/double"}))
        assert output(double) == ([], [42])
        with pytest.raises(InvalidParamsError, match="does not say whom"):
            await sent(client, message("Hi"))


@pytest.mark.parametrize("legacy", [False, True])
async def test_an_answer_is_followed_as_it_is_made(tmp_path: Path, legacy: bool) -> None:
    pieces = ["Dear Ana, ", "it is a pleasure ", "to write to you."]
    async with (
        OpenAIServer([Streams(pieces, pause_s=0.2)]) as server,
        bank(tmp_path, server.base_url) as world,
        connected(world, "agents/writer", streaming=True, legacy=legacy) as client,
    ):
        events = [each async for each in client.send_message(message("Write"))]
        assert events[0].WhichOneof("payload") == "task"
        said = [each.artifact_update for each in events if each.HasField("artifact_update")]
        assert [get_text_parts(each.artifact.parts) for each in said] == [
            *([piece] for piece in pieces),
            ["".join(pieces)],
        ]
        assert [each.append for each in said] == [False, True, True, False]
        assert said[-1].last_chunk
        assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_question_is_answered_by_who_may(tmp_path: Path, legacy: bool) -> None:
    async with (
        bank(tmp_path) as world,
        connected(world, "test/ask", legacy=legacy) as operator,
        connected(world, "test/ask", role="admin", legacy=legacy) as admin,
    ):
        asked = await sent(admin, message(data={}))
        assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert get_text_parts(asked.status.message.parts) == ["How many?"]
        (told,) = get_data_parts(asked.status.message.parts)
        assert told["requests"][0]["form"]["required"] == ["count"]
        seen = await operator.get_task(GetTaskRequest(id=asked.id))
        assert seen.status.state == TaskState.TASK_STATE_AUTH_REQUIRED
        with pytest.raises(A2AClientError, match="403"):
            await sent(operator, message(data={"count": 1}, number="m-2", task_id=asked.id))
        with pytest.raises(InvalidParamsError, match="count"):
            await sent(admin, message(data={"count": "many"}, number="m-3", task_id=asked.id))
        with pytest.raises(InvalidParamsError, match="another context"):
            await sent(admin, message(data={"count": 3}, number="m-4", task_id=asked.id, context_id="c-9"))
        done = await sent(admin, message("For Ana", {"count": 3}, number="m-5", task_id=asked.id))
        assert done.id == asked.id
        assert done.status.state == TaskState.TASK_STATE_COMPLETED
        (said,) = output(done)[1]
        assert (said["count"], said["why"], said["by"]) == (3, "For Ana", "admin")
        with pytest.raises(UnsupportedOperationError):
            await sent(admin, message(data={"count": 3}, number="m-6", task_id=asked.id))


@pytest.mark.parametrize(("name", "role"), [("ask", "operator"), ("pay", "admin")])
async def test_what_somebody_else_decides_goes_on_by_itself(tmp_path: Path, name: str, role: str) -> None:
    async with (
        bank(tmp_path) as world,
        connected(world, f"test/{name}", role=role, streaming=True) as client,
        connected(world, f"test/{name}", role=role, streaming=True) as other,
    ):
        stream = client.send_message(message(data={}))
        task = (await anext(stream)).task
        state = task.status.state
        while state != TaskState.TASK_STATE_AUTH_REQUIRED:
            state = (await anext(stream)).status_update.status.state
        (request,) = await world.app.journal.requests(status=RequestStatus.OPEN)
        again = other.subscribe(SubscribeToTaskRequest(id=task.id))
        assert (await anext(again)).task.id == task.id
        now = world.app.clock.now()
        await world.app.answer(request, Answer(verdict="rejected", by="lea", at=now, reason="No."))
        for each in (stream, again):
            states = [event.status_update.status.state async for event in each if event.HasField("status_update")]
            assert states[-1] == TaskState.TASK_STATE_FAILED
        with pytest.raises(UnsupportedOperationError):
            await anext(other.subscribe(SubscribeToTaskRequest(id=task.id)))


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_task_is_stopped(tmp_path: Path, legacy: bool) -> None:
    async with bank(tmp_path) as world:
        for name in ("slow", "ask"):
            async with connected(world, f"test/{name}", legacy=legacy) as client:
                request = message(data={}, number=name)
                request.configuration.return_immediately = True
                task = await sent(client, request)
                assert not task.artifacts
                stopped = await client.cancel_task(CancelTaskRequest(id=task.id))
                assert stopped.status.state == TaskState.TASK_STATE_CANCELED
                with pytest.raises(TaskNotCancelableError):
                    await client.cancel_task(CancelTaskRequest(id=task.id))


async def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world, "test/broken") as client:
        task = await sent(client, message(data={}))
        assert task.status.state == TaskState.TASK_STATE_FAILED
        assert get_text_parts(task.status.message.parts) == ["Broken, It fell."]
        assert get_data_parts(task.status.message.parts)[0]["problem"]["status"] == 500


async def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    file = SendMessageRequest(
        message=Message(message_id="m", role=Role.ROLE_USER, parts=[Part(raw=b"x", filename="x.pdf")])
    )
    push = message("Ana")
    push.configuration.task_push_notification_config.url = "https://evil.example/"
    async with bank(tmp_path) as world, connected(world, "test/hello") as client:
        wrong: list[tuple[type[A2AError], SendMessageRequest]] = [
            (InvalidParamsError, message(data={"age": 1})),
            (InvalidParamsError, message(data={"name": "Ana", "age": "old"})),
            (InvalidParamsError, message(data=[1])),
            (InvalidParamsError, message()),
            (InvalidParamsError, message("Ana", number="")),
            (InvalidParamsError, message("Ana", context_id="../../etc")),
            (InvalidParamsError, message("Ana", context_id="x" * 200)),
            (TaskNotFoundError, message("Ana", task_id="nope")),
            (ContentTypeNotSupportedError, file),
            (PushNotificationNotSupportedError, push),
        ]
        for refusal, request in wrong:
            with pytest.raises((refusal, A2AClientError)) as error:
                await sent(client, request)
            assert type(error.value) is refusal or "403" in str(error.value), request
        with pytest.raises(TaskNotFoundError):
            await client.get_task(GetTaskRequest(id="../../etc/passwd"))
        with pytest.raises(UnsupportedOperationError):
            await client.list_tasks(ListTasksRequest())
        with pytest.raises(PushNotificationNotSupportedError):
            await client.create_task_push_notification_config(TaskPushNotificationConfig(task_id="x", url="http://x"))
        assert await world.app.journal.runs(RunFilter()) == []


async def test_who_may_not_is_refused_before_the_protocol(tmp_path: Path) -> None:
    def asked(method: str, **params: Any) -> Any:
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}

    said = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": {"name": "Eve"}}]}
    version = {"a2a-version": "1.0"}
    async with bank(tmp_path, limits=Limits(body_bytes=10_000)) as world:
        for path in ("/", "/a2a/test/hello"):
            async with world.client(None) as nobody:
                assert (await nobody.post(path, json=asked("SendMessage", message=said))).status_code == 401
            async with world.client("viewer", **version) as viewer:
                for method in ("SendMessage", "SendStreamingMessage", "message/send", "message/stream"):
                    answer = await viewer.post(path, json=asked(method, message=said))
                    assert (answer.status_code, answer.json()["code"]) == (403, "not-permitted")
                    answer = await viewer.post(path, json=asked(method, message={**said, "task_id": "x"}))
                    assert answer.status_code == 403
                answer = await viewer.post(path, json=asked("CancelTask", id="x"))
                assert answer.status_code == 403
                assert (await viewer.post(path, json=asked("GetTask", id="x"))).json()["error"]["code"] == -32001
            async with world.client("operator", **version) as client:
                foreign = await client.post(path, json=asked("GetTask", id="x"), headers={"host": "evil.example"})
                assert foreign.status_code == 421
                large = await client.post(path, json=asked("GetTask", id="x" * 20_000))
                assert large.status_code == 413
                for content in (b"", b"{", b"[]", b"null", b"5", b'{"method":[]}', b"[" * 5000, b"\xff", b'{"id":NaN}'):
                    answer = await client.post(path, content=content)
                    assert answer.status_code == 200
                    assert answer.json()["error"]["code"] in {-32700, -32600}, (content, answer.text)
        assert await world.app.journal.runs(RunFilter()) == []


async def test_more_streams_than_are_taken_get_told_when_to_come_back(tmp_path: Path) -> None:
    async with (
        bank(tmp_path, limits=Limits(streams=1)) as world,
        connected(world, "test/slow", streaming=True) as client,
    ):
        stream = client.send_message(message(data={}))
        task = (await anext(stream)).task
        body = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": task.id}}
        async with world.client("operator", **{"a2a-version": "1.0"}) as http:
            answer = await http.post("/", json=body)
            assert (answer.status_code, answer.json()["code"]) == (429, "too-busy")
            assert int(answer.headers["retry-after"]) >= 1


async def test_a_server_that_stops_answers_who_waits(tmp_path: Path) -> None:
    async with bank(tmp_path) as world, connected(world, "test/slow", streaming=True) as client:
        stream = client.send_message(message(data={}))
        assert (await anext(stream)).HasField("task")
        world.server.site.drain()
        async with asyncio.timeout(5):
            rest: list[StreamResponse] = [event async for event in stream]
        assert all(event.HasField("status_update") for event in rest)
        async with connected(world, "test/slow") as other:
            assert (await sent(other, message(data={}))).status.state == TaskState.TASK_STATE_WORKING
