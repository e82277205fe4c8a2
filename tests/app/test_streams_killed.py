"""Killed while an agent speaks: whoever listens is told to begin anew, hears the whole answer once, and the record is whole."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, Rooms, conduct, open_journal, open_rooms
from orchestrion.core import Json, Run, RunFilter, RunStatus, SystemClock, parse
from orchestrion.journal import MemoryJournal
from orchestrion.models import Chunk, Listener
from orchestrion.project import Project
from orchestrion.testing import CrashingJournal
from orchestrion.testing.openai_server import Behaviour, OpenAIServer, Says, Streams

pytestmark = pytest.mark.anyio

MOST_S = 60
NEVER = 10_000
LEAKING = "Write to ana@bank.example."
FILES = {
    "orchestrion.yaml": "guards: { quiet: { contacts: block } }\negress: { allow: ['MODEL'] }\n"
    "models: { desk: { provider: 'openai:gpt-4o-mini', base_url: 'http://MODEL/v1' } }\n",
    "workflows/ask.yaml": "document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }\n"
    "do:\n  - ask: { call: agent:1.0.0@default, with: { agent: clerk, input: {} } }\n",
    "agents/clerk.yaml": "name: clerk\nmodel: desk\n",
    "policies/all.cedar": '@id("all") permit (principal, action, resource);\n',
}


def write(folder: Path, model: OpenAIServer, *, guarded: bool) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text.replace("MODEL", model.address), encoding="utf-8")
    if guarded:
        with (folder / "agents/clerk.yaml").open("a") as agent:
            agent.write("guard: quiet\n")
    return folder


@asynccontextmanager
async def rooms_before(
    folder: Path, *script: Behaviour, guarded: bool = False, by_answers: bool = False
) -> AsyncGenerator[tuple[Rooms, OpenAIServer]]:
    """A project whose agent's model says what the script says."""
    async with (
        OpenAIServer(script, by_answers=by_answers) as model,
        open_rooms(write(folder, model, guarded=guarded)) as rooms,
    ):
        yield rooms, model


async def ended(app: App) -> Run:
    """The one run, begun or gone on with."""
    run = await app.start(app.checked.shelf.named("ask"), {}, start_key="the one run")
    return await app.engine.settle(run.id, events=True)


async def said(app: App, run: Run) -> list[Json]:
    """The answers of the model that are on record."""
    return [
        cast("Mapping[str, Any]", entry.output)["parts"][0]["content"]
        for entry in await app.journal.entries(run.id)
        if entry.function == "model:1.0.0"
    ]


async def rest(listener: Listener) -> list[tuple[int, str, str]]:
    listener.end()
    return [(chunk.attempt, chunk.kind, chunk.text) async for chunk in listener]


async def test_a_listener_is_told_to_begin_anew_and_hears_the_whole_answer_once(tmp_path: Path) -> None:
    clock = SystemClock()
    dying = CrashingJournal(MemoryJournal(clock), at=NEVER)
    script = (Streams(["Good "], stalls=True), Streams(["Good ", "day."]))
    async with rooms_before(tmp_path, *script) as (rooms, model):
        with rooms.models.audience.listen() as listener:
            async with conduct(rooms, dying.journal, clock=clock) as app:
                playing = asyncio.ensure_future(ended(app))
                async with asyncio.timeout(MOST_S):
                    assert [(await anext(listener)).kind, (await anext(listener)).text] == ["reset", "Good "]
                playing.cancel()
                await dying.bury(app.engine)
            async with conduct(rooms, dying.inner, clock=clock) as app:
                run = await ended(app)
                record = await said(app, run)
            assert await rest(listener) == [(2, "reset", ""), (2, "text", "Good "), (2, "text", "day.")]
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"reply": "Good day."})
    assert record == ["Good day."]
    assert len(model.requests) == 2


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "orchestrion", "run", "ask", "--key", "one", "--follow", "--project", str(folder)]


