"""Figures of an evaluation as people read them."""

from orchestrion.oversight import Agreement, Estimate, Row


def value_of(row: Row) -> str:
    return _number(row.estimate.value, row) if row.estimate else "–"


def interval_of(estimate: Estimate | None, row: Row) -> str:
    return f"{_number(estimate.low, row)} to {_number(estimate.high, row)}" if estimate else "nothing to score"


def count_of(row: Row) -> str:
    count = row.estimate.count if row.estimate else 0
    return f"{count:,}" + (f", {row.left_out:,} left out" if row.left_out else "")


def difference_of(row: Row) -> str:
    found = row.difference
    return f"{_number(found.value, row)} ({interval_of(found, row)})" if found else "–"


def agreement_of(row: Row, found: Agreement) -> str:
    """How a judge agrees with people, in a sentence."""
    kappa = found.kappa
    said = f"kappa {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})" if kappa else "kappa is not defined"
    return f"{row.name} agrees with people in {found.same.value:.1%} of {found.same.count:,} cases, {said}"


def _number(value: float, row: Row) -> str:
    return f"{value:.1%}" if row.is_share else f"{value:.4g}"
