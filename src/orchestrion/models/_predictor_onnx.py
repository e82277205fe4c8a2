"""The little of onnxruntime that predictors use, with types. An extra: `onnx`."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from orchestrion.core import UserError

from ._predictor_file import PredictorSource
from ._predictor_sklearn import Floats, Rows

_KINDS: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxModel:
    """A model that takes all features as one table of numbers, or each as an input of its own name."""

    linear = False

    def __init__(self, session: Any, source: PredictorSource) -> None:
        """Raises: UserError `predictor-features`, `predictor-unreadable`."""
        self._session = session
        self._features = list(source.file.features)
        self._inputs = {each.name: each.type for each in session.get_inputs()}
        self._output = session.get_outputs()[-1]
        self._apart = set(self._inputs) == set(self._features)
        texts = [name for name, kind in source.file.features.items() if kind == "string"]
        if not self._apart and (len(self._inputs) != 1 or texts):
            raise UserError(
                "predictor-features",
                f"{source.model.name} takes the inputs {', '.join(self._inputs)}, the predictor {source.name!r} has the features "
                f"{', '.join(self._features)}.",
                hint="Export it with one table of numbers, or with an input for each feature, under the same name.",
            )
        if strange := sorted({kind for kind in self._inputs.values() if kind not in _KINDS}):
            raise UserError("predictor-unreadable", f"{source.model.name} takes {', '.join(strange)}.")
        if self._output.type not in ("tensor(float)", "tensor(double)"):
            raise UserError(
                "predictor-unreadable",
                f"The last output of {source.model.name} is {self._output.type}, no tensor of numbers.",
                hint="With skl2onnx, export with the option zipmap=False.",
            )

    def scores(self, rows: Rows) -> Floats:
        if self._apart:
            given = {
                name: np.array([[row[name]] for row in rows], dtype=_KINDS[kind]) for name, kind in self._inputs.items()
            }
        else:
            ((name, kind),) = self._inputs.items()
            given = {name: np.array([[row[each] for each in self._features] for row in rows], dtype=_KINDS[kind])}
        found = np.asarray(self._session.run([self._output.name], given)[0], dtype=np.float64)
        return found[:, -1] if found.ndim == 2 else found

    def effects(self, rows: Rows) -> Floats:
        return self.scores(rows)


def open_onnx(source: PredictorSource) -> OnnxModel:
    """Raises: UserError `onnx-missing`, `predictor-features`, `predictor-unreadable`."""
    try:
        runtime: Any = import_module("onnxruntime")
    except ImportError:
        raise UserError(
            "onnx-missing", "ONNX models need the extra `onnx`.", hint="pip install 'orchestrion[onnx]'"
        ) from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        # From bytes and not by path: a model can then name no other file of this machine.
        session = runtime.InferenceSession(source.model.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(
            "predictor-unreadable", f"{source.model.name} is no ONNX model that runs here: {type(error).__name__}."
        ) from None
    return OnnxModel(session, source)
