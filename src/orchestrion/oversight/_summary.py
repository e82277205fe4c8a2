"""From scores to a table: a value and its interval for each scorer, the difference to another version, and the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from orchestrion.core import Json

from ._evaluation import Gate, Scorer
from ._intervals import Agreement, Estimate, agreement, mean, mean_difference, share, share_difference
from ._scoring import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a scorer says of all cases."""

    name: str
    kind: str
    is_share: bool
    """A share of cases that are right; else the mean of numbers."""
    less_is_better: bool
    estimate: Estimate | None
    """None where nothing could be scored."""
    left_out: int
    """Cases of which the scorer says nothing."""
    agreement: Agreement | None
    """Of a judge with people."""
    against: Estimate | None = None
    difference: Estimate | None = None
    """How much more than the other version, on the cases that both were scored in."""
    gained: int = 0
    """Cases that are better than with the other version."""
    lost: int = 0
    failures: tuple[str, ...] = ()
    """What the gate asks for and is not so."""

    def to_json(self) -> dict[str, Json]:
        return {
            "scorer": self.name,
            "kind": self.kind,
            "measures": "share" if self.is_share else "mean",
            **_json(self.estimate),
            "left_out": self.left_out,
            "agreement": None
            if self.agreement is None
            else {
                "same": _json(self.agreement.same),
                "kappa": _json(self.agreement.kappa) if self.agreement.kappa else None,
            },
            "against": _json(self.against) if self.against else None,
            "difference": _json(self.difference) if self.difference else None,
            "gained": self.gained,
            "lost": self.lost,
            "failures": list(self.failures),
        }


def _json(estimate: Estimate | None) -> dict[str, Json]:
    if estimate is None:
        return {"value": None, "low": None, "high": None, "cases": 0}
    return {
        "value": round(estimate.value, 6),
        "low": round(estimate.low, 6),
        "high": round(estimate.high, 6),
        "cases": estimate.count,
    }


def summarise(
    scorers: Mapping[str, Scorer],
    scores: Mapping[str, Sequence[Score]],
    against: Mapping[str, Sequence[Score]] | None = None,
) -> list[Row]:
    """A row for each scorer; `scores` and `against` are of the same cases in the same order."""
    return [_row(name, scorer, scores[name], against[name] if against else None) for name, scorer in scorers.items()]


def _row(name: str, scorer: Scorer, ours: Sequence[Score], theirs: Sequence[Score] | None) -> Row:
    values = [score.value for score in ours if score.value is not None]
    others = [score.value for score in theirs or () if score.value is not None]
    is_share = _counts(scorer, [*values, *others])
    pairs = [
        (one.value, other.value)
        for one, other in zip(ours, theirs or (), strict=False)
        if one.value is not None and other.value is not None
    ]
    sign = -1 if scorer.less_is_better else 1
    labelled = [(score.label, score.person) for score in ours if score.label is not None and score.person is not None]
    row = Row(
        name=name,
        kind="schema" if scorer.kind == "fits" else scorer.kind,
        is_share=is_share,
        less_is_better=scorer.less_is_better,
        estimate=_estimate(values, is_share=is_share),
        left_out=len(ours) - len(values),
        agreement=agreement(labelled) if labelled else None,
        against=_estimate(others, is_share=is_share),
        difference=_difference(pairs, is_share=is_share),
        gained=sum(sign * (one - other) > 0 for one, other in pairs),
        lost=sum(sign * (one - other) < 0 for one, other in pairs),
    )
    return _judged(row, scorer.gate, compared=theirs is not None)


def _counts(scorer: Scorer, values: Sequence[float]) -> bool:
    """Whether values are right or wrong. A package's scorer may give either."""
    return not scorer.less_is_better and (scorer.python is None or all(value in (0.0, 1.0) for value in values))


def _estimate(values: Sequence[float], *, is_share: bool) -> Estimate | None:
    if not values:
        return None
    return share(sum(value == 1 for value in values), len(values)) if is_share else mean(values)


def _difference(pairs: Sequence[tuple[float, float]], *, is_share: bool) -> Estimate | None:
    if not pairs:
        return None
    return share_difference([(a == 1, b == 1) for a, b in pairs]) if is_share else mean_difference(pairs)


def _judged(row: Row, gate: Gate, *, compared: bool) -> Row:
    """The row with what the gate has to say. Nothing scored is nothing shown: then a gate does not hold."""
    asked = gate.model_dump(exclude_none=True)
    if not compared:
        asked.pop("worse_by_at_most", None)
    if not asked:
        return row
    found = row.estimate
    if found is None:
        return _with(row, ["nothing could be scored"])
    kappa = row.agreement.kappa.value if row.agreement and row.agreement.kappa else None
    worst = None if row.difference is None else row.difference.high if row.less_is_better else -row.difference.low
    checks: list[tuple[str, float | None, bool]] = [
        ("at_least", found.value, True),
        ("at_most", found.value, False),
        ("surely_at_least", found.low, True),
        ("surely_at_most", found.high, False),
        ("worse_by_at_most", worst, False),
        ("kappa_at_least", kappa, True),
    ]
    failures: list[str] = []
    for name, value, floor in checks:
        bound = cast("float | None", asked.get(name))
        if bound is None:
            continue
        if value is None:
            failures.append(f"{name} {bound:g}: not known")
        elif (value < bound) if floor else (value > bound):
            failures.append(f"{name} {bound:g}: it is {value:.4g}")
    return _with(row, failures)


def _with(row: Row, failures: Sequence[str]) -> Row:
    return replace(row, failures=tuple(failures))
