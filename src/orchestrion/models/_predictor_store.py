"""The predictors of a project, opened when they are first needed."""

import difflib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrion.core import UserError

from ._predictor_file import PredictorSource

if TYPE_CHECKING:
    from ._predictor import Predictor


class Predictors:
    """By name. Calls block, for a second when a model is opened; use them from a worker thread."""

    def __init__(self, sources: Mapping[str, PredictorSource]) -> None:
        self._sources = sources
        self._ready: dict[str, Predictor] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> Sequence[str]:
        return sorted(self._sources)

    def predictor(self, name: str) -> "Predictor":
        """Raises: UserError `unknown-predictor`, or why its model cannot be used."""
        with self._lock:
            if name not in self._ready:
                from ._predictor import open_predictor

                self._ready[name] = open_predictor(self.source(name))
            return self._ready[name]

    def source(self, name: str) -> PredictorSource:
        if name in self._sources:
            return self._sources[name]
        near = difflib.get_close_matches(name, self.names, n=1)
        listed = ", ".join(self.names) or "none"
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {listed}."
        raise UserError("unknown-predictor", f"There is no predictor {name!r}.", hint=hint)
