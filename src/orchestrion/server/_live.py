"""Server-sent events: a run as its record grows, and the runs of a project as they move.

A stream holds no queue: it reads from the journal what came after its position, when it is told that there is something. So a slow
client is only late, and one that comes back with `Last-Event-ID` goes on where it was.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.responses import StreamingResponse

from orchestrion.app import App
from orchestrion.core import EntryStatus, Json, OrchestrionError, TransientError, dump
from orchestrion.models import Chunk, Listener

from ._answers import durable
from ._changes import Changes
from ._guard import Limits
from ._identity import Door, GuardedRoute
from ._run_shapes import entry_summary, run_summary
from ._runs import RunId, required

PAUSE_S = 0.1
"""News of a run within so long are read together."""
PAGE = 500
MOST_OPEN = 20
"""Open entries a position names; with more of them it goes back to the first."""
EXPECTED_S = 10.0
"""What is said of a run is kept so long for whoever is about to follow it."""
BEYOND = 2**62
"""After every place."""
EVENT_STREAM = "text/event-stream"
LastId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=1000, description="Where the stream broke off.")
]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}, "description": "Server-sent events."}
}

_POSITION = re.compile(r"(\d{1,6})\.(-?\d{1,18})((?:,\d{1,18}){0,20})")
_NUMBER = re.compile(r"([0-9a-f]{12})\.(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What a client has of a run: everything up to a place, but for entries that were open then."""

    attempt: int = 0
    after: int = -1
    open: tuple[int, ...] = ()

    def __str__(self) -> str:
        if len(self.open) > MOST_OPEN:
            return f"{self.attempt}.{min(self.open) - 1}"
        return ",".join([f"{self.attempt}.{self.after}", *map(str, self.open)])

    @staticmethod
    def read(text: str | None) -> "Position":
        """From a `Last-Event-ID`; the beginning where it is none of ours."""
        found = _POSITION.fullmatch(text or "")
        if found is None:
            return Position()
        open_ = tuple(int(place) for place in found[3].split(",") if place)
        return Position(attempt=int(found[1]), after=int(found[2]), open=open_)

    def past(self, place: int, *, ended: bool) -> "Position":
        """Once the client has this entry."""
        known = tuple(each for each in self.open if each != place)
        return replace(self, after=max(self.after, place), open=known if ended else (*known, place))


