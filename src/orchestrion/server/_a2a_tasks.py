"""Runs as tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from a2a.types.a2a_pb2 import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct, Value

from orchestrion.app import answer_text
from orchestrion.core import Json, Request, Run, RunStatus, digest, dump

OUTPUT = "output"
"""The artifact that an answer is."""
_PREFIX = "a2a"
_STATES: Mapping[RunStatus, TaskState] = {
    RunStatus.PENDING: TaskState.TASK_STATE_SUBMITTED,
    RunStatus.RUNNING: TaskState.TASK_STATE_WORKING,
    RunStatus.WAITING: TaskState.TASK_STATE_WORKING,
    RunStatus.COMPLETED: TaskState.TASK_STATE_COMPLETED,
    RunStatus.FAULTED: TaskState.TASK_STATE_FAILED,
    RunStatus.DIVERGED: TaskState.TASK_STATE_FAILED,
    RunStatus.CANCELLED: TaskState.TASK_STATE_CANCELED,
}


def start_key(user: str, context_id: str, message_id: str) -> str:
    """Under which a message starts a run once; it keeps the context too."""
    return f"{_PREFIX}/{user}/{context_id}/{digest(message_id)[:32]}"


def context_of(run: Run) -> str:
    """The context of a run's task: the one its message belonged to, or one of its own."""
    parts = (run.start_key or "").split("/")
    return parts[2] if len(parts) == 4 and parts[0] == _PREFIX else run.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What people are asked in a run, and whether whoever looks may answer it by a message."""

    requests: Sequence[Request] = ()
    mine: Request | None = None


def task_of(run: Run, waiting: Waiting) -> Task:
    """A run as a task, with its output."""
    artifacts = [artifact_of(run.output)] if run.status is RunStatus.COMPLETED else []
    return Task(
        id=run.id,
        context_id=context_of(run),
        status=status_of(run, waiting),
        artifacts=artifacts,
        metadata=_struct({"skill": f"{run.namespace}/{run.workflow}"}),
    )


def status_of(run: Run, waiting: Waiting) -> TaskStatus:
    """`input-required`: a message can answer it. `auth-required`: somebody else decides, and it goes on by itself.

    Source: Agent2Agent Protocol 1.0, sections "TaskState" and "In-task authorization".
    """
    status = TaskStatus(state=_STATES[run.status])
    status.timestamp.FromNanoseconds(int((run.ended_at or run.started_at or run.created_at) * 1e9))
    if run.status.ended or run.status is RunStatus.DIVERGED:
        if run.problem is not None:
            status.message.CopyFrom(_said(run, _problem_words(run), "problem", run.problem))
    elif waiting.requests:
        state = TaskState.TASK_STATE_AUTH_REQUIRED
        if waiting.mine is not None:
            state = TaskState.TASK_STATE_INPUT_REQUIRED
        status.state = state
        asked = [waiting.mine] if waiting.mine is not None else waiting.requests
        words = "; ".join(each.question.title for each in asked)
        status.message.CopyFrom(_said(run, words, "requests", [_request(each) for each in asked]))
    return status


def _request(request: Request) -> Json:
    told = request.to_json()
    return {name: told[name] for name in ("id", "kind", "title", "role", "show", "form")}


def _problem_words(run: Run) -> str:
    problem = cast("Mapping[str, Json]", run.problem)
    words = ", ".join(str(problem[name]) for name in ("title", "detail", "hint") if problem.get(name))
    return words or f"The run is {run.status.value}."


def _said(run: Run, words: str, name: str, content: Json) -> Message:
    return Message(
        message_id=f"{run.id}-{run.attempt}-{name}",
        context_id=context_of(run),
        task_id=run.id,
        role=Role.ROLE_AGENT,
        parts=[Part(text=words), _data({name: content})],
    )


def artifact_of(output: Json) -> Artifact:
    """What is said, where something is, and the whole output as data, unless it is text alone."""
    text = answer_text(output)
    parts = [Part(text=text)] if text != dump(output) else []
    if not isinstance(output, str):
        parts.append(_data(output))
    return Artifact(artifact_id=OUTPUT, name=OUTPUT, parts=parts)


def _data(content: Json) -> Part:
    """As data; as text where it is nested deeper than the protocol's library allows."""
    try:
        return Part(data=ParseDict(cast("Any", content), Value()))
    except ParseError:
        return Part(text=dump(content), media_type="application/json")


def _struct(content: Mapping[str, Json]) -> Struct:
    return ParseDict(cast("Any", dict(content)), Struct())
