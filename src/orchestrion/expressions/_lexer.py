"""jq's tokens, as far as they matter for telling what a program reads. Never decides whether a program is valid: jq does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["variable", "name", "field", "text", "number", "mark"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `$x` is a variable, `.x` a field, `map` a name, `"…"` a text (`whole` unless interpolated), the rest a mark."""

    kind: Kind
    text: str
    whole: bool = True


_NAME = r"(?:[A-Za-z_][A-Za-z_0-9]*::)*[A-Za-z_][A-Za-z_0-9]*"
_TOKEN = re.compile(
    rf"(?P<skip>\s+|#(?:\\(?:\r\n|\n|.)|[^\\\n])*)"
    rf"|\$(?P<variable>{_NAME})"
    rf"|(?P<field>\.[A-Za-z_][A-Za-z_0-9]*)"
    rf"|(?P<name>@?{_NAME})"
    rf"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<mark>\?//|\|=|//=|[-+*/%=!<>]=|//|\.\.|.)",
    re.DOTALL,
)
_TEXT = re.compile(r'(?:[^"\\]|\\[^(])*', re.DOTALL)
_INTERPOLATED = "\\("


def tokens(program: str) -> Iterator[Token]:
    """Tokens in order. Code interpolated into a string stands in parentheses between the pieces of that string."""
    brackets: list[str] = []
    at = 0
    while at < len(program):
        if program[at] == '"' or (brackets and program[at] == ")" and brackets.pop() == _INTERPOLATED):
            if program[at] == ")":
                yield Token("mark", ")")
            token, at = _text(program, at)
            yield token
            if not token.whole and program.startswith("\\(", at):
                yield Token("mark", "(")
                brackets.append(_INTERPOLATED)
                at += 2
            else:
                at += 1
            continue
        found = _TOKEN.match(program, at)
        if found is None:
            return
        at = found.end()
        kind = found.lastgroup
        if kind == "mark":
            yield Token("mark", found[kind])
            if found[kind] == "(":
                brackets.append("(")
        elif kind == "variable" or kind == "name" or kind == "field" or kind == "number":
            yield Token(kind, found[kind])


def _text(program: str, at: int) -> tuple[Token, int]:
    """The piece of a string that begins after `at`, a quote or the end of an interpolation; and where the piece ends."""
    found = _TEXT.match(program, at + 1)
    end = found.end() if found else at + 1
    whole = program[at] == '"' and not program.startswith("\\(", end)
    return Token("text", program[at + 1 : end], whole), end
