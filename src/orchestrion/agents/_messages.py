"""Messages as the journal stores them: ours, whatever the library calls its parts, and without what changes by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from pydantic import TypeAdapter
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from orchestrion.core import Json, canonical, digest_of_list

_RESPONSE = TypeAdapter(ModelResponse)


def response_json(response: ModelResponse) -> Json:
    """A model's answer, to be stored."""
    return cast("Json", _RESPONSE.dump_python(response, mode="json", exclude_none=True))


def response_from(value: Json) -> ModelResponse:
    """What `response_json` wrote."""
    return _RESPONSE.validate_python(value)


def new_messages(messages: Sequence[ModelMessage]) -> list[Json]:
    """What a request adds to the conversation since the model's last answer. Times and the library's ids are left out."""
    last = max((at for at, message in enumerate(messages) if isinstance(message, ModelResponse)), default=-1)
    return [part for message in messages[last + 1 :] if isinstance(message, ModelRequest) for part in _parts(message)]


class Conversation:
    """A conversation as it grows from request to request: each message of it is written out once."""

    def __init__(self) -> None:
        self._written: list[tuple[ModelMessage, object, str]] = []

    def earlier(self, messages: Sequence[ModelMessage]) -> str:
        """Digest of the conversation up to and with the model's last answer."""
        last = max((at for at, message in enumerate(messages) if isinstance(message, ModelResponse)), default=-1)
        return digest_of_list([self._text(at, message) for at, message in enumerate(messages[: last + 1])])

    def _text(self, at: int, message: ModelMessage) -> str:
        if at < len(self._written):
            known, parts, text = self._written[at]
            if known is message and parts is message.parts:
                return text
        text = canonical(_message(message))
        self._written[at:] = [(message, message.parts, text)]
        return text


def _message(message: ModelMessage) -> Json:
    if isinstance(message, ModelRequest):
        return _parts(message)
    return cast("Mapping[str, Json]", response_json(message))["parts"]


def _parts(message: ModelRequest) -> list[Json]:
    found: list[Json] = []
    for part in message.parts:
        match part:
            case UserPromptPart(content=content):
                found.append({"prompt": content if isinstance(content, str) else [str(item) for item in content]})
            case ToolReturnPart():
                found.append(
                    {
                        "tool": part.tool_name,
                        "id": part.tool_call_id,
                        "result": part.model_response_str(),
                        "end": part.outcome,
                    }
                )
            case SystemPromptPart(content=content):
                found.append({"system": content})
            case RetryFeedbackPart():
                found.append({"again": str(part.content)})
            case _:
                found.append({"part": part.part_kind})
    return found


def governable(response: ModelResponse, known_ids: set[str], output_tools: set[str], name: str) -> ModelResponse:
    """An answer as the loop takes it.

    Ids of calls become unique in the conversation: providers repeat theirs. An answer given together with tool calls is left
    out, because it was given before their results were known.
    """
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    uses_tools = any(call.tool_name not in output_tools for call in calls)
    parts: list[object] = []
    for part in response.parts:
        if not isinstance(part, ToolCallPart):
            parts.append(part)
            continue
        if uses_tools and part.tool_name in output_tools:
            continue
        position = sum(isinstance(one, ToolCallPart) for one in parts)
        own = part if part.tool_call_id not in known_ids else replace(part, tool_call_id=f"{name}k{position:03d}")
        known_ids.add(own.tool_call_id)
        parts.append(own)
    return replace(response, parts=cast("list[ToolCallPart]", parts), run_id=None, conversation_id=None)