async def test_a_killed_command_that_is_given_again_shows_the_whole_answer(tmp_path: Path) -> None:
    script = (Streams(["Good "], stalls=True), Streams(["Good ", "day."]))
    async with OpenAIServer(script) as model:
        write(tmp_path, model, guarded=False)
        first = await asyncio.create_subprocess_exec(*command(tmp_path), stdout=-1, stderr=-1)
        assert first.stderr is not None
        async with asyncio.timeout(MOST_S):
            await first.stderr.readuntil(b"Good ")
        first.kill()
        await first.communicate()
        again = await asyncio.create_subprocess_exec(*command(tmp_path), "--json", stdout=-1, stderr=-1)
        async with asyncio.timeout(MOST_S):
            out, shown = await again.communicate()
    assert again.returncode == 0, shown
    assert cast("Mapping[str, Json]", parse(out))["output"] == {"reply": "Good day."}
    heading, answer = shown.decode().split("\n")[1:3]
    assert heading.endswith("/model/0")
    assert answer == "Good day."
    async with open_journal(Project.load(tmp_path), mode="own", clock=SystemClock()) as journal:
        (run,) = await journal.runs(RunFilter())
        (answer_entry,) = [e for e in await journal.entries(run.id) if e.function == "model:1.0.0"]
    assert "Good day." in str(answer_entry.output)


async def guarded(folder: Path, *script: Behaviour) -> tuple[Run, list[tuple[int, str, str]], OpenAIServer]:
    clock = SystemClock()
    async with rooms_before(folder, *script, guarded=True) as (rooms, model):
        with rooms.models.audience.listen() as listener:
            async with conduct(rooms, MemoryJournal(clock), clock=clock) as app:
                run = await ended(app)
            return run, await rest(listener), model


async def test_an_answer_that_was_refused_is_asked_for_again_and_only_the_next_is_heard(tmp_path: Path) -> None:
    run, chunks, model = await guarded(tmp_path, Says(LEAKING), Says("Good day."))
    assert (run.status, run.output) == (RunStatus.COMPLETED, {"reply": "Good day."})
    assert chunks == [(1, "reset", ""), (1, "text", "Good day.")]
    assert "may not leave" in str(model.requests[1]["messages"][-1])
    assert not any(request.get("stream") for request in model.requests)


async def test_answers_refused_to_the_limit_are_a_clear_problem_and_nothing_is_heard(tmp_path: Path) -> None:
    run, chunks, model = await guarded(tmp_path, Says(LEAKING))
    problem = cast("Mapping[str, Json]", run.problem)
    assert run.status is RunStatus.FAULTED
    assert (problem["code"], problem["status"]) == ("agent-guard", 403)
    assert "none of 3 answers" in str(problem["detail"])
    assert len(model.requests) == 3
    assert chunks == []


async def test_killed_anywhere_nothing_of_a_refused_answer_is_heard(tmp_path: Path) -> None:
    clock = SystemClock()
    heard: list[Chunk] = []
    script = (Says(LEAKING), Says("Good day."))
    async with rooms_before(tmp_path, *script, guarded=True, by_answers=True) as (rooms, _):
        at, killed = 1, True
        while killed:
            dying = CrashingJournal(MemoryJournal(clock), at=at, moment="after")
            with rooms.models.audience.listen() as listener:
                async with conduct(rooms, dying.journal, clock=clock) as app:
                    playing = asyncio.ensure_future(ended(app))
                    crash = asyncio.ensure_future(dying.crashed.wait())
                    async with asyncio.timeout(MOST_S):
                        await asyncio.wait([playing, crash], return_when=asyncio.FIRST_COMPLETED)
                    crash.cancel()
                    killed = dying.crashed.is_set()
                    if killed:
                        playing.cancel()
                        await dying.bury(app.engine)
                async with conduct(rooms, dying.inner, clock=clock) as app:
                    run = await ended(app)
                listener.end()
                heard += [chunk async for chunk in listener]
            assert (run.status, run.output) == (RunStatus.COMPLETED, {"reply": "Good day."})
            at += 1
    assert at > 5
    assert {chunk.text for chunk in heard} == {"", "Good day."}
