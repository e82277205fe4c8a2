"""The little of scikit-learn, scipy and skops that routers use, with types."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

    def __init__(self, vocabularies: Sequence[Sequence[str]], rarities: Sequence[Floats]) -> None:
        self.vocabularies = vocabularies
        """Each half's terms, in the order of their columns."""
        self.rarities = rarities
        """How rare each half's terms are."""
        self._columns = [{term: column for column, term in enumerate(terms)} for terms in vocabularies]
        self._starts = (0, len(vocabularies[0]))
        self._terms = [cast("Callable[[str], list[str]]", half.build_analyzer()) for half in _halves()]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return sum(len(terms) for terms in self.vocabularies)

    def of(self, text: str) -> tuple[Integers, Floats]:
        """Columns of a text's vector and their values. What scikit-learn's `transform` gives, without its checks, which
        take ten times as long as the work."""
        parts = [self._half(half, text) for half in range(len(self._terms))]
        return np.concatenate([columns for columns, _ in parts]), np.concatenate([values for _, values in parts])

    def _half(self, half: int, text: str) -> tuple[Integers, Floats]:
        known = self._columns[half]
        counts = Counter(column for term in self._terms[half](text) if (column := known.get(term)) is not None)
        columns = np.fromiter(counts, dtype=np.int64, count=len(counts))
        values = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        values = (1 + np.log(values)) * self.rarities[half][columns]
        length = float(np.sqrt((values * values).sum()))
        return columns + self._starts[half], values / length if length else values


def _halves() -> list[Any]:
    make: Any = TfidfVectorizer  # its stubs know float64 alone
    common: dict[str, Any] = {"sublinear_tf": True, "strip_accents": "unicode", "dtype": np.float32}
    return [
        make(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", **common),  # noqa: S106  no password
        make(analyzer="char_wb", ngram_range=(2, 4), **common),
    ]


def fit_vectors(texts: Sequence[str]) -> tuple[Vectors, Matrix]:
    """Learn the terms of texts; also gives the texts' vectors."""
    halves = _halves()
    matrix = cast("Any", scipy.sparse).hstack([half.fit_transform(texts) for half in halves], format="csr")
    terms = [sorted(half.vocabulary_, key=half.vocabulary_.get) for half in halves]
    return Vectors(terms, [half.idf_.astype(np.float32) for half in halves]), matrix


def beside(vectors: Matrix, more: Floats) -> Matrix:
    """The vectors with dense columns after their own."""
    return cast("Any", scipy.sparse).hstack([vectors, scipy.sparse.csr_array(more)], format="csr", dtype=np.float32)


def area_under_curve(high: Sequence[float], low: Sequence[float]) -> float:
    """The chance that one of `high` is above one of `low`."""
    from sklearn import metrics

    truth = [1] * len(high) + [0] * len(low)
    return round(float(cast("Any", metrics).roc_auc_score(truth, [*high, *low])), 4)


_one_at_a_time = threading.Lock()
"""The solver draws from one generator of the process: two at once would each get other weights every time."""


def fit_linear(vectors: Matrix, labels: Integers, seed: int) -> tuple[Floats, Floats]:
    """Weights (features by labels) and offsets of a linear classifier, one against the rest."""
    machine: Any = LinearSVC(C=0.5, random_state=seed)
    with _one_at_a_time:
        machine.fit(vectors, labels)
    weights, offsets = machine.coef_, machine.intercept_
    if len(weights) == 1:  # one row stands for both of two labels
        weights, offsets = np.vstack([-weights, weights]), np.concatenate([-offsets, offsets])
    return np.ascontiguousarray(weights.T, dtype=np.float32), offsets.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """The examples that each word or pair of words occurs in, with its weight there.

    Words alone decide which examples resemble a text: runs of characters would make it ten times slower.
    """

    starts: Integers
    examples: Integers
    weights: Floats

    @staticmethod
    def of(vectors: Matrix, words: int) -> "Index":
        """`words`: how many columns belong to words; they come first."""
        turned = vectors[:, :words].T.tocsr()
        return Index(turned.indptr.astype(np.int64), turned.indices.astype(np.int64), turned.data)

    def cosines(self, columns: Integers, values: Floats, count: int) -> Floats:
        """The cosine of the angle between a vector and each of `count` examples."""
        found = np.zeros(count, dtype=np.float32)
        words = columns < len(self.starts) - 1
        for column, value in zip(columns[words].tolist(), values[words].tolist(), strict=True):
            part = slice(self.starts[column], self.starts[column + 1])
            found[self.examples[part]] += value * self.weights[part]
        return found


def thirds(labels: Integers, seed: int) -> list[tuple[Integers, Integers]]:
    """Three ways to hold a third of the examples back, each label in its share."""
    splits: Any = StratifiedKFold(n_splits=3, shuffle=True, random_state=seed)
    return list(splits.split(np.zeros(len(labels)), labels))


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
