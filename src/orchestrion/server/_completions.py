"""Chat completions as OpenAI's clients ask for them: agents, teams and workflows as models.

Source: OpenAI API reference, Chat and Models (https://platform.openai.com/docs/api-reference). What a model's caller decides there -
temperature, response format - the agent's file decides here, so it is read past; tools of the caller's own are refused.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from orchestrion.app import App, Partner, Settled, answer_text, partner, partners, settled, start_talk
from orchestrion.core import Json, OrchestrionError, Run, RunStatus, UserError, dump, parse
from orchestrion.models import Chunk, Listener

from ._answers import JsonAnswer
from ._guard import Limits
from ._identity import GuardedRoute, Me
from ._live import HEARTBEAT, STREAM, Live
from ._problems import openai_error
from ._runs import StartKey, start_key
from ._talk_shapes import Completion, V1Model, V1ModelList

PATIENCE_S = 300.0
"""Seconds a request waits for its run; the run goes on beyond."""
DONE = "data: [DONE]\n\n"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: str
    text: str | None = None


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None


class _StreamOptions(BaseModel):
    include_usage: bool = False


class CompletionGiven(BaseModel):
    """A request for a completion; fields that are not named here are read past."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": True})

    model: Annotated[
        str, Field(min_length=1, max_length=300, description="A partner's name, such as `agents/billing`.")
    ]
    messages: Annotated[list[_Message], Field(min_length=1, max_length=1000)]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    metadata: Annotated[
        dict[str, str] | None, Field(description="Further fields of the partner's input; JSON where those are no text.")
    ] = None
    session: Annotated[
        str | None,
        Field(min_length=1, max_length=200, description="A conversation kept here: then only the last message counts."),
    ] = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    n: int | None = None


def completion_routes(app: App, live: Live, limits: Limits) -> APIRouter:
    """`/v1` of an open project."""
    router = APIRouter(prefix="/v1", tags=["openai"], route_class=GuardedRoute)

    @router.get("/models", operation_id="listV1Models", response_model=V1ModelList)
    async def listed() -> Response:
        """Everybody one may talk to, as models."""
        return JsonAnswer({"object": "list", "data": [_model(app, each) for each in partners(app).values()]})

    @router.get("/models/{name:path}", operation_id="showV1Model", response_model=V1Model)
    async def shown(name: Annotated[str, Path(max_length=300)]) -> Response:
        """One of them."""
        return JsonAnswer(_model(app, partner(app, name)))

    @router.post("/chat/completions", operation_id="completeChat", response_model=Completion, responses=STREAM)
    async def complete(given: CompletionGiven, request: Request, me: Me, key: StartKey = None) -> Response:
        """Have the last message answered. A run does it, which `orchestrion.run` of the answer names."""
        whom = partner(app, given.model)
        value = _input(whom, given)
        own_key = start_key(me.name, key) if key is not None else None
        run = await start_talk(app, whom, value, subject=me.name, start_key=own_key)
        if given.stream:
            told = _Told(whom, run, usage=given.stream_options is not None and given.stream_options.include_usage)
            return live.answer(request, "completeChat", _stream(app, told, limits.heartbeat_s), retry=False)
        ended = await settled(app, run.id, within_s=PATIENCE_S)
        return JsonAnswer(_completion(whom, ended))

    return router


def _model(app: App, whom: Partner) -> Json:
    return {
        "id": whom.name,
        "object": "model",
        "created": 0,
        "owned_by": app.project.name,
        "description": whom.description,
    }


# --- what is asked ---


def _input(whom: Partner, given: CompletionGiven) -> Json:
    """The input of the run. Raises: UserError `tools-not-taken`, `one-answer`, `text-only`, `no-question`, and that of `given`."""
    if given.tools or given.functions:
        raise UserError(
            "tools-not-taken",
            "Tools of the caller are not taken.",
            hint="An agent has the tools that its file names, each under policy.",
        )
    if given.n not in {None, 1}:
        raise UserError("one-answer", "One answer is given; `n` is 1.")
    said: list[tuple[str, str]] = [
        ("assistant" if each.role == "assistant" else "user", text)
        for each in given.messages
        if each.role not in {"tool", "function"} and (text := _text(each.content))
    ]
    if not said or said[-1][0] != "user":
        raise UserError("no-question", "The last message is not from the user, so there is nothing to answer.")
    keeps = whom.kind != "workflow" and given.session is None
    history: Sequence[Json] = [{"role": role, "content": text} for role, text in said[:-1]] if keeps else ()
    return whom.given(said[-1][1], _fields(whom, given.metadata or {}), session=given.session, history=history)


