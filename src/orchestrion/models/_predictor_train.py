"""Training and testing predictors on CSV files."""

import csv
import hashlib
import io
import os
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from orchestrion.core import Json, UserError

from ._predictor import Predictor, open_predictor
from ._predictor_card import Card, card_text, file_digest
from ._predictor_file import PredictorSource, Training, Value
from ._predictor_sklearn import Fitted, fit, held_out, ranking, save, threshold_for, version

Flags: TypeAlias = NDArray[np.bool_]
_TRUTHS: Mapping[str, bool] = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A file's rows: features, and which carry the second label (where it has labels)."""

    features: Sequence[Mapping[str, Value]]
    positive: Flags | None
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorReport:
    """How a predictor does on rows whose label is known."""

    rows: int
    positive: int
    caught: int
    false_alarms: int
    threshold: float
    average_precision: float
    ms_per_row: float

    @property
    def recall(self) -> float:
        return self.caught / self.positive if self.positive else 0.0

    @property
    def precision(self) -> float:
        alarms = self.caught + self.false_alarms
        return self.caught / alarms if alarms else 0.0

    def to_json(self) -> dict[str, Json]:
        return {
            "rows": self.rows,
            "positive": self.positive,
            "caught": self.caught,
            "missed": self.positive - self.caught,
            "false_alarms": self.false_alarms,
            "recall": round(self.recall, 4),
            "precision": round(self.precision, 4),
            "average_precision": round(self.average_precision, 4),
            "threshold": round(self.threshold, 6),
            "ms_per_row": round(self.ms_per_row, 3),
        }


def train_predictor(source: PredictorSource, data: Path) -> Predictor:
    """Train on a CSV file; the model and its card are written where the predictor says.

    Raises: UserError `not-trainable`, and what is wrong with the file.
    """
    training = source.file.train
    if training is None:
        raise UserError(
            "not-trainable",
            f"The predictor {source.name!r} does not say how it is trained.",
            hint="Add `train: { estimator: trees, label: COLUMN }`.",
        )
    rows = read_rows(source, data, labelled=training.estimator != "isolation")
    source.model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=source.model.parent, prefix=".predictor-") as folder:
        model, card = make(source, training, rows, Path(folder), file=data.name)
        os.replace(model, source.model)
        os.replace(card, source.card)
    return open_predictor(source)


def make(source: PredictorSource, training: Training, rows: Rows, folder: Path, *, file: str) -> tuple[Path, Path]:
    """Train on rows: the model and its card, written into a folder. `file` is said to be where the rows came from."""
    pipeline = fit(rows.features, rows.positive, training)
    threshold, measures = _threshold(source, pipeline, rows, training)
    trained_on: dict[str, Json] = {"file": file, "sha256": rows.digest, "rows": len(rows.features)}
    if rows.positive is not None:
        trained_on["positive"] = int(rows.positive.sum())
    model, card = folder / "model.skops", folder / "card.json"
    save(model, pipeline)
    described = Card(
        model=file_digest(model),
        trained_on=trained_on,
        made_with={"scikit-learn": version()},
        usual=_usual(source, rows),
        threshold=threshold,
        measures=measures,
    )
    card.write_text(card_text(described), encoding="utf-8")
    return model, card


def _threshold(
    source: PredictorSource, pipeline: object, rows: Rows, training: Training
) -> tuple[float, dict[str, float]]:
    """Where the second label begins, and how well that does on rows held back."""
    if rows.positive is None:
        model = Fitted(pipeline, list(source.file.features), where=source.model.name)
        return float(np.quantile(model.scores(rows.features), 1 - training.alarm_rate)), {}
    scores = held_out(rows.features, rows.positive, training)
    threshold = threshold_for(scores, rows.positive, training.target_precision)
    measured = _report(
        scores, rows.positive, threshold if source.file.threshold is None else source.file.threshold, 0.0
    )
    return threshold, {
        "recall": round(measured.recall, 4),
        "precision": round(measured.precision, 4),
        "average_precision": round(measured.average_precision, 4),
    }


