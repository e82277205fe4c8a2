"""Trying a model: does it answer, how fast, does it call tools, does it keep to a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pydantic_ai.messages import ModelRequest, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Clock, Datum, Json, OrchestrionError, Outcome

from ._cost import cost_of
from ._models import Candidate

Question = Literal["answer", "tools", "structured"]

_SHOWN = 200
_TOOL = ToolDefinition(
    name="look_up_stock",
    description="How many of an article there are.",
    parameters_json_schema={
        "type": "object",
        "required": ["article"],
        "properties": {"article": {"type": "string"}},
        "additionalProperties": False,
    },
)
_FORM = ToolDefinition(
    name="final_result",
    description="The answer.",
    kind="output",
    parameters_json_schema={
        "type": "object",
        "required": ["sum"],
        "properties": {"sum": {"type": "integer"}},
        "additionalProperties": False,
    },
)
QUESTIONS: Mapping[Question, str] = {
    "answer": "Answer with the single word: ready",
    "tools": "How many of the article A-7 are there? Look it up.",
    "structured": "What is the sum of 19 and 23?",
}
"""What is asked, in this order."""
_PARAMETERS: Mapping[Question, ModelRequestParameters] = {
    "answer": ModelRequestParameters(),
    "tools": ModelRequestParameters(function_tools=[_TOOL]),
    "structured": ModelRequestParameters(output_tools=[_FORM], output_mode="tool", allow_text_output=False),
}


@dataclass(slots=True, kw_only=True)
class Trial:
    """What came of asking a model three times."""

    model: str
    answer: str | None = None
    seconds: float | None = None
    """Of the plain answer."""
    tools: bool = False
    structured: bool = False
    problem: OrchestrionError | None = None
    """What went wrong first. What is asked after it is not asked."""

    def take(self, question: Question, said: Json) -> None:
        """What `ask_trial` gave for a question."""
        told = cast("Mapping[str, Json]", said)
        match question:
            case "answer":
                self.answer, self.seconds = str(told["text"])[:_SHOWN], cast("float", told["seconds"])
            case "tools":
                self.tools = _called(told, _TOOL)
            case "structured":
                self.structured = _called(told, _FORM)

    def to_json(self) -> dict[str, Json]:
        return {
            "model": self.model,
            "answer": self.answer,
            "seconds": self.seconds,
            "tools": self.tools,
            "structured": self.structured,
            "problem": self.problem.problem.to_json() if self.problem else None,
        }


async def ask_trial(candidate: Candidate, question: Question, *, run_id: str, clock: Clock) -> Outcome:
    """What a model says to a question: `text`, `calls` (tool → arguments) and `seconds`. It is really asked."""
    began = clock.monotonic()
    messages = [ModelRequest(parts=[UserPromptPart(QUESTIONS[question])])]
    response = (await candidate.ask(messages, None, _PARAMETERS[question], run_id=run_id)).response
    cost, _ = cost_of(response, candidate.price)
    calls: dict[str, Json] = {
        part.tool_name: cast("Json", part.args_as_dict(raise_if_invalid=False))
        for part in response.parts
        if isinstance(part, ToolCallPart)
    }
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    seconds = round(clock.monotonic() - began, 3)
    return Outcome(output=Datum({"text": text, "calls": calls, "seconds": seconds}), cost=cost, model=candidate.name)


def _called(said: Mapping[str, Json], tool: ToolDefinition) -> bool:
    """Whether it called the tool with arguments that have the required field."""
    [field] = tool.parameters_json_schema["required"]
    arguments = cast("Mapping[str, Json]", said["calls"]).get(tool.name)
    return isinstance(arguments, Mapping) and field in arguments
