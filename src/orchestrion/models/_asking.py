"""One request to one model."""

from collections.abc import Sequence

import anyio
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, merge_model_settings

from ._models import Asked, Candidate
from ._patience import insist


async def ask(
    candidate: Candidate,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
    run_id: str,
) -> Asked:
    """The answer of one candidate. Providers' own retries are off: patience is ours, and bounded."""
    model, waited_s = candidate.model, 0.0
    if "max_retries" not in model.unsupported_settings and candidate.effect == "read":
        settings = merge_model_settings(settings, ModelSettings(max_retries=0))

    async def once() -> ModelResponse:
        nonlocal waited_s
        async with candidate.slots.slot(candidate.name, candidate.limits, run_id) as slot_s:
            waited_s += slot_s
            with anyio.fail_after(candidate.timeout_s):
                return await model_request(
                    model, messages, model_settings=settings, model_request_parameters=parameters, instrument=False
                )

    candidate.require_in_service()
    response, attempts = await insist(candidate.name, once, patience=candidate.patience, breaker=candidate.breaker)
    return Asked(response=response, attempts=attempts, waited_s=waited_s)
