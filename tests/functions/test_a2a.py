"""`call: a2a` against a real agent on loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from a2a.server.agent_execution.agent_executor import AgentExecutor
from a2a.server.agent_execution.context import RequestContext
from a2a.server.events.event_queue import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks.inmemory_task_store import InMemoryTaskStore
from a2a.server.tasks.task_updater import TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    Message,
    Part,
    Role,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from orchestrion.core import Entry, EntryStatus, Json, Run, RunStatus, SystemClock
from orchestrion.egress import Egress
from orchestrion.engine import DryRun
from orchestrion.expressions import Expressions
from orchestrion.functions import A2a, A2aRequest, Tokens
from orchestrion.journal import MemoryJournal
from orchestrion.testing import (
    CrashingJournal,
    Stage,
    interpreting,
    read_document,
    run_of,
    serving,
    walk_document,
)

pytestmark = pytest.mark.anyio


@dataclass
class Worker(AgentExecutor):
    """Does what the message says: answer, work, ask, fail."""

    messages: list[str] = field(default_factory=list[str])
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        assert message is not None
        self.messages.append(message.message_id)
        said = message.parts[0].text
        if said == "answer":
            await event_queue.enqueue_event(
                Message(message_id="m-1", role=Role.ROLE_AGENT, parts=[Part(text="at once")])
            )
            return
        task_id, context_id = str(context.task_id), str(context.context_id)
        if context.current_task is None:
            submitted = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(Task(id=task_id, context_id=context_id, status=submitted))
        updater = TaskUpdater(event_queue, task_id, context_id)
        await updater.start_work()
        match said:
            case "ask":
                await updater.requires_input(updater.new_agent_message([Part(text="Which invoice?")]))
            case "fail":
                await updater.failed(updater.new_agent_message([Part(text="no stock")]))
            case "reject":
                await updater.reject()
            case "wait":
                await self.release.wait()
                await updater.complete()
            case "chapters":
                await updater.add_artifact([Part(text="one ")], artifact_id="book", last_chunk=False)
                await updater.add_artifact([Part(text="two ")], artifact_id="book", append=True, last_chunk=False)
                await updater.add_artifact([Part(text="old")], artifact_id="note")
                await updater.add_artifact([Part(text="three")], artifact_id="book", append=True, last_chunk=True)
                await updater.add_artifact([Part(text="new")], artifact_id="note")
                await updater.complete()
            case _:
                await updater.add_artifact([Part(text=f"done: {said}")])
                await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, str(context.task_id), str(context.context_id)).cancel()


@dataclass
class House:
    url: str
    worker: Worker
    card: AgentCard
    received: list[Mapping[str, str]]


@asynccontextmanager
async def agent(
    binding: str = "JSONRPC",
    version: str = "1.0",
    *,
    once: bool = False,
    release_after: int = 0,
    streaming: bool = False,
) -> AsyncGenerator[House]:
    worker, received = Worker(), list[Mapping[str, str]]()
    card = AgentCard(name="worker", version="1", capabilities=AgentCapabilities(streaming=streaming))
    if once:
        card.capabilities.extensions.append(AgentExtension(uri="urn:orchestrion:a2a:message-once"))
    handler = DefaultRequestHandler(agent_executor=worker, task_store=InMemoryTaskStore(), agent_card=card)
    compatible = version == "0.3"
    app = Starlette(
        routes=[
            *create_agent_card_routes(card),
            *create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=compatible),
            *create_rest_routes(handler, path_prefix="/rest", enable_v0_3_compat=compatible),
        ]
    )

    async def noting(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
            received.append({"path": str(scope["path"]), **{n.decode(): v.decode() for n, v in headers}})
            if len([each for each in received if each["path"] == "/rpc"]) == release_after:
                worker.release.set()
        await app(scope, receive, send)  # pyright: ignore[reportArgumentType]  ASGI's own types

    async with serving(noting) as url:
        place = f"{url}/rpc" if binding == "JSONRPC" else f"{url}/rest"
        card.supported_interfaces.append(AgentInterface(url=place, protocol_binding=binding, protocol_version=version))
        yield House(url, worker, card, received)
        worker.release.set()


class Vault:
    def get(self, name: str) -> Json:
        return f"value-of-{name}"


@asynccontextmanager
async def staged(timeout_s: float = 5, max_response_bytes: int = 16_000_000) -> AsyncGenerator[Stage]:
    async with Egress(["127.0.0.1"], timeout_s=timeout_s, max_response_bytes=max_response_bytes) as egress:
        yield Stage(functions=(A2aRequest(egress, Tokens(egress)), A2a()), secrets=Vault())


HEAD = "document: { dsl: '1.0.3', namespace: test, name: work, version: '1.0.0' }\nuse: { secrets: [AGENT] }\ndo:\n"


def call(url: str, said: str, more: str = "") -> str:
    return f"""
  - it:
      call: a2a
      with:
        agentCard: {{ endpoint: '{url}' }}
        method: message/send
        parameters: {{ message: {{ role: user, parts: [{{ kind: text, text: '{said}' }}]{more} }} }}
