"""What can be told about a jq program without running it: what it reads, and whether it is a mere path."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from orchestrion.core import Json

from ._lexer import Token, tokens

Segment = str | int

_EXPRESSION = re.compile(r"\s*\$\{(.*)\}\s*", re.DOTALL)
_CONSTANT_WORDS = frozenset(["and", "or", "true", "false", "null", "if", "then", "elif", "else", "end"])
_PURE_MARKS = frozenset(
    ["+", "-", "*", "/", "%", "//", "==", "!=", "<", ">", "<=", ">=", ",", "(", ")", "[", "]", "{", "}", ":", "?", "."]
)
_WITHHELD = frozenset(
    [
        "env",
        "input",
        "inputs",
        "debug",
        "stderr",
        "halt",
        "halt_error",
        "input_filename",
        "input_line_number",
        "localtime",
        "strflocaltime",
        "modulemeta",
        "get_search_list",
        "get_jq_origin",
        "get_prog_origin",
        "import",
        "include",
        "module",
    ]
)


@dataclass(frozen=True, slots=True)
class Reads:
    """A variable's parts that a program can reach: member name → what of it; empty means all of it."""

    parts: Mapping[str, "Reads"]

    def of(self, value: Json) -> Json:
        """`value` without the members of objects that the program never names."""
        if not self.parts or not isinstance(value, Mapping):
            return value
        return {name: inner.of(value[name]) for name, inner in self.parts.items() if name in value}


