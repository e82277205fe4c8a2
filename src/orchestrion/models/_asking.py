"""One request to one model."""

from collections.abc import Sequence

from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, merge_model_settings

from ._models import Candidate
from ._patience import insist


async def ask(
    candidate: Candidate,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
) -> ModelResponse:
    """The answer of one candidate. Providers' own retries are off: patience is ours, and bounded."""
    model = candidate.model
    if "max_retries" not in model.unsupported_settings and candidate.effect == "read":
        settings = merge_model_settings(settings, ModelSettings(max_retries=0))
    return await insist(
        candidate.name,
        lambda: model_request(
            model, messages, model_settings=settings, model_request_parameters=parameters, instrument=False
        ),
        timeout_s=candidate.timeout_s,
        patience=candidate.patience,
    )