def test_predictor(predictor: Predictor, data: Path) -> PredictorReport:
    """How often it is right on the rows of a CSV file that has the label's column."""
    rows = read_rows(predictor.source, data, labelled=True)
    assert rows.positive is not None  # asked for
    began = time.perf_counter()
    scores = predictor.scores(rows.features)
    return _report(scores, rows.positive, predictor.threshold, (time.perf_counter() - began) * 1000)


def _report(scores: NDArray[np.float64], positive: Flags, threshold: float, ms: float) -> PredictorReport:
    alarms = scores >= threshold
    return PredictorReport(
        rows=len(scores),
        positive=int(positive.sum()),
        caught=int((alarms & positive).sum()),
        false_alarms=int((alarms & ~positive).sum()),
        threshold=threshold,
        average_precision=ranking(scores, positive) if positive.any() else 0.0,
        ms_per_row=ms / len(scores),
    )


def _usual(source: PredictorSource, rows: Rows) -> dict[str, Value]:
    """The median of numbers, the most frequent of everything else."""
    found: dict[str, Value] = {}
    for name, kind in source.file.features.items():
        values = [row[name] for row in rows.features]
        if kind in ("number", "integer"):
            middle = median(float(value) for value in values)
            found[name] = round(middle) if kind == "integer" else middle
        else:
            found[name] = Counter(sorted(values, key=str)).most_common(1)[0][0]
    return found


def read_rows(source: PredictorSource, path: Path, *, labelled: bool, few: bool = False) -> Rows:
    """The rows of a CSV file (UTF-8, with a header) as a predictor's features; `few` are enough where they are not all there is.

    Raises: UserError `rows-unreadable`, `rows-column`, `rows-value`, `rows-too-few`, `no-label`.
    """
    label = source.file.train.label if source.file.train else None
    if labelled and label is None:
        raise UserError(
            "no-label",
            f"The predictor {source.name!r} names no column that holds the label.",
            hint="Add `label: COLUMN` under `train`.",
        )
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UserError("rows-unreadable", f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError("rows-unreadable", f"{path} is not UTF-8.", hint="Save it as UTF-8.") from None
    table = csv.DictReader(io.StringIO(text, newline=""))
    columns = table.fieldnames or ()
    for wanted in (*source.file.features, *([label] if labelled and label else [])):
        if wanted not in columns:
            listed = ", ".join(columns) or "none"
            raise UserError("rows-column", f"{path}:1: there is no column {wanted!r}; its columns are {listed}.")
    features: list[dict[str, Value]] = []
    truths: list[bool] = []
    for row in table:
        where = f"{path}:{table.line_num}"
        features.append(
            {name: _value(row[name], kind, f"{where}: {name}") for name, kind in source.file.features.items()}
        )
        if labelled and label:
            truths.append(_truth(row[label], source.file.labels, f"{where}: {label}"))
    positive = np.array(truths, dtype=np.bool_) if labelled else None
    if few and features:
        return Rows(features=features, positive=positive, digest=hashlib.sha256(content).hexdigest())
    if len(features) < 10 or (positive is not None and min(positive.sum(), (~positive).sum()) < 3):
        raise UserError(
            "rows-too-few",
            f"{path} has {len(features)} rows"
            + (f", {int(positive.sum())} of them labelled." if positive is not None else "."),
            hint="Ten rows are needed at least, three of each label; thousands to be any good.",
        )
    return Rows(features=features, positive=positive, digest=hashlib.sha256(content).hexdigest())


def _value(text: str | None, kind: str, where: str) -> Value:
    text = (text or "").strip()
    try:
        match kind:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "boolean":
                return _TRUTHS[text.lower()]
            case _:
                return text
    except (ValueError, KeyError):
        raise UserError("rows-value", f"{where}: {text!r} is no {kind}.") from None


def _truth(text: str | None, labels: tuple[str, str], where: str) -> bool:
    text = (text or "").strip()
    if text in labels:
        return text == labels[1]
    if text.lower() in _TRUTHS:
        return _TRUTHS[text.lower()]
    raise UserError("rows-value", f"{where}: {text!r} is no label.", hint=f"Write {labels[0]} or {labels[1]}, 0 or 1.")
