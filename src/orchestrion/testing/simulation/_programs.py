"""The expressions of simulated documents, evaluated without jq: a few forms, each a line of Python."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from orchestrion.core import Json
from orchestrion.expressions import ExpressionError

Variables = Mapping[str, Json]

_Form = tuple[re.Pattern[str], Callable[[re.Match[str], Variables], Json]]


def failing() -> str:
    """A program that always fails."""
    return '{} - "broken"'


def evaluate(program: str, variables: Variables) -> Json:
    """The program's result as jq would give it. Raises: ExpressionError `expression-failed`; KeyError for a form nobody knows."""
    for pattern, compute in _FORMS:
        if found := pattern.fullmatch(program):
            return compute(found, variables)
    raise KeyError(program)


def _member(value: Json, name: str) -> Json:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise _failed(f"cannot look into a {type(value).__name__}")
    return value.get(name)


def _read(path: str, variables: Variables) -> Json:
    root, _, members = path.partition(".")
    value = variables.get(root[1:] if root else ".")
    for name in members.split(".") if members else ():
        value = _member(value, name)
    return value


def _plus(left: Json, right: Json) -> Json:
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return {**left, **right}
    raise _failed("these cannot be added")


def _failed(why: str) -> ExpressionError:
    return ExpressionError("expression-failed", f"The expression failed: {why}.")


def _less(left: Json, right: int) -> bool:
    """Source: jq manual, order of values: null, false, true, numbers, strings, arrays, objects."""
    if left is None or isinstance(left, bool):
        return True
    return isinstance(left, int | float) and left < right


def _equal(left: Json, right: int) -> bool:
    return not isinstance(left, bool) and left == right


def _fail(_: re.Match[str], __: Variables) -> Json:
    raise _failed("object and string cannot be subtracted")


def _count(found: re.Match[str], variables: Variables) -> Json:
    context, name = variables.get("context"), found[1]
    before = _member(context, name)
    return _plus(context, {name: (cast("int", before) if before else 0) + 1})


_VALUE = r"(\$\w+(?:\.\w+)*|\.(?:\w+(?:\.\w+)*)?)"
_FORMS: Sequence[_Form] = (
    (re.compile(_VALUE), lambda m, v: _read(m[1], v)),
    (re.compile(rf"\$context \+ \{{(\w+): {_VALUE}\}}"), lambda m, v: _plus(v.get("context"), {m[1]: _read(m[2], v)})),
    (re.compile(r"\$context \+ \{(\w+): \(\(\$context\.\1 // 0\) \+ 1\)\}"), _count),
    (re.compile(rf"\{{(\w+): {_VALUE}\}}"), lambda m, v: {m[1]: _read(m[2], v)}),
    (re.compile(rf"{_VALUE} < (\d+)"), lambda m, v: _less(_read(m[1], v), int(m[2]))),
    (re.compile(rf"{_VALUE} == (\d+)"), lambda m, v: _equal(_read(m[1], v), int(m[2]))),
    (re.compile(rf"{_VALUE} == null"), lambda m, v: _read(m[1], v) is None),
    (re.compile(rf"\[{_VALUE}, (\d+)\]"), lambda m, v: [_read(m[1], v), int(m[2])]),
    (re.compile(r"\[(\d+(?:, \d+)*)\]"), lambda m, _: [int(part) for part in m[1].split(", ")]),
    (re.compile(r"\[\]"), lambda _, __: []),
    (re.compile(r"\{seconds: (\d+)\}"), lambda m, _: {"seconds": int(m[1])}),
    (re.compile(r"true|false"), lambda m, _: m[0] == "true"),
    (re.compile(r"now > 0"), lambda _, v: cast("float", v["__now"]) > 0),
    (re.compile(re.escape(failing())), _fail),
)
