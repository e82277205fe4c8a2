"""Routers: a text to one of several labels, with a probability that means something, or to none."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrion.core import Json, SystemClock, UserError
from orchestrion.embeddings import EMBEDDING, embedder

from ._examples import Example, cut, digest_of, require_trainable
from ._settings import RouterSettings
from ._sklearn import (
    Floats,
    Index,
    Integers,
    Matrix,
    Vectors,
    area_under_curve,
    beside,
    fit_linear,
    fit_vectors,
    thirds,
    version,
)

FORMAT = "1"
"""Of what is stored; raised when a stored router would no longer be read rightly."""
MEANING = 2.0
"""The length of a meaning's vector; that of the words' is the square root of two. Of 1, 2 and 3 it gave the best answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A labelled example that resembles a text; `similarity` is the cosine of the angle between their words."""

    text: str
    label: str
    similarity: float

    def to_json(self) -> dict[str, Json]:
        return {"text": self.text, "label": self.label, "similarity": self.similarity}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Where a text belongs; `label` is None when the router abstained."""

    label: str | None
    best: str
    """The most probable label, even if the router abstained."""
    confidence: float
    nearest: tuple[Neighbour, ...]

    @property
    def abstained(self) -> bool:
        return self.label is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """How a router did on texts whose label it does not know, and should therefore leave to a person."""

    messages: int
    abstained: float
    abstained_at_90: float
    """The share that would be left to a person with the threshold at which 90 % of the messages it knows are answered."""
    auroc: float
    """The chance that a text of a known label gets more confidence than one of none: 1 is perfect, 0.5 is a coin."""

    def to_json(self) -> dict[str, Json]:
        return {
            "messages": self.messages,
            "abstained": self.abstained,
            "abstained_at_90": self.abstained_at_90,
            "auroc": self.auroc,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a router did on texts whose labels are known."""

    messages: int
    accuracy: float
    """Had it never abstained."""
    answered: float
    """The share it did not abstain on."""
    precision: float
    """The share of those answered that was right."""
    precision_at_90: float
    """The share that would be right if it answered the 90 % it is surest of."""
    threshold: float
    ms_per_message: float
    strangers: Strangers | None
    worst: tuple[dict[str, Json], ...]
    """Labels with the lowest share of right answers, and what they were mistaken for."""

    def to_json(self) -> dict[str, Json]:
        return {
            "messages": self.messages,
            "accuracy": self.accuracy,
            "coverage": {
                "answered": self.answered,
                "precision": self.precision,
                "precision_at_90": self.precision_at_90,
                "threshold": self.threshold,
            },
            "ms_per_message": self.ms_per_message,
            "unknown": self.strangers.to_json() if self.strangers else None,
            "worst": list(self.worst),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Router:
    """A trained router. Not changed by use, so that any thread may use it."""

    digest: str
    """Of examples, settings and versions."""
    settings: RouterSettings
    labels: tuple[str, ...]
    threshold: float
    temperature: float
    """What scores are multiplied by before they become probabilities; fitted on examples held back."""
    examples: tuple[Example, ...]
    vectors: Vectors
    weights: Floats
    offsets: Floats
    index: Index

    def route(self, text: str, choices: Collection[str] | None = None) -> Routing:
        """Where one text belongs. With `choices`, only these labels are given; others keep their share of probability.

        Raises: UserError `unknown-label` for a choice that is no label.
        """
        allowed = self._allowed(choices)
        columns, values = self.vectors.of(cut(text))
        scores = values @ self.weights[columns] + self.offsets
        if self.settings.embeddings:
            scores = scores + MEANING * embedder().embed([cut(text)])[0] @ self.weights[self.vectors.count :]
        chances = probabilities(scores[None, :], self.temperature)[0, allowed]
        position = int(chances.argmax())
        confidence = round(float(chances[position]), 4) if len(columns) else 0.0
        best = self.labels[allowed[position]]
        sure = len(columns) > 0 and confidence >= self.threshold
        nearest = self._nearest(columns, values)
        return Routing(label=best if sure else None, best=best, confidence=confidence, nearest=nearest)

    def test(self, rows: Sequence[Example]) -> Report:
        """How it does on labelled rows it was not trained with. Rows of labels it does not know are judged apart."""
        clock = SystemClock()
        began = clock.monotonic()
        every = [self.route(row.text) for row in rows]
        ms = (clock.monotonic() - began) * 1000 / max(len(rows), 1)
        known = [row.label in self.labels for row in rows]
        strange = [routing for routing, known_one in zip(every, known, strict=True) if not known_one]
        routings = [routing for routing, known_one in zip(every, known, strict=True) if known_one]
        rows = [row for row, known_one in zip(rows, known, strict=True) if known_one]
        right = [row.label == routing.best for row, routing in zip(rows, routings, strict=True)]
        answered = [not routing.abstained for routing in routings]
        both = sum(1 for good, said in zip(right, answered, strict=True) if good and said)
        return Report(
            messages=len(rows),
            accuracy=round(sum(right) / max(len(rows), 1), 4),
            answered=round(sum(answered) / max(len(rows), 1), 4),
            precision=round(both / max(sum(answered), 1), 4),
            precision_at_90=_surest(routings, right, 0.9),
            threshold=round(self.threshold, 4),
            ms_per_message=round(ms, 3),
            strangers=_strangers(routings, strange),
            worst=_worst(rows, routings),
        )

    def _allowed(self, choices: Collection[str] | None) -> list[int]:
        if choices is None:
            return list(range(len(self.labels)))
        for choice in choices:
            if choice not in self.labels:
                raise UserError(
                    "unknown-label",
                    f"The router knows no label {choice!r}.",
                    hint=f"Its labels: {', '.join(self.labels)}.",
                )
        if not choices:
            raise UserError("unknown-label", "`choices` is empty.", hint="Leave it out to allow every label.")
        return [position for position, label in enumerate(self.labels) if label in choices]

    def _nearest(self, columns: Integers, values: Floats) -> tuple[Neighbour, ...]:
        few = min(self.settings.nearest, len(self.examples))
        if few == 0:
            return ()
        cosines = self.index.cosines(columns, values, len(self.examples))
        bar = max(float(np.partition(cosines, -few)[-few]), 1e-6)
        near = np.flatnonzero(cosines >= bar).tolist()
        order = sorted(near, key=lambda at: (-float(cosines[at]), at))[:few]
        return tuple(self._neighbour(at, float(cosines[at])) for at in order)

    def _neighbour(self, position: int, cosine: float) -> Neighbour:
        example = self.examples[position]
        return Neighbour(text=example.text, label=example.label, similarity=round(cosine, 4))


def train(examples: Sequence[Example], settings: RouterSettings, *, where: str = "The examples") -> Router:
    """A router of these examples. The same examples and settings give the same router.

    Scores of examples held back, three times a third, give the temperature that makes probabilities honest (Guo et al., "On
    Calibration of Modern Neural Networks", 2017). With those of labels held back, which stand for messages of no label, they give
    the threshold that reaches the target precision.
    Raises: UserError `examples-too-few`.
    """
    kept = list(examples)
    require_trainable(kept, where)
    labels = tuple(sorted({example.label for example in kept}))
    truth = np.array([labels.index(example.label) for example in kept], dtype=np.int64)
    texts = [example.text for example in kept]
    vectors, matrix = fit_vectors(texts)
    if settings.embeddings:
        matrix = beside(matrix, MEANING * embedder().embed(texts))
    (weights, offsets), held_back = _fitted(matrix, truth, len(labels), settings.seed)
    temperature = _temperature(held_back, truth)
    threshold = settings.threshold
    if threshold is None:
        strange = (
            _strange(matrix, truth, temperature, settings.seed) if settings.strangers else np.empty(0, dtype=np.float32)
        )
        threshold = _threshold(probabilities(held_back, temperature), truth, strange, settings)
    return Router(
        digest=router_digest(kept, settings),
        settings=settings,
        labels=labels,
        threshold=threshold,
        temperature=temperature,
        examples=tuple(kept),
        vectors=vectors,
        weights=weights,
        offsets=offsets,
        index=Index.of(matrix, len(vectors.vocabularies[0])),
    )


def router_digest(examples: Sequence[Example], settings: RouterSettings) -> str:
    """What a router trained now with these would be identified by."""
    made_with = {"format": FORMAT, "scikit-learn": version()}
    if settings.embeddings:
        made_with["embeddings"] = f"{EMBEDDING} {MEANING}"
    return digest_of(list(examples), settings, made_with)


def _fitted(vectors: Matrix, truth: Integers, count: int, seed: int) -> tuple[tuple[Floats, Floats], Floats]:
    """The classifier of all examples, and each example's scores by a classifier that has not seen it."""
    held_back = np.zeros((len(truth), count), dtype=np.float32)
    for seen, rest in thirds(truth, seed):
        weights, offsets = fit_linear(vectors[seen], truth[seen], seed)
        held_back[rest] = vectors[rest] @ weights + offsets
    return fit_linear(vectors, truth, seed), held_back


def probabilities(scores: Floats, temperature: float) -> Floats:
    raised = scores * temperature
    raised = np.exp(raised - raised.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _temperature(scores: Floats, truth: Integers) -> float:
    """The factor with which the true labels are likeliest.

    Each label's share is smoothed by its number of examples, or a few examples that all come out right would make every
    answer certain. Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    rows = np.arange(len(truth))
    doubt = 1 / (np.bincount(truth)[truth] + 2)
    others = max(scores.shape[1] - 1, 1)

    def surprise(temperature: float) -> float:
        logs = np.log(np.maximum(probabilities(scores, temperature), 1e-12))
        right = logs[rows, truth]
        wrong = (logs.sum(axis=1) - right) / others
        return float(-((1 - doubt) * right + doubt * wrong).mean())

    return float(min(np.geomspace(0.25, 64, 97), key=surprise))


def _strange(vectors: Matrix, truth: Integers, temperature: float, seed: int) -> Floats:
    """Each example's confidence by a classifier that has never met its label; none where that leaves fewer than two labels."""
    labels = np.random.default_rng(seed).permutation(int(truth.max()) + 1)
    if len(labels) < 3:
        return np.empty(0, dtype=np.float32)
    found: list[Floats] = []
    for missing in (labels[start::3] for start in range(3)):
        strange = np.isin(truth, missing)
        _, known = np.unique(truth[~strange], return_inverse=True)
        weights, offsets = fit_linear(vectors[~strange], known, seed)
        found.append(probabilities(vectors[strange] @ weights + offsets, temperature).max(axis=1).astype(np.float32))
    return np.concatenate(found)


def _threshold(chances: Floats, truth: Integers, strange: Floats, settings: RouterSettings) -> float:
    """The lowest confidence of a known text from which on the answers reach the target precision; 1 when none does.

    An answer to one of `strange` is wrong, and all of them weigh as the share of strangers that is expected.
    """
    share = settings.strangers / (1 - settings.strangers)
    confidence = np.concatenate([chances.max(axis=1), strange])
    right = np.concatenate([chances.argmax(axis=1) == truth, np.zeros(len(strange))])
    weight = np.concatenate([np.ones(len(truth)), np.full(len(strange), share * len(truth) / max(len(strange), 1))])
    order = np.argsort(-confidence, kind="stable")
    known = order < len(truth)
    reached = known & (np.cumsum(right[order]) / np.cumsum(weight[order]) >= settings.target_precision)
    if not reached.any():
        return 1.0
    last = int(np.flatnonzero(reached)[-1])
    return round(float(confidence[order[last]]), 4)


def _surest(routings: Sequence[Routing], right: Sequence[bool], share: float) -> float:
    order = sorted(range(len(routings)), key=lambda at: -routings[at].confidence)
    chosen = order[: max(round(len(order) * share), 1)]
    return round(sum(right[at] for at in chosen) / max(len(chosen), 1), 4)


def _strangers(known: Sequence[Routing], strange: Sequence[Routing]) -> Strangers | None:
    if not known or not strange:
        return None
    bar = float(np.quantile([each.confidence for each in known], 0.1))
    return Strangers(
        messages=len(strange),
        abstained=round(sum(routing.abstained for routing in strange) / len(strange), 4),
        abstained_at_90=round(sum(routing.confidence < bar for routing in strange) / len(strange), 4),
        auroc=area_under_curve([each.confidence for each in known], [each.confidence for each in strange]),
    )


def _worst(rows: Sequence[Example], routings: Sequence[Routing]) -> tuple[dict[str, Json], ...]:
    total = Counter(row.label for row in rows)
    wrong: dict[str, Counter[str]] = {}
    for row, routing in zip(rows, routings, strict=True):
        if routing.best != row.label:
            wrong.setdefault(row.label, Counter())[routing.best] += 1
    ranked = sorted(wrong, key=lambda label: (-wrong[label].total() / total[label], label))[:5]
    return tuple(
        {
            "label": label,
            "messages": total[label],
            "right": round(1 - wrong[label].total() / total[label], 4),
            "mistaken_for": [other for other, _ in wrong[label].most_common(3)],
        }
        for label in ranked
    )
