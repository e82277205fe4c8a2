"""One request to one model."""

from collections.abc import Sequence

import anyio
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings, merge_model_settings

from orchestrion.core import OrchestrionError, TransientError, UserError

from ._audience import Speech, Voice
from ._models import Asked, Candidate
from ._patience import insist


async def ask(
    candidate: Candidate,
    messages: Sequence[ModelMessage],
    settings: ModelSettings | None,
    parameters: ModelRequestParameters,
    run_id: str,
    voice: Voice | None = None,
) -> Asked:
    """The answer of one candidate. Providers' own retries are off: patience is ours, and bounded."""
    model, waited_s = candidate.model, 0.0
    if "max_retries" not in model.unsupported_settings and candidate.effect == "read":
        settings = merge_model_settings(settings, ModelSettings(max_retries=0))

    async def once() -> ModelResponse:
        nonlocal waited_s
        async with candidate.slots.slot(candidate.name, candidate.limits, run_id) as slot_s:
            waited_s += slot_s
            speech = voice.begin() if voice else None
            with anyio.fail_after(candidate.timeout_s):
                if speech is None or candidate.effect == "none":
                    whole = await model_request(
                        model, messages, model_settings=settings, model_request_parameters=parameters, instrument=False
                    )
                    if speech is not None:
                        _say_whole(speech, whole, parameters)
                    return whole
                async with model_request_stream(
                    model, messages, model_settings=settings, model_request_parameters=parameters, instrument=False
                ) as stream:
                    return await _spoken(candidate.name, stream, speech, parameters)

    candidate.require_in_service()
    if candidate.local is not None:
        await candidate.local.start()
    if candidate.effect == "none":
        response, attempts = await insist(candidate.name, once, patience=candidate.patience, breaker=candidate.breaker)
    else:
        await candidate.health.admit(candidate)
        try:
            response, attempts = await insist(
                candidate.name, once, patience=candidate.patience, breaker=candidate.breaker
            )
        except OrchestrionError as failure:
            await candidate.health.failed(candidate, failure, run_id)
            raise
        await candidate.health.answered(candidate, run_id)
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


async def _spoken(
    name: str, stream: StreamedResponse, speech: Speech, parameters: ModelRequestParameters
) -> ModelResponse:
    """The whole answer, spoken while it comes. Raises: TransientError when it broke off."""
    answers = {tool.name for tool in parameters.output_tools}
    structured: set[int] = set()
    async for event in stream:
        match event:
            case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
                speech.say(text)
            case PartStartEvent(index=index, part=ToolCallPart() as call) if call.tool_name in answers:
                structured.add(index)
                if call.args:
                    speech.say(call.args_as_json_str(), "json")
            case PartDeltaEvent(index=index, delta=ToolCallPartDelta(args_delta=str() as text)) if index in structured:
                speech.say(text, "json")
            case _:
                pass
    response = stream.get()
    # The library takes a closed connection for the end of an OpenAI-compatible answer. What the provider itself said stands here;
    # of an answer that the model declined to give, only why.
    ended = response.provider_name != "openai" or {"finish_reason", "refusal"} & set(response.provider_details or {})
    if not ended or response.state != "complete":
        raise TransientError("model-answer-malformed", f"The model {name!r} broke off in the middle of its answer.")
    return response


def _say_whole(speech: Speech, response: ModelResponse, parameters: ModelRequestParameters) -> None:
    """An answer that is there already, as one chunk."""
    answers = {tool.name for tool in parameters.output_tools}
    for part in response.parts:
        if isinstance(part, TextPart):
            speech.say(part.content)
        elif isinstance(part, ToolCallPart) and part.tool_name in answers:
            speech.say(part.args_as_json_str(), "json")
