"""`route`: where a text belongs, by examples."""

from collections.abc import Mapping, Sequence
from typing import cast

from anyio import to_thread

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome
from orchestrion.models import Routers

_DECLARATION = Declaration(
    name="route",
    version="1.0.0",
    title="Route by examples",
    description=(
        "Gives the label that a router, trained from labelled examples, finds most probable for a text, with its confidence "
        "and the examples nearest to it. Below its threshold the router abstains: `label` is null then. No language model "
        "is asked."
    ),
    input_schema={
        "type": "object",
        "required": ["router", "input"],
        "additionalProperties": False,
        "properties": {
            "router": {"type": "string", "minLength": 1, "description": "A router of the settings."},
            "input": {"type": "string", "description": "The text."},
            "choices": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "The labels to choose from; without it, all the router knows.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["label", "confidence", "abstained", "nearest"],
        "properties": {
            "label": {"type": ["string", "null"], "description": "Null when the router abstained."},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "abstained": {"type": "boolean"},
            "nearest": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["text", "label", "similarity"],
                    "properties": {
                        "text": {"type": "string"},
                        "label": {"type": "string"},
                        "similarity": {"type": "number"},
                    },
                },
            },
        },
    },
    effect="none",
    idempotent=True,
)


class Route:
    """A leaf that only computes."""

    def __init__(self, routers: Routers) -> None:
        self._routers = routers

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", "route"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-router`, `unknown-label`, and what is wrong with a router's examples."""
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        return await to_thread.run_sync(self._route, arguments)

    def _route(self, arguments: Mapping[str, Json]) -> Outcome:
        name = cast("str", arguments["router"])
        router = self._routers.router(name)
        routing = router.route(cast("str", arguments["input"]), cast("Sequence[str] | None", arguments.get("choices")))
        nearest: list[Json] = [one.to_json() for one in routing.nearest]
        why: dict[str, Json] = {
            "answered_by": "a router trained from examples",
            "router": name,
            "best": routing.best,
            "confidence": routing.confidence,
            "threshold": router.threshold,
            "nearest": nearest,
        }
        output: dict[str, Json] = {
            "label": routing.label,
            "confidence": routing.confidence,
            "abstained": routing.abstained,
            "nearest": nearest,
        }
        # The labels of the text do not stick to the choice between a few known words.
        return Outcome(output=Datum(output), model=f"router:{name}@{router.digest[:12]}", why=why)