"""


async def walked(
    text: str, timeout_s: float = 5, max_response_bytes: int = 16_000_000
) -> tuple[Run, Mapping[str, Entry]]:
    journal = MemoryJournal(SystemClock())
    async with staged(timeout_s, max_response_bytes) as stage, Expressions() as expressions:
        run = await walk_document(read_document(HEAD + text), None, journal=journal, stage=stage, evaluator=expressions)
    return run, {entry.key: entry for entry in await journal.entries(run.id)}


def output(run: Run) -> Mapping[str, Json]:
    assert run.status is RunStatus.COMPLETED, run.problem
    return cast("Mapping[str, Json]", run.output)


def problem(run: Run) -> Mapping[str, Json]:
    assert run.status is RunStatus.FAULTED
    return cast("Mapping[str, Json]", run.problem)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_task_is_waited_for(binding: str, version: str) -> None:
    async with agent(binding, version) as house:
        run, entries = await walked(call(house.url, "letters"))
        found = output(run)
        assert found["kind"] == "task"
        assert "done: letters" in str(found["artifacts"])
        assert len(house.worker.messages) == 1
    steps = [key.removeprefix("/do/0/it#1/") for key in entries if key.startswith("/do/0/it#1/")]
    assert steps[:2] == ["card", "send"]


async def test_an_answer_at_once_is_the_output() -> None:
    async with agent() as house:
        run, entries = await walked(call(house.url, "answer"))
    assert output(run) == {"kind": "message", "messageId": "m-1", "role": "ROLE_AGENT", "parts": [{"text": "at once"}]}
    assert cast("Mapping[str, Json]", entries["/do/0/it#1/card"].output)["name"] == "worker"


async def test_a_long_task_is_looked_at_again_and_again() -> None:
    async with agent(release_after=3) as house:
        run, entries = await walked(call(house.url, "wait"))
    assert output(run)["kind"] == "task"
    assert {"/do/0/it#1/wait/0", "/do/0/it#1/look/0", "/do/0/it#1/look/1"} <= set(entries)


async def test_a_message_carries_the_id_of_its_operation() -> None:
    async with agent() as house:
        await walked(call(house.url, "letters"))
        await walked(call(house.url, "letters", ", messageId: mine"))
        first, second = house.worker.messages
    assert len(first) == 36
    assert second == "mine"


async def test_a_question_back_can_be_caught_and_answered() -> None:
    text = """
  - talk:
      try:
        - ask:
            call: a2a
            with:
              agentCard: { endpoint: 'URL' }
              method: message/send
              parameters: { message: { parts: [{ text: ask }] } }
      catch:
        as: asked
        do:
          - reply:
              call: a2a
              with:
                agentCard: { endpoint: 'URL' }
                method: message/send
                parameters:
                  message:
                    parts: [{ text: INV-7 }]
                    taskId: ${ $asked.taskId }
                    contextId: ${ $asked.contextId }
