"""Scores: what a scorer says of a run. Judges and scorers of packages are asked elsewhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Json, OrchestrionError, canonical, parse
from orchestrion.spec import Schema, steps_of

from ._evaluation import Contains, Exact, Expected, Fits, Numeric, PolicyOutcome, Routing, Scorer, Tools
from ._observation import Called, Case, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one scorer says of one case."""

    value: float | None
    """1 is right and 0 is wrong; a number where the scorer measures one. None: it says nothing of this case."""
    why: str = ""
    label: str | None = None
    """Of a judge."""
    person: str | None = None
    """What a person labelled the same case."""


class _Unknown(Exception):
    """The case does not say what is right."""


def score(scorer: Scorer, case: Case, seen: Observation) -> Score:
    """What a scorer of this platform says; not for `python` and `judge`."""
    try:
        return _score(scorer, case, seen)
    except _Unknown as missing:
        return Score(value=None, why=f"the case does not say {missing}")


def _score(scorer: Scorer, case: Case, seen: Observation) -> Score:
    if scorer.exact is not None:
        return _exact(scorer.exact, case, seen)
    if scorer.contains is not None:
        return _contains(scorer.contains, case, seen)
    if scorer.numeric is not None:
        return _numeric(scorer.numeric, case, seen)
    if scorer.fits is not None:
        return _fits(scorer.fits, seen)
    if scorer.routing is not None:
        return _routing(scorer.routing, case, seen)
    if scorer.tools is not None:
        return _tools(scorer.tools, case, seen)
    if scorer.policy is not None:
        return _policy(scorer.policy, seen)
    if scorer.ended is not None:
        return _verdict(seen.status in scorer.ended, f"it ended {seen.status}")
    if scorer.cost is not None:
        return _cost(scorer.cost.most_usd, seen)
    if scorer.latency is not None:
        most = scorer.latency.most_s
        value = seen.seconds if most is None else float(seen.seconds <= most)
        return Score(value=value, why=f"{seen.seconds:.3f} s")
    raise ValueError(f"{scorer.kind} is scored elsewhere")


def truth_of(case: Case, name: str) -> Json:
    """What a case says under a name, or at a pointer. Raises: KeyError."""
    return _at(case.truth, steps_of(name) if name.startswith("/") else [name])


def at(value: Json, pointer: str) -> Json:
    """What stands at a JSON pointer; None where nothing does."""
    try:
        return _at(value, steps_of(pointer))
    except KeyError:
        return None


def _at(value: Json, steps: Sequence[str]) -> Json:
    for step in steps:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise KeyError(step)
    return value


def _right(expected: Expected, case: Case) -> Json:
    if expected.truth is None:
        return cast("Json", expected.value)
    try:
        return truth_of(case, expected.truth)
    except KeyError:
        raise _Unknown(repr(expected.truth)) from None


def _verdict(right: bool, why: str) -> Score:
    return Score(value=float(right), why=why)


def _shown(value: Json) -> str:
    text = canonical(value) if value is not None else "nothing"
    return text if len(text) <= 80 else text[:79] + "…"


def _same(found: Json, right: Json) -> bool:
    """Equal; a file of text says numbers and truth as text, and leaves empty what is not there."""
    if found is None:
        return right in (None, "")
    if isinstance(right, str) and not isinstance(found, str):
        return canonical(found) == right or _number(found) == _number(right) is not None
    if isinstance(found, bool) or isinstance(right, bool):
        return found is right
    return found == right


def _number(value: Json) -> float | None:
    if isinstance(value, str):
        try:
            value = parse(value.strip())
        except OrchestrionError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _exact(kind: Exact, case: Case, seen: Observation) -> Score:
    right, found = _right(kind, case), at(seen.output, kind.at)
    return _verdict(_same(found, right), f"{_shown(found)}, right is {_shown(right)}")


