"""A playbook as a model of pydantic-ai: it reads the conversation and answers by rules."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Json, dump

from ._playbook import Playbook
from ._rules import CallStatus, CallTool, Conversation, Member, Say, ToolCall, next_step
from ._template import lookup, shown

_OF_PANELS = ("contributions", "disagreements")


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
        conversation = conversation_of(messages, parameters.function_tools, self._playbook)
        step = next_step(self._playbook, conversation)
        output_tool = parameters.output_tools[0] if parameters.output_tools else None
        match step:
            case CallTool(tool=tool, arguments=arguments):
                part = ToolCallPart(tool, dict(arguments))
            case Say(answer=answer):
                part = _answer(answer, output_tool, conversation.input)
        why: dict[str, Json] = {"answered_by": "rules", "playbook": self._playbook.name, "rule": step.rule.name}
        if step.rule.why:
            why["why"] = step.rule.why
        return ModelResponse(parts=[part], model_name=self.model_name, provider_name=self.system, metadata=why)


def _answer(
    answer: str | Mapping[str, Json], output_tool: ToolDefinition | None, given: Json
) -> TextPart | ToolCallPart:
    fields: dict[str, Json] = {"reply": answer} if isinstance(answer, str) else dict(answer)
    if output_tool is not None:
        return ToolCallPart(output_tool.name, {**_panel(output_tool, given), **fields})
    return TextPart(shown(fields.get("reply")) if set(fields) == {"reply"} else dump(fields))


def _panel(output_tool: ToolDefinition, given: Json) -> dict[str, Json]:
    """What a panel's members said and where they disagree, as it was put to the one who sums it up."""
    said = lookup(given, "panel")
    required = output_tool.parameters_json_schema.get("required", ())
    if not isinstance(said, Mapping):
        return {}
    return {name: said[name] for name in _OF_PANELS if name in required and name in said}


def conversation_of(
    messages: Sequence[ModelMessage], tools: Sequence[ToolDefinition], playbook: Playbook
) -> Conversation:
    """What rules see of a conversation: its input, and the tools that were called, with how they ended.

    Of a session they see the last turn alone: what was called in an earlier one may be called again.
    """
    messages = messages[_last_turn(messages) :]
    ends = {part.tool_call_id: part for part in _returns(messages)}
    members = [member for tool in tools if (member := _member(tool)) is not None]
    names: dict[str, list[str]] = {tool.name: [] for tool in tools}
    for member in members:
        names[member.tool].append(member.name)
    engaged = {rule.name: rule.engage for rule in playbook.rules if rule.engage is not None}
    calls: list[ToolCall] = []
    for message in messages:
        for part in message.parts if isinstance(message, ModelResponse) else ():
            if isinstance(part, ToolCallPart) and part.tool_name in names and part.tool_call_id in ends:
                call = _call(part, ends[part.tool_call_id], (message.metadata or {}).get("rule"))
                wanted = [engaged[call.rule]] if call.rule in engaged else []
                calls.append(replace(call, names=list(dict.fromkeys([*names[part.tool_name], *wanted]))))
    return Conversation(input=_input(messages), calls=calls, members=members)


def _member(tool: ToolDefinition) -> Member | None:
    """Whom of a team a tool stands for, as the agents room wrote it."""
    said = tool.metadata or {}
    if "member" not in said:
        return None
    return Member(tool=tool.name, name=str(said["member"]), contains=[str(each) for each in said.get("contains", ())])


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


def _last_turn(messages: Sequence[ModelMessage]) -> int:
    """Where the last message stands that holds a prompt."""
    prompted = (
        at
        for at, message in enumerate(messages)
        if isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts)
    )
    return max(prompted, default=0)


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
