"""Scenarios on a real project folder: run to the end, killed on the way, played on until nothing is left to do."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrion.app import App, Rooms, conduct
from orchestrion.core import Answer, Clock, Datum, RequestStatus, Run, RunStatus, SystemClock

from ._counting_server import CountingServer
from ._crash import CrashingJournal
from ._routing import an_event
from ._scenarios import AGENT, POLICY, Scenario, child_text, document_text

PATIENCE_S = 30.0


def write_project(folder: Path, scenario: Scenario, address: str, *, model: str = "") -> Path:
    """A project that holds one scenario over the server at `address`, and the language model at `model`."""
    contents = {
        "orchestrion.yaml": f"egress: {{ allow: ['{address}'] }}\nroles: [lead]\n",
        f"workflows/{scenario.name}.yaml": document_text(scenario, address),
        "policies/all.cedar": POLICY if scenario.agent else POLICY.partition("\n")[0] + "\n",
    }
    if (child := child_text(scenario, address)) is not None:
        contents["workflows/the-child.yaml"] = child
    if scenario.agent is not None:
        contents[f"agents/{scenario.agent}.yaml"] = AGENT.replace("ADDRESS", address)
    contents |= {
        name: text.replace("ADDRESS", address).replace("MODEL", model) for name, text in scenario.files.items()
    }
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


async def play(app: App, scenario: Scenario, effects: Callable[[], Mapping[str, int]]) -> Run:
    """Start the scenario, or continue it, answering whatever is asked, until it ends.

    About an interrupted call the answer is the truth: it is looked up at the server.
    """
    run = await app.start(app.checked.shelf.named(f"crash/{scenario.name}"), {}, start_key="the one run")
    while not run.status.ended and run.status is not RunStatus.DIVERGED:
        for number, (type_, content) in enumerate(scenario.events):
            await app.receive(an_event(type_, content, id=str(number)))
        await _take_up(app)
        run = await app.engine.settle(run.id, events=True)
        for request in await app.journal.requests(status=RequestStatus.OPEN):
            await app.engine.answer(request.id, _answer(request.question.kind, scenario.answers, effects))
    return run


async def _take_up(app: App) -> None:
    """What events started or woke before a kill."""
    for run_id in await app.journal.runnable(app.clock.now(), 100):
        found = await app.journal.run(run_id)
        if found is not None:
            app.engine.advance(found)
    await asyncio.sleep(0)


def _answer(kind: str, answers: Mapping[str, object], effects: Callable[[], Mapping[str, int]]) -> Answer:
    now = SystemClock().now()
    match kind:
        case "approval":
            return Answer(verdict="approved", by="ana", at=now)
        case "interrupted":
            if "/letter" in effects():
                return Answer(verdict="performed", by="ana", at=now, value=Datum({"said": "ana"}))
            return Answer(verdict="again", by="ana", at=now)
        case _:
            return Answer(verdict="answered", by="ana", at=now, value=Datum(answers[kind]))  # pyright: ignore[reportArgumentType] plain JSON


async def play_with_crash(
    rooms: Rooms, scenario: Scenario, server: CountingServer, dying: CrashingJournal, *, clock: Clock | None = None
) -> Run:
    """Play until a write kills the engine, then go on with another on the journal within."""
    clock = clock or SystemClock()
    async with conduct(rooms, dying.journal, clock=clock) as app:
        playing = asyncio.ensure_future(play(app, scenario, server.effects))
        crash = asyncio.ensure_future(dying.crashed.wait())
        await asyncio.wait([playing, crash], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        crash.cancel()
        if not dying.crashed.is_set():
            return await asyncio.wait_for(playing, PATIENCE_S)
        playing.cancel()
        await dying.bury(app.engine)
    async with conduct(rooms, dying.inner, clock=clock) as app:
        return await asyncio.wait_for(play(app, scenario, server.effects), PATIENCE_S)
