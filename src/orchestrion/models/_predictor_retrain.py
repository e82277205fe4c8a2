"""A predictor that learns from corrections: one with them beside one without, on rows that neither has seen."""

import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from orchestrion.core import Json, UserError, dump

from ._predictor_file import PredictorSource, Training
from ._predictor_sklearn import Fitted, fit, held_out, threshold_for
from ._predictor_train import Flags, Rows, make, read_rows
from ._retrain import FOLDS, Contest


def contest_predictor(
    source: PredictorSource, data: Path, corrections: Path
) -> tuple[Contest, Callable[[], tuple[bytes, bytes]]]:
    """Train with and without the corrections, three times each, and compare what they call the rows that were held back.

    Both files are CSV with the features and the label; of equal rows the last correction holds. Given with the contest is what trains
    on everything: the new model and its card. Blocks for as long as six trainings take.

    Raises: UserError `not-correctable`, and what is wrong with either file.
    """
    training = source.file.train
    if training is None or training.estimator == "isolation":
        raise UserError(
            "not-correctable",
            f"The predictor {source.name!r} is not trained on labels here, so it cannot learn from corrected ones.",
            hint="Add `train: { estimator: trees, label: COLUMN }`.",
        )
    known = read_rows(source, data, labelled=True)
    learned = read_rows(source, corrections, labelled=True, few=True)
    merged = _merged(known, learned)
    before, after, folds = _called(known, merged, training), _called(merged, merged, training), _folds(merged)
    truth = _truth(merged)
    right_before = np.concatenate([before(fold) == truth[folds == fold] for fold in range(FOLDS)])
    right_after = np.concatenate([after(fold) == truth[folds == fold] for fold in range(FOLDS)])
    found = Contest(
        cases=len(truth),
        corrections=len(learned.features),
        gained=int((right_after & ~right_before).sum()),
        lost=int((right_before & ~right_after).sum()),
        right_before=int(right_before.sum()),
        right_after=int(right_after.sum()),
    )

    def model_and_card() -> tuple[bytes, bytes]:
        with tempfile.TemporaryDirectory(prefix="orchestrion-predictor-") as folder:
            told = f"{data.name} with {found.corrections} corrections"
            model, card = make(source, training, merged, Path(folder), file=told)
            return model.read_bytes(), card.read_bytes()

    return found, model_and_card


def _called(rows: Rows, judged: Rows, training: Training) -> Callable[[int], Flags]:
    """Trained on `rows` without a fold: which of that fold of `judged` it gives the second label."""

    def of(fold: int) -> Flags:
        seen, held_back = _part(rows, _folds(rows) != fold), _part(judged, _folds(judged) == fold)
        pipeline = fit(seen.features, seen.positive, training)
        threshold = threshold_for(
            held_out(seen.features, _truth(seen), training), _truth(seen), training.target_precision
        )
        names = list(held_back.features[0]) if held_back.features else []
        scores = Fitted(pipeline, names, where="What is trained").scores(held_back.features)
        return np.asarray(scores >= threshold, dtype=np.bool_)

    return of


def _merged(known: Rows, learned: Rows) -> Rows:
    last = {dump(_json(row)): (row, flag) for row, flag in zip(learned.features, _truth(learned), strict=True)}
    kept = [
        (row, flag) for row, flag in zip(known.features, _truth(known), strict=True) if dump(_json(row)) not in last
    ]
    rows = [*kept, *last.values()]
    return Rows(
        features=[row for row, _ in rows],
        positive=np.array([flag for _, flag in rows], dtype=np.bool_),
        digest=sha256(f"{known.digest} {learned.digest}".encode()).hexdigest(),
    )


def _folds(rows: Rows) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """By the features alone, so that a row is held back from both."""
    return np.array([sha256(dump(_json(row)).encode()).digest()[0] % FOLDS for row in rows.features], dtype=np.int64)


def _part(rows: Rows, chosen: Flags) -> Rows:
    features = [row for row, wanted in zip(rows.features, chosen, strict=True) if wanted]
    return Rows(features=features, positive=_truth(rows)[chosen], digest=rows.digest)


def _truth(rows: Rows) -> Flags:
    assert rows.positive is not None  # asked for
    return rows.positive


def _json(row: object) -> Json:
    return row  # pyright: ignore[reportReturnType] numbers, text and truth, as JSON
