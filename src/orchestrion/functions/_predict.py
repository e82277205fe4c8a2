"""`predict`: what a trained model says of an input, and what moved its score."""

from collections.abc import Mapping
from typing import cast

from anyio import to_thread

from orchestrion.core import Datum, Declaration, Invocation, Json, LeafContext, Nature, Outcome
from orchestrion.models import Predictors, Value

from ._naming import naming
from ._schema import require_valid

_DECLARATION = Declaration(
    name="predict",
    version="1.0.0",
    title="Predict by a trained model",
    description=(
        "Scores an input with a predictor of the project (`predictors/NAME.yaml`: a scikit-learn pipeline, or an ONNX model) and "
        "says which of its two labels holds, and which features moved the score. No language model is asked."
    ),
    input_schema={
        "type": "object",
        "required": ["predictor", "input"],
        "additionalProperties": False,
        "properties": {
            "predictor": {"type": "string", "minLength": 1, "description": "A predictor of the project."},
            "input": {
                "type": "object",
                "description": "A value for each feature. What the model does not take is not looked at.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["label", "score", "threshold", "moved_by", "measure"],
        "properties": {
            "label": {"type": "string", "description": "The second label from the threshold on, else the first."},
            "score": {"type": "number", "description": "The higher, the more the second label holds."},
            "threshold": {"type": "number"},
            "moved_by": {
                "type": "array",
                "description": (
                    "The features that moved the score most: `effect` is how much it would fall if the feature had its `usual` "
                    "value, all others staying as they are. Empty where the model's card knows no usual values."
                ),
                "items": {
                    "type": "object",
                    "required": ["feature", "value", "usual", "effect"],
                    "properties": {
                        "feature": {"type": "string"},
                        "value": {},
                        "usual": {},
                        "effect": {"type": "number"},
                    },
                },
            },
            "measure": {
                "enum": ["score", "log-odds"],
                "description": "The scale of `effect`: the score itself, or log-odds for linear models, where effects add up.",
            },
        },
    },
    effect="none",
    idempotent=True,
)


class Predict:
    """A leaf that only computes."""

    def __init__(self, predictors: Predictors) -> None:
        self._predictors = predictors
        self._declaration = naming(_DECLARATION, "predictor", predictors.names)

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", "predict"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `unknown-predictor`, `bad-predictor-input`, and why a model cannot be used."""
        return await to_thread.run_sync(self._predict, invocation)

    def _predict(self, invocation: Invocation) -> Outcome:
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)  # validated against the input schema
        name = cast("str", arguments["predictor"])
        source = self._predictors.source(name)
        require_valid(
            source.file.input_schema,
            arguments["input"],
            code="bad-predictor-input",
            what=f"The input of the predictor {name!r}",
        )
        predictor = self._predictors.predictor(name)
        found = predictor.predict(cast("Mapping[str, Value]", arguments["input"]))
        moved_by: list[Json] = [effect.to_json() for effect in found.moved_by]
        output: dict[str, Json] = {
            "label": found.label,
            "score": found.score,
            "threshold": predictor.threshold,
            "moved_by": moved_by,
            "measure": predictor.measure,
        }
        why: dict[str, Json] = {
            "answered_by": "a trained model",
            "predictor": name,
            **{field: output[field] for field in ("label", "score", "threshold", "moved_by")},
        }
        # What is named of the input carries what the input carries; the choice between two known labels does not.
        carried = Datum(None, invocation.arguments.part("/input")).every_label()
        values = Datum(output, {"/moved_by": carried}) if carried else Datum(output)
        return Outcome(output=values, model=f"predictor:{name}@{predictor.version[:12]}", why=why)
