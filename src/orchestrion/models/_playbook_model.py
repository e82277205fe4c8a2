"""A playbook as a model of pydantic-ai: it reads the conversation and answers by rules."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from orchestrion.core import Json, dump

from ._playbook import Playbook
from ._rules import CallStatus, CallTool, Conversation, Say, ToolCall, next_step
from ._template import shown


class PlaybookModel(Model[None]):
    """Answers by the rules of a playbook, and says so: the response's metadata names the rule and why."""

    def __init__(self, playbook: Playbook) -> None:
        super().__init__()
        self._playbook = playbook

    @property
    def model_name(self) -> str:
        return f"playbook:{self._playbook.name}"

    @property
    def system(self) -> str:
        return "playbook"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        conversation = conversation_of(messages, {tool.name for tool in parameters.function_tools})
        step = next_step(self._playbook, conversation)
        output_tool = parameters.output_tools[0].name if parameters.output_tools else None
        match step:
            case CallTool(tool=tool, arguments=arguments):
                part = ToolCallPart(tool, dict(arguments))
            case Say(answer=answer):
                part = _answer(answer, output_tool)
        why: dict[str, Json] = {"answered_by": "rules", "playbook": self._playbook.name, "rule": step.rule.name}
        if step.rule.why:
            why["why"] = step.rule.why
        return ModelResponse(parts=[part], model_name=self.model_name, provider_name=self.system, metadata=why)


def _answer(answer: str | Mapping[str, Json], output_tool: str | None) -> TextPart | ToolCallPart:
    fields = {"reply": answer} if isinstance(answer, str) else dict(answer)
    if output_tool is not None:
        return ToolCallPart(output_tool, fields)
    return TextPart(shown(fields.get("reply")) if set(fields) == {"reply"} else dump(fields))


def conversation_of(messages: Sequence[ModelMessage], tools: set[str]) -> Conversation:
    """What rules see of a conversation: its input, and the tools that were called, with how they ended."""
    ends = {part.tool_call_id: part for part in _returns(messages)}
    calls = [
        _call(part, ends[part.tool_call_id], (message.metadata or {}).get("rule"))
        for message in messages
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, ToolCallPart) and part.tool_name in tools and part.tool_call_id in ends
    ]
    return Conversation(input=_input(messages), calls=calls)


def _returns(messages: Sequence[ModelMessage]) -> Iterable[ToolReturnPart]:
    requests = (message for message in messages if isinstance(message, ModelRequest))
    return (part for request in requests for part in request.parts if isinstance(part, ToolReturnPart))


def _call(call: ToolCallPart, end: ToolReturnPart, rule: Json) -> ToolCall:
    metadata: Any = end.metadata  # untyped in pydantic-ai; the agents room writes `status` and `result`
    if isinstance(metadata, Mapping) and "status" in metadata:
        written = cast("Mapping[str, Json]", metadata)
        status, result = cast("CallStatus", written["status"]), written.get("result")
    else:
        status, result = "failed", {"reason": end.model_response_str(wrap_if_error=False), "code": end.outcome}
    arguments = cast("dict[str, Json]", call.args_as_dict(raise_if_invalid=False))
    return ToolCall(
        tool=call.tool_name,
        arguments=arguments,
        status=status,
        result=result,
        rule=rule if isinstance(rule, str) else None,
    )


def _input(messages: Sequence[ModelMessage]) -> Json:
    """The agent's input stands in the first prompt, as a JSON object; any other prompt is taken as the message."""
    for message in messages:
        for part in message.parts if isinstance(message, ModelRequest) else ():
            if isinstance(part, UserPromptPart) and isinstance(part.content, str):
                try:
                    value: Json = json.loads(part.content)
                except ValueError:
                    value = None
                return value if isinstance(value, Mapping) else {"message": part.content}
    return {}
