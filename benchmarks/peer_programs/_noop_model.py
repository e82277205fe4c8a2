"""The model that costs nothing, as pydantic-ai and we know models."""

from _turns import CALLS, DONE, TOOL
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings


class Noop(Model):
    @property
    def model_name(self) -> str:
        return "noop"

    @property
    def system(self) -> str:
        return "bench"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        answers = len(messages) // 2
        if answers == CALLS:
            return ModelResponse(parts=[TextPart(DONE)])
        return ModelResponse(parts=[ToolCallPart(TOOL, {"number": answers}, tool_call_id=f"call-{answers}")])
