"""Scorers of installed packages, by entry points of the group `orchestrion.scorers`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import entry_points
from typing import cast

from orchestrion.core import Json, UserError
from orchestrion.oversight import Case, Observation, PythonScorer, Score

GROUP = "orchestrion.scorers"

Judgement = Callable[..., object]
"""Given the case, what was observed, and its settings by keyword: true or false, a number, `{value, why}`, or None."""


def load_scorer(named: PythonScorer) -> Judgement:
    """The function of this name. Raises: UserError `unknown-scorer`, `scorer-clash`, `broken-scorer`."""
    require_scorer(named)
    (found,) = entry_points(group=GROUP, name=named.name)
    try:
        return cast("Judgement", found.load())
    except Exception as error:  # importing runs code of the package
        why = f"{type(error).__name__}: {error}"
        raise UserError("broken-scorer", f"The scorer {named.name!r} cannot be loaded. {why}") from error


def require_scorer(named: PythonScorer) -> None:
    """One package offers it; nothing is imported. Raises: UserError `unknown-scorer`, `scorer-clash`."""
    known = entry_points(group=GROUP)
    found = [each for each in known if each.name == named.name]
    if not found:
        listed = ", ".join(sorted(each.name for each in known)) or "none"
        raise UserError(
            "unknown-scorer",
            f"No installed package offers a scorer {named.name!r}.",
            hint=f"Packages offer them under the entry point group {GROUP!r}. There are: {listed}.",
        )
    if len(found) > 1:
        raise UserError("scorer-clash", f"Several packages offer a scorer {named.name!r}.", hint="Remove one of them.")


def score_by(judgement: Judgement, named: PythonScorer, case: Case, seen: Observation) -> Score:
    """What it says of a case. Raises: UserError `broken-scorer` for an exception, or an answer of another form."""
    told: Json = {"name": case.name, "input": case.input, "truth": case.truth}
    try:
        said = judgement(told, cast("Json", asdict(seen)), **named.settings)
    except Exception as error:  # code of the package
        why = f"{type(error).__name__}: {error}"
        raise UserError("broken-scorer", f"The scorer {named.name!r} failed at {case.name}. {why}") from error
    why = ""
    if isinstance(said, Mapping):
        answer = cast("Mapping[str, object]", said)
        said, why = answer.get("value"), str(answer.get("why") or "")
    if said is None:
        return Score(value=None, why=why or "it says nothing of this case")
    if not isinstance(said, int | float) or not math.isfinite(said):
        raise UserError(
            "broken-scorer",
            f"The scorer {named.name!r} gave {said!r} at {case.name}.",
            hint="It gives true or false, a number, None, or `{value, why}`.",
        )
    return Score(value=float(said), why=why)
