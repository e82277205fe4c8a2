"""The little of scikit-learn and skops that predictors use, with types."""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import sklearn
import sklearn.metrics
import sklearn.model_selection
import skops.io
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from orchestrion.core import UserError

from ._predictor_file import Training, Value

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = Sequence[Mapping[str, Value]]

_metrics = cast("Any", sklearn.metrics)
_model_selection = cast("Any", sklearn.model_selection)

MOST_BYTES = 500_000_000
"""Of a model's file, unpacked."""

_BUILTINS = ("dict", "list", "slice", "str", "tuple", "int", "float", "bool", "NoneType", "set")
_NUMPY = (
    "dtype",
    "ndarray",
    "float64",
    "float32",
    "int64",
    "int32",
    "uint64",
    "uint32",
    "uint8",
    "bool",
    "bool_",
    "str_",
)
TRUSTED = frozenset(
    {f"builtins.{name}" for name in _BUILTINS}
    | {f"numpy.{name}" for name in _NUMPY}
    | {
        "numpy.random._generator.Generator",
        "numpy.random.mtrand.RandomState",
        "sklearn._loss._loss.CyHalfBinomialLoss",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn.calibration.CalibratedClassifierCV",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.dummy.DummyClassifier",
        "sklearn.ensemble._forest.ExtraTreesClassifier",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._gb.GradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.ensemble._iforest.IsolationForest",
        "sklearn.feature_extraction._dict_vectorizer.DictVectorizer",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.naive_bayes.GaussianNB",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.preprocessing._data.RobustScaler",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._encoders.OrdinalEncoder",
        "sklearn.preprocessing._label.LabelEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
        "sklearn.tree._classes.ExtraTreeClassifier",
        "sklearn.tree._classes.ExtraTreeRegressor",
        "sklearn.tree._tree.Tree",
    }
)
"""Everything a model's file may hold. What is not here is not loaded, whatever skops itself would trust."""


def version() -> str:
    return str(sklearn.__version__)


