"""What the A2A server does with runs: start, answer, look, follow, stop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass

from a2a.server.events.event_queue import Event
from a2a.types.a2a_pb2 import (
    Artifact,
    Part,
    SendMessageRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import InvalidParamsError, PushNotificationNotSupportedError, UnsupportedOperationError
from starlette.requests import Request as HttpRequest

from orchestrion.app import App, require_role, settled, start_talk
from orchestrion.core import Answer, Datum, OrchestrionError, Request, RequestStatus, Run
from orchestrion.functions import check_answer
from orchestrion.governance import Person
from orchestrion.models import Chunk

from ._a2a_messages import answer_of, context_given, given_of, said_in, whom
from ._a2a_tasks import OUTPUT, Waiting, context_of, start_key, task_of
from ._identity import Door
from ._live import Live
from ._runs import required
from ._waiting import stopped

PATIENCE_S = 300.0
"""Seconds a message waits for its run; the run goes on beyond."""
UNTRUSTED = "untrusted"
"""The label of what another system's agent answers."""
_ENDS = frozenset(
    {
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_CANCELED,
    }
)


class Runs:
    """Over an open app."""

    def __init__(self, app: App, door: Door, live: Live) -> None:
        self._app = app
        self._door = door
        self._live = live

    def require_room(self) -> None:
        self._live.require_room()

    def has_ended(self, task: Task) -> bool:
        return task.status.state in _ENDS

    async def sent(self, params: SendMessageRequest, asked: HttpRequest) -> str:
        """The run a message starts, once, or answers."""
        if params.configuration.HasField("task_push_notification_config"):
            raise PushNotificationNotSupportedError
        message, person = params.message, _person(asked)
        if message.task_id:
            return await self._answered(params, person)
        self._door.require(person, "startRun")
        to = whom(self._app, params, asked.state.whom)
        context = context_given(message, person.name)
        # a conversation is between whoever asks and the agent: nobody meets that of others by guessing a context
        given = given_of(to, said_in(message), f"{person.name}/{context}")
        key = start_key(person.name, context, message.message_id)
        return (await start_talk(self._app, to, given, subject=person.name, start_key=key)).id

    async def _answered(self, params: SendMessageRequest, person: Person) -> str:
        message = params.message
        run = await required(self._app, message.task_id)
        if message.context_id and message.context_id != context_of(run):
            raise InvalidParamsError("The task belongs to another context.")
        if run.status.ended:
            raise UnsupportedOperationError("The task has ended, and takes no more messages.")
        waiting = await self._waiting(run, person)
        if waiting.mine is None:
            raise UnsupportedOperationError("The task asks nothing that this message could answer.")
        value = answer_of(waiting.mine.question.form, said_in(message))
        check_answer(waiting.mine.question.form, value)
        said = Answer(
            verdict="answered", by=person.name, at=self._app.clock.now(), value=Datum(value).labelled(UNTRUSTED)
        )
        await self._app.answer(waiting.mine, said)
        return run.id

    async def settled(self, run_id: str, asked: HttpRequest, *, at_once: bool) -> Task:
        """A run's task, once it has ended or waits for somebody."""
        if not at_once:
            ending = asyncio.ensure_future(settled(self._app, run_id, within_s=PATIENCE_S))
            closing = asyncio.ensure_future(self._live.closing.wait())
            try:
                await asyncio.wait([ending, closing], return_when=asyncio.FIRST_COMPLETED)
            finally:
                ending.cancel()
                closing.cancel()
        return await self.task(run_id, asked)

    async def task(self, run_id: str, asked: HttpRequest) -> Task:
        """Raises: UserError `unknown-run`."""
        run = await required(self._app, run_id)
        return task_of(run, await self._waiting(run, _person(asked)))

    async def cancelled(self, run_id: str, asked: HttpRequest) -> Task:
        """Raises: UserError `unknown-run`, `run-ended`."""
        await required(self._app, run_id)
        return task_of(await stopped(self._app, run_id, _person(asked).name), Waiting())

    async def _waiting(self, run: Run, person: Person) -> Waiting:
        if run.status.ended:
            return Waiting()
        found = await self._app.journal.requests(run_id=run.id, status=RequestStatus.OPEN)
        mine = next((each for each in found if self._may_answer(each, person)), None)
        return Waiting(requests=found, mine=mine)

    def _may_answer(self, request: Request, person: Person) -> bool:
        """Questions only: an approval is given by somebody who has seen what it is for."""
        if request.question.kind != "human":
            return False
        try:
            self._door.require(person, "answerApproval")
            require_role(self._app.project, request, person.name)
        except OrchestrionError:
            return False
        return True

    async def followed(self, run_id: str, asked: HttpRequest) -> AsyncGenerator[Event]:
        """The task, then what becomes of it, until it has ended or takes an answer; what an agent says while it says it."""
        told = await self.task(run_id, asked)
        by_agent = told.metadata.fields["skill"].string_value.startswith("agents/")
        with ExitStack() as stack:
            stack.enter_context(self._live.counted())
            follower = stack.enter_context(self._app.feed.follow(run_id))
            voices = stack.enter_context(self._app.listen(run_id))
            spoken = _Spoken()
            yield told
            while not self._live.closing.is_set():
                follower.take()
                task = await self.task(run_id, asked)
                if task.status.state == TaskState.TASK_STATE_COMPLETED and told.status.state != task.status.state:
                    yield _artifact(task, task.artifacts[0], append=False, last=True)
                if task.status != told.status:
                    yield TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=task.status)
                told = task
                if self.has_ended(task) or task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED:
                    return
                async for chunk in self._live.until_news(follower.news, voices):
                    if chunk is None and not await self._live.may(asked, "a2a"):
                        return
                    # a team's members speak at once, and which of them answers is known at the end
                    if chunk is not None and by_agent and chunk.kind == "text" and chunk.text:
                        yield spoken.event(task, chunk)


@dataclass(slots=True)
class _Spoken:
    """What is being said of an answer. What was said of one that is begun anew stands no more."""

    place: str = ""

    def event(self, task: Task, chunk: Chunk) -> TaskArtifactUpdateEvent:
        place = f"{chunk.key} {chunk.attempt}"
        more, self.place = place == self.place, place
        artifact = Artifact(artifact_id=OUTPUT, name=OUTPUT, parts=[Part(text=chunk.text)])
        return _artifact(task, artifact, append=more, last=False)


def _artifact(task: Task, artifact: Artifact, *, append: bool, last: bool) -> TaskArtifactUpdateEvent:
    return TaskArtifactUpdateEvent(
        task_id=task.id, context_id=task.context_id, artifact=artifact, append=append, last_chunk=last
    )


def _person(asked: HttpRequest) -> Person:
    """Whom the route has recognised."""
    return asked.state.recognised.person