"""
    async with agent() as house:
        run, entries = await walked(text.replace("URL", house.url))
        assert "done: INV-7" in str(output(run)["artifacts"])
    failed = next(entry for key, entry in entries.items() if key.endswith("/send"))
    assert failed.status is EntryStatus.COMPLETED


@pytest.mark.parametrize(
    ("said", "code", "state", "words"),
    [
        ("ask", "a2a-input-required", "input-required", "Which invoice?"),
        ("fail", "a2a-task-failed", "failed", "no stock"),
        ("reject", "a2a-task-failed", "rejected", ""),
    ],
)
async def test_an_end_that_is_no_success_is_a_problem(said: str, code: str, state: str, words: str) -> None:
    async with agent() as house:
        run, _ = await walked(call(house.url, said))
    told = problem(run)
    assert (told["code"], told["state"], told.get("said", "")) == (code, state, words)
    assert words == "" or words not in str(told["detail"])


async def test_tasks_are_looked_up_listed_and_cancelled() -> None:
    text = """
  - SEND
  - look: { call: a2a, with: { server: URL, method: tasks/get, parameters: { id: '${ .id }' } } }
  - list: { call: a2a, with: { server: URL, method: tasks/list } }
"""
    async with agent() as house:
        send = call(house.url, "letters").strip().removeprefix("- ")
        run, entries = await walked(text.replace("SEND", send).replace("URL", f"'{house.url}/rpc'"))
        tasks = cast("list[Mapping[str, Json]]", output(run)["tasks"])
        assert [each["id"] for each in tasks] == [cast("Mapping[str, Json]", entries["/do/1/look#1/send"].output)["id"]]
        cancel = "  - it: { call: a2a, with: { server: URL, method: tasks/cancel, parameters: { id: ID } } }\n"
        run, _ = await walked(cancel.replace("URL", f"'{house.url}/rpc'").replace("ID", str(tasks[0]["id"])))
    assert problem(run)["code"] == "a2a-refused"
    assert "TaskNotCancelable" in str(problem(run)["detail"])


async def test_credentials_go_where_the_card_is_and_nowhere_else() -> None:
    async with agent() as house, agent() as other:
        text = call(house.url, "letters").replace(
            f"endpoint: '{house.url}'",
            f"endpoint: {{ uri: '{house.url}', authentication: {{ bearer: {{ use: AGENT }} }} }}",
        )
        run, entries = await walked(text)
        assert run.status is RunStatus.COMPLETED, run.problem
        assert {headers.get("authorization") for headers in house.received} == {"Bearer value-of-AGENT"}
        assert "value-of-AGENT" not in str(entries)
        house.card.supported_interfaces[0].url = f"{other.url}/rpc"
        run, _ = await walked(text)
        assert run.status is RunStatus.COMPLETED, run.problem
        assert {headers.get("authorization") for headers in other.received} == {None}


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("not json", "a2a-bad-card"),
        ({"name": "x"}, "a2a-bad-card"),
        ({"name": "x", "supportedInterfaces": [{"url": "grpc:1", "protocolBinding": "GRPC"}]}, "a2a-bad-card"),
        ({"skills": "x"}, "a2a-bad-card"),
        (None, "document-unavailable"),
    ],
)
async def test_a_card_that_is_none_is_said(card: object, code: str) -> None:
    async def serve(_: Request) -> Response:
        return Response(status_code=404) if card is None else JSONResponse(card)

    async with serving(Starlette(routes=[Route("/card.json", serve)])) as url:
        run, _ = await walked(call(f"{url}/card.json", "letters"))
    assert problem(run)["code"] == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (JSONResponse([]), "a2a-bad-answer"),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {"task": 7}}), "a2a-bad-answer"),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "result": {}}), "a2a-bad-answer"),
        (Response("<html>"), "a2a-bad-answer"),
        (Response(status_code=401), "a2a-unauthorized"),
        (Response(status_code=503), "a2a-unavailable"),
        (JSONResponse({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}), "a2a-refused"),
    ],
)
async def test_an_agent_that_breaks_the_protocol_is_a_clear_problem(answer: Response, code: str) -> None:
    async def serve(_: Request) -> Response:
        return answer

    text = "  - it: { call: a2a, with: { server: 'URL', method: message/send, parameters: { message: {} } } }\n"
    async with serving(Starlette(routes=[Route("/", serve, methods=["POST"])])) as url:
        run, _ = await walked(text.replace("URL", f"{url}/"))
    assert problem(run)["code"] == code


async def test_parameters_that_do_not_fit_are_not_sent() -> None:
    async with agent() as house:
        run, _ = await walked(call(house.url, "letters", ", colour: red"))
        assert (problem(run)["code"], house.worker.messages) == ("bad-a2a-parameters", [])


@pytest.mark.parametrize(("once", "asked"), [(False, RunStatus.WAITING), (True, RunStatus.COMPLETED)])
async def test_a_killed_message_is_sent_again_only_where_it_counts_once(once: bool, asked: RunStatus) -> None:
    """The process dies after the message was sent and before its answer was recorded."""
    async with agent(once=once) as house:
        document = read_document(HEAD + call(house.url, "answer"))
        inner = MemoryJournal(SystemClock())
        crashing = CrashingJournal(inner, at=3)
        run = run_of(document, None, "run-1")
        async with staged() as stage, Expressions() as expressions:
            interpret = interpreting({document.digest: document}, expressions)
            async with stage.engine(crashing.journal, interpret) as engine:
                await engine.start(run)
                await crashing.crashed.wait()
                await crashing.bury(engine)
            async with stage.engine(inner, interpret) as engine:
                await engine.start(run)
                settled = await engine.settle("run-1")
        assert settled.status is asked
        assert len(house.worker.messages) == (2 if once else 1)
        assert len(set(house.worker.messages)) == 1


async def test_a_dry_run_sends_nothing() -> None:
    journal = MemoryJournal(SystemClock())
    async with agent() as house:
        document = read_document(HEAD + call(house.url, "letters"))
        async with staged() as stage, Expressions() as expressions:
            dry = replace(stage, dry=DryRun())
            run = await walk_document(document, None, journal=journal, stage=dry, evaluator=expressions)
        assert run.status is RunStatus.COMPLETED, run.problem
        assert house.received == []


def streamed(url: str, said: str) -> str:
    return call(url, said).replace("message/send", "message/stream")


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_stream_is_put_together_and_recorded_once(binding: str, version: str) -> None:
    async with agent(binding, version, streaming=True) as house:
        run, entries = await walked(streamed(house.url, "chapters"))
        assert len(house.worker.messages) == 1
    found = output(run)
    artifacts = cast("list[Mapping[str, Json]]", found["artifacts"])
    assert found["kind"] == "task"
    assert [[part["text"] for part in cast("list[Mapping[str, str]]", each["parts"])] for each in artifacts] == [
        ["one ", "two ", "three"],
        ["new"],
    ]
    assert [key.removeprefix("/do/0/it#1/") for key in entries if key.startswith("/do/0/it#1/")] == ["card", "send"]


async def test_an_answer_at_once_ends_a_stream() -> None:
    async with agent(streaming=True) as house:
        run, _ = await walked(streamed(house.url, "answer"))
    assert output(run)["kind"] == "message"


async def test_a_stream_that_asks_back_is_a_problem_to_catch() -> None:
    async with agent(streaming=True) as house:
        run, _ = await walked(streamed(house.url, "ask"))
    assert (problem(run)["code"], problem(run)["said"]) == ("a2a-input-required", "Which invoice?")


async def test_a_stream_that_takes_too_long_is_left_and_the_task_looked_at() -> None:
    async with agent(streaming=True, release_after=2) as house:
        run, entries = await walked(streamed(house.url, "wait"), timeout_s=1)
        assert len(house.worker.messages) == 1
    assert output(run)["kind"] == "task"
    assert "/do/0/it#1/look/0" in entries


async def test_a_task_is_followed_again_by_its_id_even_after_its_end() -> None:
    text = """
  - SEND
  - again: { call: a2a, with: { agentCard: { endpoint: URL }, method: tasks/resubscribe, parameters: { id: '${ .id }' } } }