ALL = Reads({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything known of a program's text."""

    variables: Mapping[str, Reads]
    mentions_now: bool
    needs_input: bool
    withheld: str | None
    """The first function it calls that expressions do not have, such as `env`."""
    path: tuple[str, tuple[Segment, ...]] | None
    """Root (a variable's name or `.`) and segments, if the program is nothing but a path."""


def strip(text: str) -> str | None:
    """The program inside `${ … }` when the whole of `text` is one expression, else None."""
    found = _EXPRESSION.fullmatch(text)
    return found[1].strip() if found else None


def variables_of(program: str) -> frozenset[str]:
    """Names of the variables a program mentions, those it binds itself included."""
    return frozenset(facts(program).variables)


def mentions_now(program: str) -> bool:
    """Whether it asks for the time."""
    return facts(program).mentions_now


def needs_input(program: str) -> bool:
    """Whether the result depends on `.`; in doubt it does."""
    return facts(program).needs_input


def read_by(program: str, name: str, value: Json) -> Json:
    """What of a variable's value the program can reach."""
    found = facts(program).variables.get(name)
    return value if found is None else found.of(value)


def is_simple_path(program: str) -> tuple[str, str] | None:
    """Root (a variable's name or `.`) and JSON pointer, if the program is nothing but a path like `$context.a["b"][0]`."""
    path = facts(program).path
    if path is None:
        return None
    return path[0], "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path[1])


@lru_cache(maxsize=4096)
def facts(program: str) -> Facts:
    """Everything known of a program's text; never raises, whatever the text."""
    found = list(tokens(program))
    calls = _calls(found)
    return Facts(
        variables=_reads(found),
        mentions_now="now" in calls,
        needs_input=_needs_input(found),
        withheld=_withheld(found, calls),
        path=_path(found),
    )


def is_mark(found: Sequence[Token], at: int, mark: str) -> bool:
    """Whether that mark stands there."""
    return 0 <= at < len(found) and found[at].kind == "mark" and found[at].text == mark


def _key_places(found: Sequence[Token]) -> frozenset[int]:
    """Where a token stands as the key of an object."""
    places: set[int] = set()
    brackets: list[str] = []
    for at, token in enumerate(found):
        if token.kind == "mark" and token.text in ("(", "[", "{"):
            brackets.append(token.text)
        elif token.kind == "mark" and token.text in (")", "]", "}"):
            brackets = brackets[:-1]
        elif brackets[-1:] == ["{"] and (is_mark(found, at - 1, "{") or is_mark(found, at - 1, ",")):
            places.add(at)
    return frozenset(places)


def _calls(found: Sequence[Token]) -> list[str]:
    """Names that stand where a function or keyword does."""
    keys = _key_places(found)
    return [token.text for at, token in enumerate(found) if token.kind == "name" and at not in keys]


def _withheld(found: Sequence[Token], calls: Sequence[str]) -> str | None:
    own = {after.text for before, after in itertools.pairwise(found) if before == Token("name", "def")}
    names = [name for name in calls if name in _WITHHELD and name not in own]
    if names:
        return names[0]
    return "$ENV" if Token("variable", "ENV") in found else None


def _ends_term(found: Sequence[Token], at: int) -> bool:
    """Whether the token before `at` ends a term, so that a `.` or `[` at `at` looks into that term."""
    if at == 0:
        return False
    before = found[at - 1]
    if before.kind == "mark":
        return before.text in (")", "]", "}", "?")
    return before.kind in ("variable", "field", "text")


def _needs_input(found: Sequence[Token]) -> bool:
    """False only if `.` can play no part: nothing but constants, operators and variables with what lies within them."""
    keys = _key_places(found)
    for at, token in enumerate(found):
        keyed = at in keys and is_mark(found, at + 1, ":")
        if at in keys and not keyed and token.kind != "variable":
            return True
        match token.kind:
            case "field":
                harmless = _ends_term(found, at)
            case "name":
                harmless = keyed or token.text in _CONSTANT_WORDS
            case "mark" if token.text == ".":
                harmless = _ends_term(found, at)
            case "mark":
                harmless = token.text in _PURE_MARKS
            case "variable" | "text" | "number":
                harmless = True
        if not harmless:
            return True
    words = _calls(found)
    return words.count("if") != words.count("else")


def _reads(found: Sequence[Token]) -> dict[str, Reads]:
    reads: dict[str, Reads] = {}
    for at, token in enumerate(found):
        if token.kind == "variable":
            path = [part for part in _segments(found, at + 1)[0] if isinstance(part, str)]
            known = reads.get(token.text)
            reads[token.text] = _merged(known, path) if known else _branch(path)
    return reads


def _branch(path: Sequence[str]) -> Reads:
    return Reads({path[0]: _branch(path[1:])}) if path else ALL


def _merged(known: Reads, path: Sequence[str]) -> Reads:
    if not known.parts or not path:
        return ALL
    inner = known.parts.get(path[0])
    return Reads({**known.parts, path[0]: _merged(inner, path[1:]) if inner else _branch(path[1:])})


def _segments(found: Sequence[Token], at: int, *, indices: bool = False) -> tuple[list[Segment], int]:
    """The static path that begins at `at`, and where it ends: `.a`, `."a"`, `["a"]` and, with `indices`, `[0]`."""
    path: list[Segment] = []
    while at < len(found):
        step = static_step(found, at, indices=indices)
        if step is None:
            break
        path.append(step[0])
        at = step[1]
    return path, at


def static_step(found: Sequence[Token], at: int, *, indices: bool) -> tuple[Segment, int] | None:
    """One step of a path that no value decides, and where it ends."""
    if found[at].kind == "field":
        return found[at].text[1:], at + 1
    dotted = at + 1 if is_mark(found, at, ".") else at
    if dotted > at and dotted < len(found) and (text := literal(found[dotted])) is not None:
        return text, dotted + 1
    if is_mark(found, dotted, "[") and is_mark(found, dotted + 2, "]"):
        inner = found[dotted + 1]
        if (text := literal(inner)) is not None:
            return text, dotted + 3
        if indices and inner.kind == "number" and inner.text.isdecimal() and len(inner.text) < 10:
            return int(inner.text), dotted + 3
    return None


def literal(token: Token) -> str | None:
    """The value of a string without interpolation whose escapes JSON knows too."""
    if token.kind != "text" or not token.whole:
        return None
    try:
        value = json.loads(f'"{token.text}"')
    except ValueError:
        return None
    return cast("str", value) if str.isprintable(value) else None


def _path(found: Sequence[Token]) -> tuple[str, tuple[Segment, ...]] | None:
    if not found:
        return None
    first = found[0]
    if first.kind == "variable":
        root, start = first.text, 1
    elif first.kind == "field" or first == Token("mark", "."):
        root, start = ".", 1 if found == [Token("mark", ".")] else 0
    else:
        return None
    path, end = _segments(found, start, indices=True)
    return (root, tuple(path)) if end == len(found) else None
