"""What rules see of a conversation with a model: the exchange that is going on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Json

from ._playbook import Playbook
from ._rules import CallStatus, Conversation, Member, ToolCall
from ._template import lookup

ASK_TOOL = "ask_back"
"""The output tool with which a turn ends in a question."""


def conversation_of(
    messages: Sequence[ModelMessage], tools: Sequence[ToolDefinition], playbook: Playbook
) -> Conversation:
    """Input and tool calls since the last answer that was no question: what the customer wrote meanwhile is one message."""
    messages = _exchange(messages)
    ends = {part.tool_call_id: part for part in _returns(messages)}
    members = [member for tool in tools if (member := _member(tool)) is not None]
    names: dict[str, list[str]] = {tool.name: [] for tool in tools}
    for member in members:
        names[member.tool].append(member.name)
    engaged = {rule.name: step.engage for rule in playbook.rules for step in rule.steps if step.engage is not None}
    calls: list[ToolCall] = []
    for message, part in _calls(messages):
        if part.tool_name in names and part.tool_call_id in ends:
            rule = (message.metadata or {}).get("rule")
            wanted = [(message.metadata or {}).get("engage") or engaged.get(str(rule))]
            also = dict.fromkeys([*names[part.tool_name], *(str(each) for each in wanted if each)])
            calls.append(_call(part, ends[part.tool_call_id], rule, list(also)))
    return Conversation(
        input=_input(messages, playbook.message),
        calls=calls,
        members=members,
        asked={str((message.metadata or {}).get("rule")) for message, part in _calls(messages) if _asks(part)},
    )


def _exchange(messages: Sequence[ModelMessage]) -> Sequence[ModelMessage]:
    """From the first prompt after the last answer that was no question."""
    start = 0
    ended = False
    for at, message in enumerate(messages):
        if isinstance(message, ModelRequest) and any(isinstance(part, UserPromptPart) for part in message.parts):
            start = at if ended or at == 0 else start
            ended = False
        elif isinstance(message, ModelResponse):
            ended = not any(isinstance(part, ToolCallPart) and _asks(part) for part in message.parts)
    return messages[start:]


def _calls(messages: Sequence[ModelMessage]) -> Iterator[tuple[ModelResponse, ToolCallPart]]:
    for message in messages:
        if isinstance(message, ModelResponse):
            yield from ((message, part) for part in message.parts if isinstance(part, ToolCallPart))


def _asks(part: ToolCallPart) -> bool:
    return part.tool_name == ASK_TOOL


def _member(tool: ToolDefinition) -> Member | None:
    """Whom of a team a tool stands for, as the agents room wrote it."""
    said = tool.metadata or {}
    if "member" not in said:
        return None
    return Member(tool=tool.name, name=str(said["member"]), contains=[str(each) for each in said.get("contains", ())])


def _returns(messages: Sequence[ModelMessage]) -> Iterator[ToolReturnPart]:
    requests = (message for message in messages if isinstance(message, ModelRequest))
    return (part for request in requests for part in request.parts if isinstance(part, ToolReturnPart))


def _call(call: ToolCallPart, end: ToolReturnPart, rule: Json, names: Sequence[str]) -> ToolCall:
    metadata: Any = end.metadata  # untyped in pydantic-ai; the agents room writes `status`, `result` and `entry`
    written: Mapping[str, Json] = cast("Mapping[str, Json]", metadata) if isinstance(metadata, Mapping) else {}
    if "status" in written:
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
        entry=cast("str | None", written.get("entry")),
        names=names,
    )


def _input(messages: Sequence[ModelMessage], field: str) -> Json:
    """The last prompt is the agent's input, a JSON object, or else the message; earlier messages of the exchange stand before it."""
    given = [
        _given(part.content, field)
        for message in messages
        for part in (message.parts if isinstance(message, ModelRequest) else ())
        if isinstance(part, UserPromptPart) and isinstance(part.content, str)
    ]
    texts = [text for each in given if isinstance(text := lookup(each, field), str)]
    if len(texts) < 2:
        return given[-1] if given else {}
    return {**given[-1], field: "\n".join(texts)}


def _given(content: str, field: str) -> Mapping[str, Json]:
    try:
        value: Json = json.loads(content)
    except ValueError:
        value = None
    return value if isinstance(value, Mapping) else {field: content}