def _contains(kind: Contains, case: Case, seen: Observation) -> Score:
    right, found = _right(kind, case), at(seen.output, kind.at)
    text = (found if isinstance(found, str) else "" if found is None else canonical(found)).casefold()
    wanted = [right] if isinstance(right, str) or not isinstance(right, Sequence) else right
    missing = [each for each in wanted if str(each).casefold() not in text]
    return _verdict(not missing, f"{_shown(missing)} is not in it" if missing else "it is all there")


def _numeric(kind: Numeric, case: Case, seen: Observation) -> Score:
    given = _right(kind, case)
    right, found = _number(given), _number(at(seen.output, kind.at))
    if right is None:
        if given in (None, ""):
            return _verdict(found is None, f"{found if found is not None else 'nothing'}, right is nothing")
        raise _Unknown(f"a number: {_shown(given)}")
    if found is None:
        return _verdict(False, f"no number, right is {right:g}")
    off = abs(found - right)
    within = off <= max(kind.tolerance, kind.relative * abs(right)) or math.isclose(found, right, rel_tol=1e-12)
    return _verdict(within, f"{found:g}, right is {right:g}")


def _fits(kind: Fits, seen: Observation) -> Score:
    violations = Schema(cast("Json", kind.document)).violations(at(seen.output, kind.at), limit=1)
    why = "; ".join(f"{each.pointer or 'the value'}: {each.message}" for each in violations)
    return _verdict(not violations, why or "it fits")


def _routing(kind: Routing, case: Case, seen: Observation) -> Score:
    right = _right(kind, case)
    ways = {task: way for way, task in kind.ways.items()}
    taken = [ways[task] for task in seen.tasks if task in ways]
    found = None if not taken else taken[0] if kind.take == "first" else taken[-1]
    return _verdict(_same(found, right), f"{found or 'no way'}, right is {_shown(right)}")


def _tools(kind: Tools, case: Case, seen: Observation) -> Score:
    used = list(kind.used) if kind.truth is None else _names(_right(Expected(truth=kind.truth), case))
    names = [call.name for call in seen.calls]
    if banned := [name for name in kind.never if name in names]:
        return _verdict(False, f"{banned[0]} was called")
    if missing := [name for name in used if name not in names]:
        return _verdict(False, f"{missing[0]} was not called")
    if kind.in_order:
        left = iter(names)
        for name in used:
            if name not in left:
                return _verdict(False, f"{name} was not called in its turn: {', '.join(names)}")
    for name, wanted in kind.arguments.items():
        given = [call for call in seen.calls if call.name == name]
        if given and not any(_has(call, cast("Mapping[str, Json]", wanted)) for call in given):
            return _verdict(False, f"{name} was called with {_shown(given[0].arguments)}")
    return _verdict(True, f"called: {', '.join(names) or 'nothing'}")


def _names(value: Json) -> list[str]:
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return [str(each) for each in value] if isinstance(value, Sequence) else []


def _has(call: Called, wanted: Mapping[str, Json]) -> bool:
    given: Mapping[str, Json] = call.arguments if isinstance(call.arguments, Mapping) else {}
    return all(name in given and _same(given[name], value) for name, value in wanted.items())


_GRAVEST = ("deny", "needs-approval", "allow")


def _policy(kind: PolicyOutcome, seen: Observation) -> Score:
    for action, right in kind.verdicts.items():
        said = {call.verdict for call in seen.calls if call.name == action}
        found = next((verdict for verdict in _GRAVEST if verdict in said), "none")
        if found not in right:
            return _verdict(False, f"{action}: {found}, right is {' or '.join(right)}")
    return _verdict(True, "as it should be")


def _cost(most_usd: float | None, seen: Observation) -> Score:
    if seen.unpriced:
        return Score(value=None, why="a model has no known price")
    usd = seen.usd_micros / 1_000_000
    return Score(value=usd if most_usd is None else float(usd <= most_usd), why=f"{usd:.6f} US dollars")
