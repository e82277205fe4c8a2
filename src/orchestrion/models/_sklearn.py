"""The little of scikit-learn, scipy and skops that routers use, with types."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import scipy.sparse
import sklearn
import skops.io
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Matrix: TypeAlias = Any  # scipy's sparse matrices carry no types


def version() -> str:
    """Of scikit-learn: another one may give other weights."""
    return str(sklearn.__version__)


class Vectors:
    """Texts as vectors of words and pairs of words, and of runs of characters, which forgive typing errors.

    A vector has the length of the square root of two: each half has length one.
    """

    def __init__(self, vocabularies: Sequence[Sequence[str]] = ((), ()), rarities: Sequence[Floats] = ()) -> None:
        """Without vocabularies, `fit` learns them."""
        words, characters = (list(each) or None for each in vocabularies)
        make: Any = TfidfVectorizer  # its stubs know float64 alone
        common: dict[str, Any] = {"sublinear_tf": True, "strip_accents": "unicode", "dtype": np.float32}
        self._halves: list[Any] = [
            make(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", vocabulary=words, **common),  # noqa: S106  no password
            make(analyzer="char_wb", ngram_range=(2, 4), vocabulary=characters, **common),
        ]
        for half, rarity in zip(self._halves, rarities, strict=False):
            half.idf_ = rarity

    def fit(self, texts: Sequence[str]) -> Matrix:
        return _beside([half.fit_transform(texts) for half in self._halves])

    def of(self, texts: Sequence[str]) -> Matrix:
        return _beside([half.transform(texts) for half in self._halves])

    @property
    def vocabularies(self) -> list[list[str]]:
        """Each half's terms, in the order of their columns."""
        return [sorted(half.vocabulary_, key=half.vocabulary_.get) for half in self._halves]

    @property
    def rarities(self) -> list[Floats]:
        return [half.idf_ for half in self._halves]


def _beside(halves: Sequence[Matrix]) -> Matrix:
    return cast("Any", scipy.sparse).hstack(halves, format="csr")


def fit_linear(vectors: Matrix, labels: Integers, seed: int) -> tuple[Floats, Floats]:
    """Weights (features by labels) and offsets of a linear classifier, one against the rest."""
    machine: Any = LinearSVC(C=0.5, random_state=seed)
    machine.fit(vectors, labels)
    weights, offsets = machine.coef_, machine.intercept_
    if len(weights) == 1:  # one row stands for both of two labels
        weights, offsets = np.vstack([-weights, weights]), np.concatenate([-offsets, offsets])
    return np.ascontiguousarray(weights.T, dtype=np.float32), offsets.astype(np.float32)


def thirds(labels: Integers, seed: int) -> list[tuple[Integers, Integers]]:
    """Three ways to hold a third of the examples back, each label in its share."""
    splits: Any = StratifiedKFold(n_splits=3, shuffle=True, random_state=seed)
    return list(splits.split(np.zeros(len(labels)), labels))


def parts_of(matrix: Matrix) -> list[NDArray[Any]]:
    """A sparse matrix as arrays, which skops trusts."""
    return [matrix.data, matrix.indices, matrix.indptr, np.array(matrix.shape)]


def matrix_of(parts: Sequence[NDArray[Any]]) -> Matrix:
    """What `parts_of` took apart."""
    values, indices, starts, shape = parts
    return cast("Any", scipy.sparse).csr_matrix((values, indices, starts), shape=tuple(shape))


def save(path: Path, content: dict[str, Any]) -> None:
    """Write arrays and texts; never pickle."""
    cast("Any", skops.io).dump(content, path)


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote. Raises: ValueError when the file holds a type that skops does not trust by itself."""
    io: Any = skops.io
    unknown = io.get_untrusted_types(file=path)
    if unknown:
        raise ValueError(f"untrusted types {unknown}")
    return io.load(path, trusted=[])
