"""The commonest programs without jq: paths, comparisons, objects made of them. What is unsure in any way is left to jq.

A program compiles to a function, or to nothing when it holds more than this file knows. The function raises `Unsure` for
values whose treatment is jq's to say: its errors, and all arithmetic in double precision.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias, TypeGuard

from orchestrion.core import Json

from ._lexer import Token, tokens
from ._program import is_mark, literal, static_step

Evaluate: TypeAlias = Callable[[Json, Mapping[str, Json]], Json]
"""`.` and the variables → the one result."""

EXACT = 2**53
"""Integers up to here are the same in double precision."""


class Unsure(Exception):
    """jq must be asked."""


def native(program: str, variables: Mapping[str, Json]) -> tuple[Json] | None:
    """The result, exactly as jq gives it; None when jq must be asked."""
    evaluate = _compiled(program)
    if evaluate is None:
        return None
    try:
        return (evaluate(variables.get("."), variables),)
    except (Unsure, RecursionError):
        return None


@lru_cache(maxsize=4096)
def _compiled(program: str) -> Evaluate | None:
    found = list(tokens(program))
    if not found or _ends_open(program, found[-1]):
        return None
    parser = _Parser(found)
    try:
        evaluate = parser.pipe()
    except (Unsure, RecursionError):
        return None
    return evaluate if parser.at == len(found) else None


def _ends_open(program: str, last: Token) -> bool:
    """Whether a string at the end may lack its closing quote."""
    return last.kind == "text" and not program.rstrip().endswith(f'{last.text}"')


class _Parser:
    """Recursive descent, loosest operator first. Source: jq manual, "Operators"; precedences from its grammar."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._found = found
        self.at = 0

    def _take(self, *texts: str) -> str | None:
        """Consume a mark or a word."""
        if self.at < len(self._found):
            token = self._found[self.at]
            if token.kind in {"mark", "name"} and token.text in texts:
                self.at += 1
                return token.text
        return None

    def _require(self, text: str) -> None:
        if self._take(text) is None:
            raise Unsure

    def _next(self) -> Token:
        if self.at >= len(self._found):
            raise Unsure
        self.at += 1
        return self._found[self.at - 1]

    def pipe(self) -> Evaluate:
        left = self._alternative()
        if not self._take("|"):
            return left
        right = self.pipe()
        return lambda dot, known: right(left(dot, known), known)

    def _alternative(self) -> Evaluate:
        left = self._or()
        if not self._take("//"):
            return left
        right = self._alternative()

        def alternative(dot: Json, known: Mapping[str, Json]) -> Json:
            value = left(dot, known)
            return value if _truthy(value) else right(dot, known)

        return alternative

    def _or(self) -> Evaluate:
        left = self._and()
        while self._take("or"):
            left = _either(left, self._and())
        return left

    def _and(self) -> Evaluate:
        left = self._comparison()
        while self._take("and"):
            left = _both(left, self._comparison())
        return left

    def _comparison(self) -> Evaluate:
        left = self._sum()
        if (operator := self._take(*_COMPARE)) is None:
            return left
        right, compare = self._sum(), _COMPARE[operator]
        return lambda dot, known: compare(left(dot, known), right(dot, known))

    def _sum(self) -> Evaluate:
        left = self._term()
        while operator := self._take("+", "-"):
            left = _arithmetic(left, self._term(), _plus if operator == "+" else _minus)
        return left

    def _term(self) -> Evaluate:
        """What stands alone, with the path that follows it."""
        evaluate = self._primary()
        while self.at < len(self._found):
            step = static_step(self._found, self.at, indices=True)
            if step is not None:
                evaluate, self.at = _member_of(evaluate, step[0]), step[1]
            elif is_mark(self._found, self.at, "["):
                self.at += 1
                evaluate = _element_of(evaluate, self.pipe())
                self._require("]")
            else:
                break
        return evaluate

    def _primary(self) -> Evaluate:
        token = self._next()
        match token.kind:
            case "variable":
                return _variable(token.text)
            case "field":
                return _member_of(_dot, token.text[1:])
            case "text":
                return self._text(token)
            case "number":
                return _constant(_number(token.text))
            case "name":
                return self._word(token.text)
            case "mark":
                return self._marked(token.text)

    def _marked(self, mark: str) -> Evaluate:
        match mark:
            case ".":
                return self._dotted()
            case "(":
                inner = self.pipe()
                self._require(")")
                return inner
            case "{":
                return self._object()
            case "[":
                return self._array()
            case _:
                raise Unsure

    def _dotted(self) -> Evaluate:
        """`.` alone, or before a quoted name."""
        if self.at < len(self._found) and self._found[self.at].kind == "text":
            name = literal(self._next())
            if name is None:
                raise Unsure
            return _member_of(_dot, name)
        return _dot

    def _word(self, word: str) -> Evaluate:
        if word == "if":
            return self._condition()
        if word in _CONSTANTS:
            return _constant(_CONSTANTS[word])
        if word in _FUNCTIONS:
            return _FUNCTIONS[word]
        raise Unsure

    def _condition(self) -> Evaluate:
        test = self.pipe()
        self._require("then")
        then = self.pipe()
        if self._take("elif"):
            otherwise = self._condition()
        else:
            otherwise = self.pipe() if self._take("else") else _dot
            self._require("end")
        return lambda dot, known: (then if _truthy(test(dot, known)) else otherwise)(dot, known)

    def _text(self, token: Token) -> Evaluate:
        """A string, with the programs interpolated into it."""
        pieces: list[Evaluate] = [_constant(_decoded(token))]
        if token.whole:
            return pieces[0]
        while self._take("("):
            pieces.append(_as_text(self.pipe()))
            self._require(")")
            pieces.append(_constant(_decoded(self._next())))
        return lambda dot, known: "".join([str(piece(dot, known)) for piece in pieces])

    def _object(self) -> Evaluate:
        members: dict[str, Evaluate] = {}
        while not self._take("}"):
            if members and not self._take(","):
                raise Unsure
            name, value = self._member()
            if name in members:
                raise Unsure
            members[name] = value
        return lambda dot, known: {name: value(dot, known) for name, value in members.items()}

    def _member(self) -> tuple[str, Evaluate]:
        token = self._next()
        if token.kind == "variable":
            return token.text, _variable(token.text)
        name = literal(token) if token.kind == "text" else token.text if token.kind == "name" else None
        if name is None or name.startswith("@"):
            raise Unsure
        return name, self._term() if self._take(":") else _member_of(_dot, name)

    def _array(self) -> Evaluate:
        items: list[Evaluate] = []
        while not self._take("]"):
            if items and not self._take(","):
                raise Unsure
            items.append(self._alternative())
        return lambda dot, known: [item(dot, known) for item in items]


