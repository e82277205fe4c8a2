"""`evaluate`: how a version does with the cases of an evaluation, from within a workflow and so by the calendar."""

from collections.abc import Mapping
from typing import Protocol, cast

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome

_DECLARATION = Declaration(
    name="evaluate",
    version="1.0.0",
    title="Evaluate a version",
    description=(
        "Tries the cases of an evaluation of the project with a version, as `orchestrion evaluate` does: without effects, and "
        "what is known from before is taken over, so that a call that was interrupted goes on. With a `schedule`, a workflow "
        "evaluates what is in production by the calendar, and says so by mail or by failing where it is below the gate."
    ),
    input_schema={
        "type": "object",
        "required": ["evaluation"],
        "additionalProperties": False,
        "properties": {
            "evaluation": {"type": "string", "minLength": 1, "description": "evaluations/NAME.yaml."},
            "version": {"type": "string", "default": "production", "description": "A digest, an alias, or `working`."},
            "against": {"type": "string", "description": "Another version, to compare with."},
            "fresh": {
                "type": "boolean",
                "default": False,
                "description": "Try every case again, as where a model may have changed behind its name.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["evaluation", "version", "passed", "rows", "cases"],
        "properties": {
            "evaluation": {"type": "string"},
            "version": {"type": "string", "description": "The digest that was tried."},
            "against": {"type": ["string", "null"]},
            "passed": {"type": "boolean", "description": "Whether nothing is below its gate."},
            "rows": {"type": "array", "description": "One for each scorer: value, interval, failures."},
            "cases": {"type": "integer", "description": "How many were tried."},
        },
    },
    effect="read",
    idempotent=True,
)


class Evaluating(Protocol):
    """Who evaluates; `evaluate` of the application."""

    async def __call__(
        self, evaluation: str, *, version: str, against: str | None, fresh: bool, by: str
    ) -> Mapping[str, Json]: ...


class Evaluate:
    """A leaf that walks many runs without effects."""

    def __init__(self, evaluating: Evaluating) -> None:
        self._evaluating = evaluating

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="read", idempotent=True, resource=("Function", "evaluate"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-evaluation`, `unknown-version`, and about cases and scorers; BadProject."""
        given = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        found = await self._evaluating(
            cast("str", given["evaluation"]),
            version=cast("str", given.get("version", "production")),
            against=cast("str | None", given.get("against")),
            fresh=given.get("fresh") is True,
            by=context.subject or "evaluation",
        )
        return Outcome(output=Datum(dict(found)))
