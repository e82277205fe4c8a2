"""Trying a model: does it answer, how fast, does it call tools, does it keep to a form."""

from dataclasses import dataclass

from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Clock, Json, OrchestrionError

from ._models import Candidate

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

    def to_json(self) -> dict[str, Json]:
        return {
            "model": self.model,
            "answer": self.answer,
            "seconds": self.seconds,
            "tools": self.tools,
            "structured": self.structured,
            "problem": self.problem.problem.to_json() if self.problem else None,
        }


async def try_model(candidate: Candidate, clock: Clock) -> Trial:
    """Ask it for a word, for a tool call and for an object. It is really asked, and may cost a little. Needs a permit."""
    trial = Trial(model=candidate.name)
    try:
        began = clock.monotonic()
        said = await _ask(candidate, "Answer with the single word: ready", ModelRequestParameters())
        trial.seconds = round(clock.monotonic() - began, 3)
        trial.answer = "".join(part.content for part in said.parts if isinstance(part, TextPart))[:_SHOWN]
        tools = ModelRequestParameters(function_tools=[_TOOL])
        trial.tools = _called(await _ask(candidate, "How many of the article A-7 are there? Look it up.", tools), _TOOL)
        form = ModelRequestParameters(output_tools=[_FORM], output_mode="tool", allow_text_output=False)
        trial.structured = _called(await _ask(candidate, "What is the sum of 19 and 23?", form), _FORM)
    except OrchestrionError as error:
        trial.problem = error
    return trial


async def _ask(candidate: Candidate, prompt: str, parameters: ModelRequestParameters) -> ModelResponse:
    messages = [ModelRequest(parts=[UserPromptPart(prompt)])]
    return (await candidate.ask(messages, None, parameters, run_id="")).response


def _called(response: ModelResponse, tool: ToolDefinition) -> bool:
    """Whether it called the tool with arguments that have the required field."""
    [field] = tool.parameters_json_schema["required"]
    calls = [part for part in response.parts if isinstance(part, ToolCallPart) and part.tool_name == tool.name]
    return any(field in call.args_as_dict(raise_if_invalid=False) for call in calls)