def open_pipeline(path: Path) -> Any:
    """The pipeline of a skops file.

    Raises: UserError `predictor-unreadable`, `predictor-untrusted`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(each.file_size for each in archive.infolist()) > MOST_BYTES:
                raise UserError("predictor-unreadable", f"{path.name} unpacks to more than {MOST_BYTES:,} bytes.")
            schema = json.loads(archive.read("schema.json"))
        strange = sorted(set(_types(schema)) - TRUSTED)
        if strange:
            raise UserError(
                "predictor-untrusted",
                f"{path.name} holds what is not on the list of types that a model may be made of: {', '.join(strange[:5])}.",
                hint="Use a scikit-learn pipeline of the kinds the guide lists, or export the model as ONNX.",
            )
        pipeline = cast("Any", skops.io).load(path, trusted=sorted(TRUSTED))
    except UserError:
        raise
    except Exception as error:
        raise UserError("predictor-unreadable", f"{path.name} is no model in skops' format: {error}") from None
    _check_trees(pipeline, path)
    return pipeline


def _types(node: object) -> Iterator[str]:
    """The type of everything in a skops file, as its schema says."""
    if isinstance(node, dict):
        found = cast("dict[str, object]", node)
        if "__class__" in found:
            yield f"{found.get('__module__')}.{found['__class__']}"
        for value in found.values():
            yield from _types(value)
    elif isinstance(node, list):
        for value in cast("list[object]", node):
            yield from _types(value)


def _check_trees(pipeline: Any, path: Path) -> None:
    """Trees are walked in C without looking: a forged one would read memory that is not its own."""
    last = _last(pipeline)
    width = getattr(last, "n_features_in_", 0)
    for left, right, features in _branches(last):
        parents = np.arange(len(left))[left != -1] if len(left) else np.array([], dtype=np.int64)
        lefts, rights, tested = left[parents], right[parents], features[parents]
        forward = (lefts > parents) & (rights > parents) & (lefts < len(left)) & (rights < len(left))
        if not forward.all() or not ((tested >= 0) & (tested < width)).all():
            raise UserError("predictor-untrusted", f"{path.name} holds a tree whose branches lead out of it.")


def _branches(estimator: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Of each tree: the node to the left (-1: none), to the right, and the feature that is looked at."""
    if hasattr(estimator, "tree_"):
        tree = estimator.tree_
        yield tree.children_left, tree.children_right, tree.feature
    for predictor in np.asarray(getattr(estimator, "_predictors", []), dtype=object).ravel():
        nodes = predictor.nodes
        inner = nodes["is_leaf"] == 0
        signed = [nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx")]
        yield np.where(inner, signed[0], -1), signed[1], signed[2]
    for each in np.asarray(getattr(estimator, "estimators_", []), dtype=object).ravel():
        yield from _branches(each)


def _last(pipeline: Any) -> Any:
    return pipeline.steps[-1][1] if _is_pipeline(pipeline) else pipeline


def _is_pipeline(estimator: object) -> bool:
    return isinstance(estimator, Pipeline)


class Fitted:
    """A pipeline that scores rows: the higher, the more the second label holds."""

    def __init__(self, pipeline: Any, features: Sequence[str], *, where: str) -> None:
        """Raises: UserError `predictor-unreadable` when the pipeline cannot score."""
        last = _last(pipeline)
        self._pipeline = pipeline
        self._features = features
        self._named = _is_pipeline(pipeline) and isinstance(pipeline.steps[0][1], DictVectorizer)
        self.linear = isinstance(last, LogisticRegression)
        """Its effects are measured in log-odds, where they are exact and add up."""
        self._unusual = isinstance(last, IsolationForest)
        classes = getattr(last, "classes_", None)
        if not self._unusual and (classes is None or len(classes) != 2 or not hasattr(last, "predict_proba")):
            raise UserError(
                "predictor-unreadable",
                f"The last step of {where} is {type(last).__name__}: it neither tells two classes apart by probability nor is an "
                "isolation forest.",
            )

    def scores(self, rows: Rows) -> Floats:
        table = self._table(rows)
        if self._unusual:
            return -np.asarray(self._pipeline.score_samples(table), dtype=np.float64)
        return np.asarray(self._pipeline.predict_proba(table), dtype=np.float64)[:, 1]

    def effects(self, rows: Rows) -> Floats:
        """Scores on the scale that effects are measured on."""
        if self.linear:
            return np.asarray(self._pipeline.decision_function(self._table(rows)), dtype=np.float64)
        return self.scores(rows)

    def _table(self, rows: Rows) -> Any:
        if self._named:
            return rows
        kind: Any = np.float64 if all(not isinstance(value, str) for value in rows[0].values()) else object
        return np.array([[row[name] for name in self._features] for row in rows], dtype=kind)


def fit(rows: Rows, positive: NDArray[np.bool_] | None, training: Training) -> Any:
    """A pipeline trained on rows; `positive` says which carry the second label."""
    pipeline = _pipeline(training)
    pipeline.fit(rows, positive) if positive is not None else pipeline.fit(rows)
    return pipeline


def held_out(rows: Rows, positive: NDArray[np.bool_], training: Training) -> Floats:
    """Scores of rows by pipelines that were trained without them."""
    folds: Any = StratifiedKFold(n_splits=3, shuffle=True, random_state=training.seed)
    found = _model_selection.cross_val_predict(_pipeline(training), rows, positive, cv=folds, method="predict_proba")
    return np.asarray(found, dtype=np.float64)[:, 1]


def save(path: Path, pipeline: Any) -> None:
    cast("Any", skops.io).dump(pipeline, path)


def threshold_for(scores: Floats, positive: NDArray[np.bool_], precision: float) -> float:
    """The lowest threshold from which on at least this share of alarms is right; where there is none, the most precise one."""
    precisions, _, thresholds = _metrics.precision_recall_curve(positive, scores)
    enough = np.flatnonzero(precisions[:-1] >= precision)
    return float(thresholds[enough[0] if len(enough) else int(np.argmax(precisions[:-1]))])


def ranking(scores: Floats, positive: NDArray[np.bool_]) -> float:
    """Average precision: how well scores rank, whatever the threshold."""
    return float(_metrics.average_precision_score(positive, scores))


def _pipeline(training: Training) -> Any:
    columns: Any = DictVectorizer(sparse=False)
    match training.estimator:
        case "linear":
            last: Any = LogisticRegression(max_iter=1_000)
            return Pipeline([("columns", columns), ("scale", StandardScaler()), ("model", last)])
        case "trees":
            last = GradientBoostingClassifier(
                n_estimators=100, max_depth=3, subsample=0.5, min_samples_leaf=10, random_state=training.seed
            )
        case "isolation":
            last = IsolationForest(n_estimators=100, random_state=training.seed)
    return Pipeline([("columns", columns), ("model", last)])
