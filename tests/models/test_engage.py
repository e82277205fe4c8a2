"""Rules that hand work to members of a team, and that sum a panel up."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Json, dump
from orchestrion.models import Playbook, PlaybookModel, Surroundings, check_playbook, parse_playbook

pytestmark = pytest.mark.anyio

RULES: list[dict[str, Json]] = [
    {"name": "money", "when": {"says": "money"}, "engage": "billing", "arguments": {"task": "{input.message}"}},
    {"name": "refused", "when": {"refused": "billing"}, "answer": "no: {refusals.billing.reason}"},
    {"name": "cards", "when": {"done": "billing"}, "engage": "technical"},
    {"name": "end", "answer": "{tools.billing.reply} {tools.technical.reply}"},
]


def playbook(rules: Sequence[Mapping[str, Json]] = RULES) -> Playbook:
    parsed = parse_playbook({"rules": list(rules)}, name="lead")
    assert isinstance(parsed, Playbook), parsed
    return parsed


def member(tool: str, name: str, *below: str) -> ToolDefinition:
    return ToolDefinition(name=tool, metadata={"member": name, "contains": list(below)})


FLAT = [member("ask_billing", "billing"), member("ask_technical", "technical")]
DEEP = [member("desk", "desk", "billing", "technical")]


async def ask(
    messages: list[ModelMessage], tools: list[ToolDefinition], output: ToolDefinition | None = None
) -> object:
    parameters = ModelRequestParameters(
        function_tools=tools, output_tools=[output] if output else [], output_mode="tool" if output else "text"
    )
    return await PlaybookModel(playbook()).request(messages, None, parameters)


async def conversation(tools: list[ToolDefinition], ends: Sequence[tuple[str, Json]]) -> list[str]:
    """The tools that are called one after another, and the answer."""
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart('{"message": "my money"}')])]
    said: list[str] = []
    for number in range(9):
        response = await ask(messages, tools)
        assert isinstance(response, ModelResponse)
        part = response.parts[0]
        if not isinstance(part, ToolCallPart):
            return [*said, cast("str", getattr(part, "content", ""))]
        said.append(f"{part.tool_name} {dump(part.args_as_dict())}")
        status, result = ends[number]
        metadata = {"status": status, "result": result}
        returned = ToolReturnPart(part.tool_name, result, part.tool_call_id, metadata=metadata)
        messages += [response, ModelRequest(parts=[returned])]
    return said


async def test_a_member_is_engaged_by_its_name_once() -> None:
    ends: list[tuple[str, Json]] = [("done", {"reply": "paid"}), ("done", {"reply": "blocked"})]
    assert await conversation(FLAT, ends) == [
        'ask_billing {"task":"my money"}',
        "ask_technical {}",
        "paid blocked",
    ]


async def test_the_same_rules_reach_members_below_others() -> None:
    ends: list[tuple[str, Json]] = [("done", {"reply": "paid"}), ("done", {"reply": "blocked"})]
    assert await conversation(DEEP, ends) == ['desk {"task":"my money"}', "desk {}", "paid blocked"]


async def test_a_refused_member_is_a_condition() -> None:
    assert await conversation(FLAT, [("refused", {"reason": "not today"})]) == [
        'ask_billing {"task":"my money"}',
        "no: not today",
    ]


async def test_a_rule_does_not_hold_where_its_member_is_not_offered() -> None:
    assert await conversation([FLAT[1]], []) == [" "]


async def test_a_panel_is_summed_up_from_what_was_said() -> None:
    panel: Json = {"contributions": [{"by": "a"}], "disagreements": ["b"]}
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(dump({"message": "hi", "panel": panel}))])]
    schema = {"type": "object", "required": ["reply", "contributions", "disagreements"]}
    response = await ask(messages, [], ToolDefinition(name="answer", parameters_json_schema=schema))
    assert isinstance(response, ModelResponse)
    part = response.parts[0]
    assert isinstance(part, ToolCallPart)
    assert part.args_as_dict() == {"reply": " ", **panel}


def test_unknown_members_are_found() -> None:
    around = Surroundings(tools={}, input_fields=["message"], output_schema=None, members=["billing"])
    found = [(one.pointer, one.message) for one in check_playbook(playbook(), around)]
    assert found == [("/rules/2/engage", "There is no agent or team 'technical'.")]