def _decoded(token: Token) -> str:
    text = literal(Token("text", token.text)) if token.kind == "text" else None
    if text is None:
        raise Unsure
    return text


def _dot(dot: Json, known: Mapping[str, Json]) -> Json:
    if "." not in known:
        raise Unsure
    return dot


def _constant(value: Json) -> Evaluate:
    return lambda dot, known: value


def _number(text: str) -> Json:
    if not text.isdecimal() or int(text) > EXACT:
        raise Unsure
    return int(text)


def _variable(name: str) -> Evaluate:
    def variable(dot: Json, known: Mapping[str, Json]) -> Json:
        if name not in known:
            raise Unsure
        return known[name]

    return variable


def _member_of(inner: Evaluate, segment: str | int) -> Evaluate:
    return lambda dot, known: _member(inner(dot, known), segment)


def _element_of(inner: Evaluate, place: Evaluate) -> Evaluate:
    def element(dot: Json, known: Mapping[str, Json]) -> Json:
        value, segment = inner(dot, known), place(dot, known)
        if not isinstance(segment, str) and (not _is_exact(segment) or segment < 0):
            raise Unsure
        return _member(value, segment)

    return element


def _member(value: Json, segment: str | int) -> Json:
    if value is None:
        return None
    if isinstance(segment, str):
        if not isinstance(value, Mapping):
            raise Unsure
        return value.get(segment)
    if isinstance(value, str | Mapping) or not isinstance(value, Sequence):
        raise Unsure
    return value[segment] if segment < len(value) else None


def _truthy(value: Json) -> bool:
    return value is not None and value is not False


def _either(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda dot, known: _truthy(left(dot, known)) or _truthy(right(dot, known))


def _both(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda dot, known: _truthy(left(dot, known)) and _truthy(right(dot, known))


def _is_exact(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= EXACT


def _arithmetic(left: Evaluate, right: Evaluate, combine: "Callable[[Json, Json], Json]") -> Evaluate:
    return lambda dot, known: combine(left(dot, known), right(dot, known))


def _plus(left: Json, right: Json) -> Json:
    if left is None:
        return right
    if right is None:
        return left
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return {**left, **right}
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *right]
    return _whole(left, right, 1)


def _minus(left: Json, right: Json) -> Json:
    return _whole(left, right, -1)


def _whole(left: Json, right: Json, sign: int) -> int:
    if not _is_exact(left) or not _is_exact(right) or not _is_exact(found := left + sign * right):
        raise Unsure
    return found


def _same(left: Json, right: Json) -> bool:
    """Equality as JSON has it: true is not 1."""
    if isinstance(left, str) or isinstance(right, str) or left is None or right is None:
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) or isinstance(right, Mapping):
        if not isinstance(left, Mapping) or not isinstance(right, Mapping) or left.keys() != right.keys():
            return False
        return all(_same(value, right[name]) for name, value in left.items())
    if isinstance(left, int | float) or isinstance(right, int | float):
        return isinstance(left, int | float) and isinstance(right, int | float) and _order(left, right) == 0
    return len(left) == len(right) and all(_same(a, b) for a, b in zip(left, right, strict=True))


def _order(left: Json, right: Json) -> int:
    """Negative, zero or positive, for two numbers or two texts."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if not _comparable(left) or not _comparable(right):
        raise Unsure
    return (left > right) - (left < right)


def _comparable(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, float) or _is_exact(value)


def _as_text(inner: Evaluate) -> Evaluate:
    def text(dot: Json, known: Mapping[str, Json]) -> Json:
        value = inner(dot, known)
        if isinstance(value, str):
            return value
        if not _is_exact(value):
            raise Unsure
        return str(value)

    return text


def _length(dot: Json, known: Mapping[str, Json]) -> Json:
    value = _dot(dot, known)
    if value is None:
        return 0
    if isinstance(value, bool | int | float):
        raise Unsure
    return len(value)


def _not(dot: Json, known: Mapping[str, Json]) -> Json:
    return not _truthy(_dot(dot, known))


_CONSTANTS: Mapping[str, Json] = {"true": True, "false": False, "null": None}
_FUNCTIONS: Mapping[str, Evaluate] = {"length": _length, "not": _not}
_COMPARE: "Mapping[str, Callable[[Json, Json], bool]]" = {
    "==": _same,
    "!=": lambda left, right: not _same(left, right),
    "<": lambda left, right: _order(left, right) < 0,
    "<=": lambda left, right: _order(left, right) <= 0,
    ">": lambda left, right: _order(left, right) > 0,
    ">=": lambda left, right: _order(left, right) >= 0,
}
