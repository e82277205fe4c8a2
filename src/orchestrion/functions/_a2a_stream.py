"""A stream of an agent's events, put together to the task or message they tell of."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from a2a.types.a2a_pb2 import Message, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseError

from orchestrion.core import OrchestrionError, PolicyDenied

_OPEN = (TaskState.TASK_STATE_UNSPECIFIED, TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)


async def followed(events: AsyncIterator[StreamResponse], *, seconds: float, task_id: str = "") -> Task | Message:
    """What the stream tells of, as soon as it is a message or a task that does not go on by itself.

    A stream that ends, breaks, lies or takes longer than `seconds` after it told of a task gives the task as far as it
    went: whoever waits for it looks at it from then on. `task_id`: the only task it may tell of.

    Raises: what the stream raised before it told of anything; ValueError for one that told of nothing, or of another task.
    """
    task: Task | None = None
    try:
        async with asyncio.timeout(seconds), aclosing(cast("AsyncGenerator[StreamResponse]", events)):
            async for event in events:
                if event.HasField("message"):
                    return event.message
                task = _taken(task, event, task_id)
                if task.status.state not in _OPEN:
                    return task
    except PolicyDenied:
        raise
    except (TimeoutError, A2AError, ParseError, ValueError, OrchestrionError):
        if task is None:
            raise
    if task is None:
        raise ValueError("an empty stream")
    return task


def _taken(task: Task | None, event: StreamResponse, task_id: str) -> Task:
    """The task after one more event. Raises: ValueError for an event that does not belong to it."""
    known = task.id if task is not None else task_id
    match event.WhichOneof("payload"):
        case "task":
            found = event.task
            _require(found.id, known)
            return found
        case "status_update":
            task = _known(task, event.status_update, known)
            task.status.CopyFrom(event.status_update.status)
            return task
        case "artifact_update":
            task = _known(task, event.artifact_update, known)
            _add(task, event.artifact_update)
            return task
        case _:
            raise ValueError("an event of no kind")


def _known(task: Task | None, update: TaskStatusUpdateEvent | TaskArtifactUpdateEvent, known: str) -> Task:
    _require(update.task_id, known)
    return task if task is not None else Task(id=update.task_id, context_id=update.context_id)


def _require(found: str, known: str) -> None:
    if not found or (known and found != known):
        raise ValueError("an event of another task")


def _add(task: Task, update: TaskArtifactUpdateEvent) -> None:
    """A first chunk stands for the whole artifact; others lengthen it."""
    old = next((each for each in task.artifacts if each.artifact_id == update.artifact.artifact_id), None)
    if old is None and update.append:
        raise ValueError("more of an artifact that never began")
    if old is None:
        task.artifacts.append(update.artifact)
    elif update.append:
        old.parts.extend(update.artifact.parts)
    else:
        old.CopyFrom(update.artifact)
