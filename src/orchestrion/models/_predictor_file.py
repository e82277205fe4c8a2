"""Predictor files: what a trained model takes and says, text in, a predictor's description and findings out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from orchestrion.core import Json, UserError
from orchestrion.spec import Finding, Schema, editor_schema, parse_yaml, to_json

from ._playbook import Flaw, flaws_of, pointer_of
from ._playbook_file import findings_of

BAD_PREDICTOR = "bad-predictor"
SUFFIXES = (".skops", ".onnx")
Value: TypeAlias = float | int | bool | str
_TYPES = ("number", "integer", "boolean", "string")


class Training(BaseModel):
    """How `orchestrion predictor train` makes the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimator: Literal["linear", "trees", "isolation"] = Field(
        description="`linear` (logistic regression) and `trees` (gradient boosting) learn from a label; `isolation` learns what is usual."
    )
    label: str | None = Field(default=None, min_length=1, description="The column that holds the label.")
    target_precision: float = Field(
        default=0.8, gt=0, le=1, description="Share of alarms that should be right; the threshold is chosen for it."
    )
    alarm_rate: float = Field(
        default=0.01, gt=0, lt=1, description="Of `isolation`: share of the training rows that lie above the threshold."
    )
    seed: int = 0


class PredictorFile(BaseModel):
    """A predictor: where its model is, what it takes, and what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="A predictor")

    description: str = ""
    model: str = Field(min_length=1, description="The model's file, .skops or .onnx, relative to the project's folder.")
    input: dict[str, JsonValue] = Field(
        description="JSON Schema of the input: an object whose properties, in this order, are the model's features."
    )
    labels: tuple[str, str] = Field(description="What it says below the threshold, and from the threshold on.")
    threshold: float | None = Field(
        default=None,
        description="The score from which on the second label holds; by default the one found in training.",
    )
    train: Training | None = Field(default=None, description="How the model is trained, where it is trained here.")

    @property
    def features(self) -> Mapping[str, str]:
        """Feature → its JSON type, in the model's order."""
        properties = cast("Mapping[str, Mapping[str, Json]]", self.input["properties"])
        return {name: str(schema["type"]) for name, schema in properties.items()}

    @property
    def input_schema(self) -> dict[str, Json]:
        """Of the input: all features are needed."""
        return {**cast("dict[str, Json]", self.input), "required": list(self.features)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorSource:
    """A predictor's description, and where its model lies."""

    name: str
    file: PredictorFile
    model: Path

    @property
    def card(self) -> Path:
        """What is known of the model: what it was trained on, what is usual, its threshold."""
        return self.model.with_name(self.model.name + ".card.json")


def read_predictor(
    text: str | bytes, *, file: str, name: str, root: Path
) -> tuple[PredictorSource | None, list[Finding]]:
    """The predictor of a file, and what is wrong with it. `root`: the project's folder."""
    source, findings = parse_yaml(text, file=file)
    if source is None or findings:
        return None, findings
    value = to_json(source.root)
    if not isinstance(value, Mapping):
        flaws = [Flaw("", "A predictor is an object with `model`, `input` and `labels`.")]
        return None, findings_of(source, flaws, BAD_PREDICTOR)
    try:
        described = PredictorFile.model_validate(value)
    except ValidationError as error:
        return None, findings_of(source, flaws_of(error, value), BAD_PREDICTOR)
    flaws = _flaws(described)
    if flaws:
        return None, findings_of(source, flaws, BAD_PREDICTOR)
    return PredictorSource(name=name, file=described, model=root / described.model), []


def predictor_schema() -> dict[str, Json]:
    """JSON Schema of a predictor file, for editors."""
    return editor_schema(PredictorFile)


def _flaws(file: PredictorFile) -> Sequence[Flaw]:
    found = _input_flaws(cast("Mapping[str, Json]", file.input))
    path = PurePosixPath(file.model)
    if path.suffix not in SUFFIXES:
        hint = "Pickle and joblib files are never read: they execute what they hold."
        found.append(Flaw("/model", f"{file.model!r} is neither a .skops nor an .onnx file.", hint))
    if path.is_absolute() or ".." in path.parts:
        found.append(Flaw("/model", f"{file.model!r} lies outside the project's folder.", "Write a path inside it."))
    if file.labels[0] == file.labels[1]:
        found.append(Flaw("/labels", "Both labels are the same."))
    if file.train is not None:
        found += _training_flaws(file, file.train, path.suffix)
    return found


def _training_flaws(file: PredictorFile, train: Training, suffix: str) -> list[Flaw]:
    found: list[Flaw] = []
    if suffix != ".skops":
        found.append(Flaw("/model", "What is trained here is written as .skops.", "Name it so, or leave `train` out."))
    if train.estimator != "isolation" and train.label is None:
        message = f"`{train.estimator}` learns from labels, and `label` names no column."
        found.append(Flaw("/train", message, "Add `label:`, or use `isolation`, which needs none."))
    if train.label is not None and train.label in cast("Mapping[str, Json]", file.input.get("properties", {})):
        found.append(
            Flaw("/train/label", f"The label {train.label!r} is a feature as well: the model would read it off.")
        )
    return found


def _input_flaws(schema: Mapping[str, Json]) -> list[Flaw]:
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, Mapping) or not properties:
        return [
            Flaw("/input", "The input is an object with `properties`.", "Say `type: object` and name the features.")
        ]
    found: list[Flaw] = []
    for name, feature in properties.items():
        kind = feature.get("type") if isinstance(feature, Mapping) else None
        if kind not in _TYPES:
            at = "/input" + pointer_of(["properties", name])
            found.append(
                Flaw(at, f"The feature {name!r} has the type {kind!r}.", f"It must be one of {', '.join(_TYPES)}.")
            )
    try:
        Schema(dict(schema))
    except UserError as error:
        found.append(Flaw("/input", error.message, error.hint))
    return found