def _text(content: str | list[_Part] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if any(part.type not in {"text", "refusal"} for part in content):
        raise UserError("text-only", "Only text is taken.", hint="Send parts of the type `text` alone.")
    return "\n".join(part.text for part in content if part.text)


def _fields(whom: Partner, metadata: Mapping[str, str]) -> Mapping[str, Json]:
    """The partner's fields among them. Others are the caller's own notes."""
    fields = cast("Mapping[str, Json]", whom.input.get("properties") or {})
    found: dict[str, Json] = {}
    for name in set(fields) & set(metadata):
        field = fields[name]
        text = not isinstance(field, Mapping) or field.get("type", "string") == "string"
        found[name] = metadata[name] if text else parse(metadata[name])
    return found


# --- what is answered ---


def _words(ended: Settled) -> str:
    """What is said for a run that has ended well, or goes on. Raises: OrchestrionError for one that has not."""
    run = ended.run
    if ended.waits_for:
        titles = "; ".join(each.question.title for each in ended.waits_for)
        return f"This waits for a person: {titles}. It goes on when that is answered, in the run {run.id}."
    if not run.status.ended:
        return f"This takes longer; it goes on in the run {run.id}."
    if run.status is not RunStatus.COMPLETED:
        raise _failed(run)
    return answer_text(run.output)


def _failed(run: Run) -> OrchestrionError:
    if run.problem is None:
        return UserError("run-not-completed", f"The run {run.id} is {run.status.value}.")
    problem = cast("Mapping[str, Json]", run.problem)
    why = ", ".join(str(problem[name]) for name in ("title", "detail") if problem.get(name))
    return UserError("run-not-completed", f"The run {run.id} is {run.status.value}: {why}.")


def _completion(whom: Partner, ended: Settled) -> Json:
    return {
        "id": f"chatcmpl-{ended.run.id}",
        "object": "chat.completion",
        "created": int(ended.run.created_at),
        "model": whom.name,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": _words(ended), "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _usage(ended.run),
        "orchestrion": _of_the_run(ended),
    }


def _usage(run: Run) -> Json:
    cost = cast("Mapping[str, int]", run.cost or {})
    given, made = cost.get("input_tokens", 0), cost.get("output_tokens", 0)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _of_the_run(ended: Settled) -> Json:
    """What this server adds to OpenAI's answer."""
    return {
        "run": ended.run.id,
        "status": ended.run.status.value,
        "output": ended.run.output,
        "approvals": [each.id for each in ended.waits_for],
    }


# --- streams ---


@dataclass(slots=True)
class _Told:
    """What a stream has said so far."""

    whom: Partner
    run: Run
    usage: bool
    key: str = ""
    """Where the text that is being said will stand in the record."""
    text: str = ""
    """What was said of that."""

    def chunk(self, delta: Mapping[str, Json], finish: str | None = None, **more: Json) -> str:
        choice: Json = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return self.event({"choices": [choice], **more})

    def event(self, content: Mapping[str, Json]) -> str:
        whole: Json = {
            "id": f"chatcmpl-{self.run.id}",
            "object": "chat.completion.chunk",
            "created": int(self.run.created_at),
            "model": self.whom.name,
            **content,
        }
        return f"data: {dump(whole)}\n\n"

    def say(self, chunk: Chunk) -> str | None:
        """A piece as it comes. What was said of an answer that was begun anew, or of an earlier one, cannot be taken back."""
        if chunk.kind != "text" or not chunk.text:
            return None
        place = f"{chunk.key} {chunk.attempt}"
        apart = "\n\n" if self.text and place != self.key else ""
        self.text = chunk.text if place != self.key else self.text + chunk.text
        self.key = place
        return self.chunk({"content": apart + chunk.text})

    def rest(self, words: str) -> str | None:
        """What has not been said of the answer."""
        if words.startswith(self.text):
            missing = words[len(self.text) :]
            return self.chunk({"content": missing}) if missing else None
        return self.chunk({"content": f"\n\n{words}"})


async def _stream(app: App, told: _Told, heartbeat_s: float) -> AsyncGenerator[str]:
    with app.listen(told.run.id) as voices:
        yield told.chunk({"role": "assistant", "content": ""})
        ending = asyncio.ensure_future(settled(app, told.run.id, within_s=PATIENCE_S))
        try:
            # a team's members speak at once, and which of them answers is known at the end
            async for text in _heard(told, voices if told.whom.kind == "agent" else None, ending, heartbeat_s):
                yield text
            ended = ending.result()
            if (rest := told.rest(_words(ended))) is not None:
                yield rest
        except OrchestrionError as error:
            yield f"data: {dump({'error': openai_error(error.message, error.code)})}\n\n"
            return
        finally:
            ending.cancel()
        yield told.chunk({}, "stop", orchestrion=_of_the_run(ended))
        if told.usage:
            yield told.event({"choices": [], "usage": _usage(ended.run)})
        yield DONE


async def _heard(
    told: _Told, voices: Listener | None, ending: "asyncio.Future[Settled]", heartbeat_s: float
) -> AsyncGenerator[str]:
    """What is said until the run has ended, and whatever of it is still to be heard then."""
    speaking = asyncio.ensure_future(anext(voices)) if voices is not None else None
    try:
        while True:
            waiting = {ending} if speaking is None else {ending, speaking}
            done, _ = await asyncio.wait(waiting, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                yield HEARTBEAT
            if speaking is not None and voices is not None and speaking in done:
                if (text := told.say(speaking.result())) is not None:
                    yield text
                speaking = asyncio.ensure_future(anext(voices))
            elif ending in done:
                return
    finally:
        if speaking is not None:
            speaking.cancel()
