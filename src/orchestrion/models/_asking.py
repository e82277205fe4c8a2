"""One request to one model."""

from collections.abc import Sequence

import anyio
from pydantic_ai.direct import model_request
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings, merge_model_settings

from orchestrion.core import UserError

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
    _require_answer(candidate.name, response)
    return Asked(response=response, attempts=attempts, waited_s=waited_s)


def _require_answer(name: str, response: ModelResponse) -> None:
    """Another model may answer what this one declines; asking it again would only repeat that. Raises: UserError."""
    said = any(
        isinstance(part, ToolCallPart) or (isinstance(part, TextPart) and part.content.strip())
        for part in response.parts
    )
    if said or response.finish_reason not in {"content_filter", "length"}:
        return
    if response.finish_reason == "content_filter":
        raise UserError("model-refused", f"The model {name!r} declined to answer.", hint="Name a `fallback` for it.")
    raise UserError("model-answer-cut", f"The model {name!r} reached its longest answer before it said anything.")
