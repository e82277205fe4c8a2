"""Entries and back: how outcomes and problems stand in the journal."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrion.core import Cost, Datum, Entry, Json, Labels, Outcome, Problem, labels_from, labels_json


def stored_labels(labels: Labels) -> Mapping[str, Sequence[str]] | None:
    return cast("Mapping[str, Sequence[str]]", labels_json(labels)) if labels else None


def outcome_of(entry: Entry) -> Outcome:
    """The recorded outcome of a completed call."""
    cost = cast("Mapping[str, int] | None", entry.cost)
    return Outcome(
        output=Datum(entry.output, labels_from(cast("Json", entry.labels))),
        cost=Cost(**cost) if cost else None,
        model=entry.model,
        why=entry.why,
    )


def problem_in(stored: Json) -> Problem:
    return Problem.model_validate(stored)