"""
    async with agent(streaming=True) as house:
        send = call(house.url, "letters").strip().removeprefix("- ")
        run, _ = await walked(text.replace("SEND", send).replace("URL", f"'{house.url}'"))
    assert "done: letters" in str(output(run)["artifacts"])


def sse(*results: object) -> bytes:
    lines = [json.dumps({"jsonrpc": "2.0", "id": 1, "result": each}) for each in results]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


WORKING = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}
DONE = {"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}
OTHER = {"statusUpdate": {"taskId": "x", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}
MORE = {"artifactUpdate": {"taskId": "t", "append": True, "artifact": {"artifactId": "a", "parts": [{"text": "x"}]}}}


@pytest.mark.parametrize(
    ("events", "then", "ending"),
    [
        (sse(WORKING, DONE), "close", "at once"),
        (sse(WORKING, DONE), "hang", "at once"),
        (sse(WORKING), "close", "looked"),
        (sse(WORKING), "break", "looked"),
        (sse(WORKING), "hang", "looked"),
        (sse(WORKING), "endless", "looked"),
        (sse(WORKING, OTHER), "hang", "looked"),
        (sse(WORKING, MORE), "hang", "looked"),
        (sse(WORKING) + b"data: {\n\n", "hang", "looked"),
        (b"", "close", "a2a-bad-answer"),
        (b"data: [1]\n\n", "close", "a2a-bad-answer"),
        (sse({}), "close", "a2a-bad-answer"),
        (b"", "break", "connection-failed"),
        (b"", "hang", "timed-out"),
        (b": still here\n\n", "endless", "timed-out"),
    ],
)
async def test_a_stream_is_survived_however_it_behaves(events: bytes, then: str, ending: str) -> None:
    asked: list[str] = []

    async def body() -> AsyncGenerator[bytes]:
        yield events
        if then == "break":
            raise ConnectionResetError
        while then == "endless":
            yield b": still here\n\n" + (sse(WORKING) if ending == "looked" else b"")
            await asyncio.sleep(0.005)
        if then == "hang":
            await asyncio.Event().wait()

    async def serve(request: Request) -> Response:
        method = str((await request.json())["method"])
        asked.append(method)
        if method == "SendStreamingMessage":
            return StreamingResponse(body(), media_type="text/event-stream")
        task = {**WORKING["task"], "status": {"state": "TASK_STATE_COMPLETED"}}
        return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": task})

    text = "  - it: { call: a2a, with: { server: 'URL', method: message/stream, parameters: { message: {} } } }\n"
    async with serving(Starlette(routes=[Route("/", serve, methods=["POST"])])) as url:
        run, _ = await walked(text.replace("URL", f"{url}/"), timeout_s=1)
    if ending in ("at once", "looked"):
        assert output(run)["kind"] == "task"
        assert asked == ["SendStreamingMessage", *(["GetTask"] if ending == "looked" else [])]
    else:
        assert problem(run)["code"] == ending
        assert asked == ["SendStreamingMessage"]


async def test_a_stream_larger_than_allowed_is_left_and_the_task_looked_at() -> None:
    big = {"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": "a", "parts": [{"text": "x" * 60_000}]}}}

    async def body() -> AsyncGenerator[bytes]:
        yield sse(WORKING)
        while True:
            yield sse(big)
            await asyncio.sleep(0)  # it hears there that the other side has gone

    async def serve(request: Request) -> Response:
        if (await request.json())["method"] == "SendStreamingMessage":
            return StreamingResponse(body(), media_type="text/event-stream")
        task = {**WORKING["task"], "status": {"state": "TASK_STATE_COMPLETED"}}
        return JSONResponse({"jsonrpc": "2.0", "id": 1, "result": task})

    text = "  - it: { call: a2a, with: { server: 'URL', method: message/stream, parameters: { message: {} } } }\n"
    async with serving(Starlette(routes=[Route("/", serve, methods=["POST"])])) as url:
        run, entries = await walked(text.replace("URL", f"{url}/"), max_response_bytes=1_000_000)
    assert output(run)["kind"] == "task"
    assert "/do/0/it#1/look/0" in entries
