"""What a model is shown of earlier turns: whole turns, or a turn's question and answer; never half of a tool call."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)

from orchestrion.core import Json, dump

from ._sessions import CHARACTERS, TURNS


def stored(messages: Sequence[ModelMessage]) -> list[Json]:
    """A turn's messages as they are kept: without instructions, which are the agent's and may change."""
    plain = [replace(one, instructions=None) if isinstance(one, ModelRequest) else one for one in messages]
    return cast("list[Json]", ModelMessagesTypeAdapter.dump_python(plain, mode="json", exclude_none=True))


def loaded(messages: Sequence[Json]) -> list[ModelMessage]:
    """What `stored` gave."""
    return ModelMessagesTypeAdapter.validate_python(list(messages))


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
