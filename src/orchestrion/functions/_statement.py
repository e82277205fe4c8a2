"""What a SQL statement is, as far as safety needs to know: its parameters, and whether it writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from orchestrion.core import UserError

IDEMPOTENCY_KEY = "idempotency_key"
"""The parameter that the platform binds itself: the same for every repetition of the same step of a run."""

_READS = frozenset({"select", "values", "explain", "table"})
_WRITES = frozenset({"insert", "update", "delete", "replace", "merge"})

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<literal> \b[eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*" | `(?:``|[^`])*`
        | \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<cast> :: )
    | (?P<parameter> (?<![\w:]):(?P<name>[A-Za-z_]\w*) )
    | (?P<end> ; )
    | (?P<open> ['"`] | /\* )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<other> \S )
    """,
    re.VERBOSE | re.DOTALL,
)


class BadStatement(UserError):
    """A statement that cannot be run; `at` is where in its text, in characters."""

    def __init__(self, code: str, message: str, *, at: int, hint: str | None = None) -> None:
        super().__init__(code, message, hint=hint)
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One SQL statement."""

    text: str
    """As SQLAlchemy's `text()` wants it: colons that begin no parameter escaped."""
    places: Mapping[str, int]
    """Its parameters, and where each stands first, in characters."""
    begins: int
    """Where its first word stands."""
    writes: bool
    """True unless it can only read; the database is told as well, and enforces it."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.places)

    @property
    def binds_key(self) -> bool:
        return IDEMPOTENCY_KEY in self.places


@lru_cache(maxsize=512)
def read_statement(source: str) -> Statement:
    """Read a statement.

    Raises: BadStatement `empty-statement`, `several-statements`, `unfinished-statement`, `statement-not-supported`.
    """
    text: list[str] = []
    places: dict[str, int] = {}
    words: list[tuple[str, int]] = []
    ended, position = False, 0
    for token in _TOKEN.finditer(source):
        text.append(source[position : token.start()])
        position = token.end()
        kind = token.lastgroup
        if kind != "comment" and kind != "end" and ended:
            raise BadStatement(
                "several-statements", "A query is one statement; this text has several.", at=token.start()
            )
        match kind:
            case "open":
                raise BadStatement(
                    "unfinished-statement", f"A {token[0]} in the statement is never closed.", at=token.start()
                )
            case "end":
                ended = True
                continue
            case "parameter":
                places.setdefault(token["name"], token.start() + 1)
                text.append(token[0])
                continue
            case "word" if not _is_call(source, token):
                words.append((token[0].lower(), token.start()))
            case _:
                pass
        text.append(token[0].replace(":", "\\:"))
    writes = _writes(words)
    return Statement(text="".join(text), places=places, begins=words[0][1], writes=writes)


def _is_call(source: str, word: re.Match[str]) -> bool:
    """Whether a word is a function's name, as `replace` in `replace(name, 'a', 'b')`."""
    return word[0].lower() == "replace" and source[word.end() :].lstrip().startswith("(")


def _writes(words: list[tuple[str, int]]) -> bool:
    if not words:
        raise BadStatement("empty-statement", "The statement is empty.", at=0)
    first, at = words[0]
    if first == "with":
        return not _WRITES.isdisjoint(word for word, _ in words)
    if first in _READS or first in _WRITES:
        return first in _WRITES
    raise BadStatement(
        "statement-not-supported",
        f"A query cannot begin with {first!r}.",
        hint="It begins with select, with, values, insert, update, delete, replace or merge.",
        at=at,
    )
