"""`infer`: one answer of a model, of a given form."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrion.agents import AgentDefinition, Limits
from orchestrion.core import Clock, Datum, Declaration, Effects, Invocation, Json, Outcome, UserError, sub_labels
from orchestrion.models import Models
from orchestrion.spec import Schema

CORRECTIONS = 2
"""How often the model may correct an answer that breaks the schema."""

_NAMES: Mapping[str, Json] = {"type": "array", "items": {"type": "string", "minLength": 1}}

_DECLARATION = Declaration(
    name="infer",
    version="1.0.0",
    title="Ask a model",
    description=(
        "Asks a model once, without tools, and gives an object that fits the schema. An answer that does not fit is sent "
        "back with what is wrong, twice at most. When a model fails, those named under `fallback` are asked in turn."
    ),
    input_schema={
        "type": "object",
        "required": ["model", "prompt"],
        "additionalProperties": False,
        "properties": {
            "model": {
                "type": "string",
                "minLength": 1,
                "description": "A model of the settings, or a provider string.",
            },
            "prompt": {"type": "string", "minLength": 1, "description": "What the model is to do with the input."},
            "input": {"description": "What it is to do it with."},
            "output": {"type": "object", "description": "JSON Schema of the answer; without it `{ reply: text }`."},
            "fallback": {**_NAMES, "description": "Models to ask when the first fails, in order."},
        },
    },
    output_schema={"type": "object", "description": "Valid against `output`; `{ reply: text }` without it."},
    effect="read",
    idempotent=True,
)


class Infer:
    """A composite over recorded model requests. Policies see the workflow as the one who asks."""

    def __init__(self, models: Models, clock: Clock) -> None:
        self._models = models
        self._clock = clock

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: UserError `bad-schema`, and what `agents.run_agent` raises."""
        from orchestrion.agents import run_agent

        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        given = arguments.get("input")
        labels = sub_labels(invocation.arguments.labels, "/input")
        if not isinstance(given, Mapping):
            given, labels = {"input": given}, {f"/input{pointer}": names for pointer, names in labels.items()}
        outcome = await run_agent(
            _definition(arguments),
            Datum(given, labels),
            invocation,
            effects,
            models=self._models,
            clock=self._clock,
            as_agent=False,
        )
        why = {name: value for name, value in cast("Mapping[str, Json]", outcome.why).items() if name in _TOLD}
        return Outcome(output=outcome.output, cost=outcome.cost, model=outcome.model, why=why)

    def output_schema(self, arguments: Mapping[str, Json]) -> Mapping[str, Json]:
        """The one that the call asks for."""
        return _definition(arguments).output or _DECLARATION.output_schema


_TOLD = ("answered_by", "answers", "rules", "price_known")


def _definition(arguments: Mapping[str, Json]) -> AgentDefinition:
    output = arguments.get("output")
    if output is not None:
        Schema(output)
        if cast("Mapping[str, Json]", output).get("type") != "object":
            raise UserError(
                "bad-schema", "The schema under `output` does not describe an object.", hint="Say `type: object`."
            )
    fallback = cast("Sequence[str]", arguments.get("fallback") or ())
    return AgentDefinition.model_validate(
        {
            "name": "infer",
            "model": [cast("str", arguments["model"]), *fallback],
            "instructions": arguments["prompt"],
            "output": output,
            "limits": Limits(turns=CORRECTIONS + 1),
        }
    )