class Live:
    """The streams of a server."""

    def __init__(self, app: App, changes: Changes, door: Door, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._changes = changes
        self._door = door
        self.closing = asyncio.Event()
        """Set when the server stops taking requests."""
        self._streams = 0
        self._expected: dict[str, tuple[ExitStack, Listener]] = {}

    def expect(self, run_id: str) -> None:
        """Somebody is about to follow a run: agents speak already, and what they say is kept for them a while."""
        if run_id in self._expected or len(self._expected) >= self._limits.streams:
            return
        stack = ExitStack()
        self._expected[run_id] = (stack, stack.enter_context(self._app.listen(run_id)))
        asyncio.get_running_loop().call_later(EXPECTED_S, self._expect_no_more, run_id, stack)

    def _expect_no_more(self, run_id: str, stack: ExitStack) -> None:
        if run_id in self._expected and self._expected[run_id][0] is stack:
            del self._expected[run_id]
            stack.close()

    def _voices(self, run_id: str, stack: AsyncExitStack) -> Listener:
        """What is said of a run: from its beginning for the first one who was expected."""
        if run_id in self._expected:
            kept, voices = self._expected.pop(run_id)
            stack.enter_context(kept)
            return voices
        return stack.enter_context(self._app.listen(run_id))

    def close(self) -> None:
        """End all streams: clients come back to whoever serves next."""
        self.closing.set()

    def answer(self, request: Request, operation: str, events: AsyncGenerator[str], *, retry: bool = True) -> Response:
        """`retry`: clients come back by themselves. Raises: UserError `too-busy` with too many streams."""
        self.require_room()
        guarded = self._guarded(request, operation, events, "retry: 2000\n" if retry else "")
        return StreamingResponse(guarded, media_type=EVENT_STREAM, headers={"x-accel-buffering": "no"})

    async def _guarded(
        self, request: Request, operation: str, events: AsyncGenerator[str], retry: str
    ) -> AsyncGenerator[str]:
        """The events, while whoever listens may; a heartbeat is when that is asked again."""
        try:
            with self.counted():
                yield f": welcome\n{retry}\n"
                async for event in events:
                    if event == HEARTBEAT and not await self.may(request, operation):
                        return
                    yield event
        finally:
            await events.aclose()

    def require_room(self) -> None:
        """Raises: TransientError `too-busy` with too many streams."""
        if self._streams >= self._limits.streams:
            raise TransientError("too-busy", f"{self._streams} streams are open, and no more can be.")

    @contextmanager
    def counted(self) -> Generator[None]:
        """One stream more, for as long as the block runs."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def may(self, request: Request, operation: str) -> bool:
        """Whether whoever listens still may."""
        try:
            await self._door.let_in(request, operation)
        except OrchestrionError:
            return False
        return True

    async def run(self, run_id: str, position: Position) -> AsyncGenerator[str]:
        """A run's entries as they begin and end, its status, and answers of agents while they are made."""
        async with AsyncExitStack() as stack:
            follower = stack.enter_context(self._app.feed.follow(run_id))
            voices = self._voices(run_id, stack)
            told: Json = None
            while not self.closing.is_set():
                follower.take()
                run = await self._app.journal.run(run_id)
                if run is None:
                    yield _event("gone", {"id": run_id})
                    return
                if run.attempt != position.attempt:
                    position = Position(attempt=run.attempt)
                    yield _event("reset", {"attempt": run.attempt}, str(position))
                async for text, moved in self._entries(run_id, position):
                    position = moved
                    yield text
                summary = run_summary(run)
                if summary != told:
                    told = summary
                    yield _event("run", summary, str(position))
                if run.status.ended:
                    yield _event("end", {"status": run.status.value}, str(position))
                    return
                async for chunk in self.until_news(follower.news, voices):
                    yield _chunk(chunk) if chunk is not None else HEARTBEAT

    async def _entries(self, run_id: str, position: Position) -> AsyncGenerator[tuple[str, Position]]:
        """Those that were open and are not any more, then the new ones; each with the position of whoever has it."""
        journal, open_ = durable(self._app), position.open
        for some in (open_[at : at + PAGE] for at in range(0, len(open_), PAGE)):
            for place, entry in await journal.changes(run_id, BEYOND, also=some, limit=PAGE):
                if entry.status is not EntryStatus.INTENT:
                    position = position.past(place, ended=True)
                    yield _event("entry", entry_summary(place, entry), str(position)), position
        while page := await journal.changes(run_id, position.after, limit=PAGE):
            for place, entry in page:
                position = position.past(place, ended=entry.status is not EntryStatus.INTENT)
                yield _event("entry", entry_summary(place, entry), str(position)), position

    async def until_news(self, news: asyncio.Event, voices: Listener) -> AsyncGenerator[Chunk | None]:
        """What agents say meanwhile; None when nothing has happened for long."""
        waiting = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(self.closing.wait())]
        speaking = asyncio.ensure_future(anext(voices))
        try:
            while not any(task.done() for task in waiting):
                done, _ = await asyncio.wait(
                    [*waiting, speaking], timeout=self._limits.heartbeat_s, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    yield None
                if speaking.done():
                    yield speaking.result()
                    speaking = asyncio.ensure_future(anext(voices))
        finally:
            for task in [*waiting, speaking]:
                task.cancel()
        await asyncio.sleep(PAUSE_S)

    async def project(self, last_id: str | None) -> AsyncGenerator[str]:
        """Runs and approvals as they change. `reset`: what changed before is not remembered any more, look anew."""
        number = self._number(last_id)
        if number is None:
            number = self._changes.last
            yield _event("reset", {"reason": "beginning" if last_id is None else "too long ago"}, self._id(number))
        while not self.closing.is_set():
            found = self._changes.since(number)
            if found is None:
                number = self._changes.last
                yield _event("reset", {"reason": "too much at once"}, self._id(number))
                continue
            for change in found:
                number = change.number
                yield _event(change.kind, change.content, self._id(number))
            if not await self._changed(number):
                yield HEARTBEAT

    async def _changed(self, number: int) -> bool:
        """Whether there is something new, or the server closes, before a heartbeat is due."""
        waiting = [
            asyncio.ensure_future(self._changes.wait(number, self._limits.heartbeat_s)),
            asyncio.ensure_future(self.closing.wait()),
        ]
        try:
            await asyncio.wait(waiting, timeout=self._limits.heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            return any(task.done() and task.result() for task in waiting)
        finally:
            for task in waiting:
                task.cancel()

    def _id(self, number: int) -> str:
        return f"{self._changes.id}.{number}"

    def _number(self, last_id: str | None) -> int | None:
        """The number of a position of this process that is still remembered."""
        found = _NUMBER.fullmatch(last_id or "")
        if found is None or found[1] != self._changes.id or self._changes.since(int(found[2])) is None:
            return None
        return int(found[2])


HEARTBEAT = ": still here\n\n"


def _event(kind: str, content: Json, position: str | None = None) -> str:
    """JSON text has no line breaks, so one line of data holds it."""
    place = f"id: {position}\n" if position is not None else ""
    return f"{place}event: {kind}\ndata: {dump(content)}\n\n"


def _chunk(chunk: Chunk) -> str:
    return _event(
        "chunk",
        {"key": chunk.key, "attempt": chunk.attempt, "kind": chunk.kind, "text": chunk.text, "lost": chunk.lost},
    )


def live_routes(app: App, live: Live) -> APIRouter:
    """The streams."""
    router = APIRouter(tags=["live"], route_class=GuardedRoute)

    @router.get("/runs/{run_id}/events", operation_id="followRun", response_class=Response, responses=STREAM)
    async def follow_run(request: Request, run_id: RunId, last_id: LastId = None) -> Response:
        """A run as it happens: `entry`, `run`, `chunk` of an answer that is being made, `reset`, `end`."""
        await required(app, run_id)
        return live.answer(request, "followRun", live.run(run_id, Position.read(last_id)))

    @router.get("/events", operation_id="followProject", response_class=Response, responses=STREAM)
    async def follow_project(request: Request, last_id: LastId = None) -> Response:
        """The project as it moves: `run` and `approval` as they are after each change, `reset`."""
        return live.answer(request, "followProject", live.project(last_id))

    return router
