"""A predictor: a trained model that gives a label, a score, and what moved the score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orchestrion.core import Json, UserError, digest

from ._predictor_card import Card, file_digest, read_card
from ._predictor_file import PredictorSource, Value
from ._predictor_sklearn import Fitted, Floats, Rows, open_pipeline

_NAMED = 5
"""Features named as what moved a score."""
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Effect:
    """A feature that moved the score."""

    feature: str
    value: Value
    usual: Value
    effect: float
    """How much the score would fall if the feature had its usual value."""

    def to_json(self) -> dict[str, Json]:
        return {"feature": self.feature, "value": self.value, "usual": self.usual, "effect": round(self.effect, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    label: str
    score: float
    moved_by: Sequence[Effect]


class Scoring(Protocol):
    """A model that scores rows."""

    linear: bool

    def scores(self, rows: Rows) -> Floats: ...
    def effects(self, rows: Rows) -> Floats: ...


class Predictor:
    """A model in memory. Its calls block."""

    def __init__(self, source: PredictorSource, model: Scoring, card: Card, threshold: float) -> None:
        self.source = source
        self.card = card
        self.threshold = threshold
        self.version = digest(
            [source.file.model_dump(mode="json", exclude={"train", "description"}), card.model, threshold]
        )
        self._model = model

    @property
    def measure(self) -> str:
        """The scale that effects are measured on."""
        return "log-odds" if self._model.linear else "score"

    def predict(self, given: Mapping[str, Value]) -> Prediction:
        """What the model says of one input that is valid against the predictor's schema.

        Each feature in turn is given its usual value: what the score would fall by is its effect.
        """
        row = {name: given[name] for name in self.source.file.features}
        usual = {name: value for name, value in self.card.usual.items() if name in row and value != row[name]}
        tried = [row, *({**row, name: value} for name, value in usual.items())]
        effects = self._model.effects(tried)
        score = float(self._model.scores([row])[0]) if self._model.linear else float(effects[0])
        moved = [
            Effect(name, row[name], value, float(effects[0] - other))
            for (name, value), other in zip(usual.items(), effects[1:], strict=True)
        ]
        moving = sorted((each for each in moved if abs(each.effect) > _NOTHING), key=lambda each: -abs(each.effect))
        return Prediction(label=self.label(score), score=round(score, 6), moved_by=tuple(moving[:_NAMED]))

    def label(self, score: float) -> str:
        below, above = self.source.file.labels
        return above if score >= self.threshold else below

    def scores(self, rows: Rows) -> Floats:
        return self._model.scores(rows)


def open_predictor(source: PredictorSource) -> Predictor:
    """Raises: UserError `predictor-untrained`, `predictor-unreadable`, `predictor-untrusted`, `predictor-features`,
    `predictor-card`, `no-threshold`, `onnx-missing`.
    """
    if not source.model.is_file():
        raise UserError(
            "predictor-untrained",
            f"The predictor {source.name!r} has no model yet: there is no {source.file.model!r}.",
            hint=f"orchestrion predictor train {source.name} --data FILE.csv"
            if source.file.train
            else "Put the model there.",
        )
    card = read_card(source, file_digest(source.model))
    threshold = card.threshold if source.file.threshold is None else source.file.threshold
    if threshold is None:
        raise UserError(
            "no-threshold",
            f"Neither the predictor {source.name!r} nor its model's card says from which score on "
            f"{source.file.labels[1]!r} holds.",
            hint="Add `threshold:` to the predictor.",
        )
    if source.model.suffix == ".onnx":
        from ._predictor_onnx import open_onnx

        model: Scoring = open_onnx(source)
    else:
        model = Fitted(open_pipeline(source.model), list(source.file.features), where=source.model.name)
    predictor = Predictor(source, model, card, threshold)
    _try(predictor)
    return predictor


def _try(predictor: Predictor) -> None:
    """A model that wants other features says so now. Raises: UserError `predictor-features`."""
    neutral: dict[str, Value] = {
        name: "" if kind == "string" else 0 for name, kind in predictor.source.file.features.items()
    }
    row = {**neutral, **{name: value for name, value in predictor.card.usual.items() if name in neutral}}
    try:
        scores = predictor.scores([row])
        if not np.isfinite(scores).all():
            raise ValueError("it gives no finite score")
    except Exception as error:
        raise UserError(
            "predictor-features",
            f"The model of {predictor.source.name!r} does not take the features "
            f"{', '.join(predictor.source.file.features)}: {error}",
            hint="`input` must name the features the model was trained with, in the same order.",
        ) from None
