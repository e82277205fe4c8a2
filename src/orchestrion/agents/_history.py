"""What a model is shown of earlier turns: whole turns, or a turn's question and answer; never half of a tool call."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from orchestrion.core import Json, UserError, dump, parse
from orchestrion.models import ASK_TOOL

from ._definition import AgentDefinition
from ._seat import FROM_THE_TEAM
from ._sessions import CHARACTERS, TURNS


def stored(messages: Sequence[ModelMessage]) -> list[Json]:
    """A turn's messages as they are kept: without instructions, which are the agent's and may change."""
    plain = [replace(one, instructions=None) if isinstance(one, ModelRequest) else one for one in messages]
    return cast("list[Json]", ModelMessagesTypeAdapter.dump_python(plain, mode="json", exclude_none=True))


def loaded(messages: Sequence[Json]) -> list[ModelMessage]:
    """What `stored` gave."""
    return ModelMessagesTypeAdapter.validate_python(list(messages))


def spoken(history: Json, characters: int = CHARACTERS) -> list[ModelMessage]:
    """A conversation that whoever calls has kept, as `{ role, content }`: the last of it that fits, from something the user said on."""
    said = cast("Sequence[Mapping[str, str]]", history)
    first = len(said)
    for number in range(len(said) - 1, -1, -1):
        characters -= len(said[number]["content"])
        if characters < 0:
            break
        if said[number]["role"] == "user":
            first = number
    return [
        ModelRequest(parts=[UserPromptPart(one["content"])])
        if one["role"] == "user"
        else ModelResponse(parts=[TextPart(one["content"])])
        for one in said[first:]
    ]


def kept(messages: Sequence[ModelMessage], answer: Json, characters: int = CHARACTERS) -> list[Json]:
    """A turn to be kept: as it was, or where that is too long its question and its answer."""
    whole = stored(messages)
    return whole if len(dump(whole)) <= characters else stored(_reduced(messages, answer, characters))


def trimmed(turns: Sequence[Sequence[Json]], characters: int = CHARACTERS, count: int = TURNS) -> list[Json]:
    """The last turns that fit, whole, oldest first."""
    chosen: list[Sequence[Json]] = []
    for turn in reversed(turns[-count:] if count else ()):
        characters -= len(dump(list(turn)))
        if characters < 0:
            break
        chosen.append(turn)
    return [message for turn in reversed(chosen) for message in turn]


def question_and_answer(messages: Sequence[ModelMessage], given: Json, answer: Json) -> list[ModelMessage]:
    """A turn of a team: what it was given and what came of it, without how. Its other members know nothing of the tools.

    A question back stays one, so that the next message is taken as its answer.
    """
    fields = cast("Mapping[str, Json]", given)
    prompt = dump({name: value for name, value in fields.items() if name not in FROM_THE_TEAM})
    asking = [(message, part) for message in messages if isinstance(message, ModelResponse) for part in _asks(message)]
    start: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(prompt)])]
    if not (asking and isinstance(answer, Mapping) and answer.get("asks") is True):
        said = answer if isinstance(answer, str) else dump(answer)
        return [*start, ModelResponse(parts=[TextPart(said)])]
    message, call = asking[-1]
    returned = [
        part
        for request in messages
        if isinstance(request, ModelRequest)
        for part in request.parts
        if isinstance(part, ToolReturnPart) and part.tool_call_id == call.tool_call_id
    ]
    end: list[ModelMessage] = [ModelRequest(parts=list(returned))] if returned else []
    return [*start, replace(message, parts=[call]), *end]


def declared(messages: Sequence[Json], definition: AgentDefinition) -> list[Json]:
    """A team's turn as one of its agents may see it: of what was given only the fields that its own file declares."""
    properties = definition.input.get("properties")
    if not isinstance(properties, Mapping):
        return list(messages)
    return stored([_declared(message, properties) for message in loaded(messages)])


def _declared(message: ModelMessage, properties: Mapping[str, Json]) -> ModelMessage:
    if not isinstance(message, ModelRequest):
        return message
    parts = [
        replace(part, content=_fields(part.content, properties)) if isinstance(part, UserPromptPart) else part
        for part in message.parts
    ]
    return replace(message, parts=parts)


def _fields(content: object, properties: Mapping[str, Json]) -> str:
    try:
        given = parse(str(content))
    except UserError:
        return ""  # cut to fit: which field it was of is not known any more
    fields: Mapping[str, Json] = given if isinstance(given, Mapping) else {}
    return dump({name: value for name, value in fields.items() if name in properties})


def _asks(message: ModelResponse) -> list[ToolCallPart]:
    return [part for part in message.parts if isinstance(part, ToolCallPart) and part.tool_name == ASK_TOOL]


def call_ids(messages: Sequence[ModelMessage]) -> set[str]:
    """Ids of the tool calls in them: a provider may use them again."""
    return {
        part.tool_call_id
        for message in messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }


def _reduced(messages: Sequence[ModelMessage], answer: Json, characters: int) -> list[ModelMessage]:
    prompts = [
        part
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    each = max(1, characters // 4)
    asked = [replace(part, content=str(part.content)[:each]) for part in prompts[:1]]
    said = answer if isinstance(answer, str) else dump(answer)
    return [ModelRequest(parts=list(asked)), ModelResponse(parts=[TextPart(said[:each])])]
