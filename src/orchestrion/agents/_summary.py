"""A conversation that has grown long: what was said before is summed up by the agent's own model, once, and then shown in its place."""

from collections.abc import Sequence

from pydantic_ai.messages import ModelMessage, ModelRequest, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestContext, ModelRequestParameters

from orchestrion.core import BugError, Fenced, Json, OrchestrionError, dump

from ._engagement import Engagement
from ._history import stored

CHARACTERS_A_TOKEN = 4
"""As a rule of thumb, so that no model has to be asked how it counts."""
WORDS = 200
_ASK = (
    "Sum up what was said so far, for whoever goes on with this conversation: facts, names, numbers, what was decided and done, and "
    f"what is still open. At most {WORDS} words, and nothing that was not said."
)
_BEFORE = "What was said before, summed up: "


async def summed_up(engagement: Engagement, turn: Sequence[Json]) -> list[Json] | None:
    """Messages that take the place of everything before this turn; None where it is not too long, or cannot be summed up.

    A playbook sums nothing up, and a model that fails or has no room left leaves the conversation as it is.
    """
    limit, past = engagement.definition.limits.conversation, list(engagement.past)
    if limit is None or not past or engagement.candidates[engagement.first].effect != "read":
        return None
    if (len(dump(stored(past))) + len(dump(list(turn)))) // CHARACTERS_A_TOKEN <= limit:
        return None
    engagement.audience = None  # nobody who follows the answer is told this
    try:
        answer = await engagement.ask(_request(engagement, past))
    except OrchestrionError as error:
        if isinstance(error, BugError | Fenced):
            raise
        return None
    text = "".join(part.content for part in answer.parts if isinstance(part, TextPart)).strip()
    return stored([ModelRequest(parts=[UserPromptPart(_BEFORE + text)])]) if text else None


def _request(engagement: Engagement, past: list[ModelMessage]) -> ModelRequestContext:
    return ModelRequestContext(
        model=engagement.candidates[engagement.first].model,
        messages=[*past, ModelRequest(parts=[UserPromptPart(_ASK)])],
        model_settings=None,
        model_request_parameters=ModelRequestParameters(),
    )
