"""What a SQL statement is, as far as safety needs to know: its parameters, and whether it writes."""

import re
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One SQL statement."""

    text: str
    """As SQLAlchemy's `text()` wants it: colons that begin no parameter escaped."""
    names: frozenset[str]
    """Its parameters."""
    writes: bool
    """True unless it can only read; the database is told as well, and enforces it."""

    @property
    def binds_key(self) -> bool:
        return IDEMPOTENCY_KEY in self.names


@lru_cache(maxsize=512)
def read_statement(source: str) -> Statement:
    """Read a statement.

    Raises: UserError `empty-statement`, `several-statements`, `unfinished-statement`, `statement-not-supported`.
    """
    text: list[str] = []
    names: set[str] = set()
    words: list[str] = []
    ended, position = False, 0
    for token in _TOKEN.finditer(source):
        text.append(source[position : token.start()])
        position = token.end()
        kind = token.lastgroup
        if kind != "comment" and kind != "end" and ended:
            raise UserError("several-statements", "A query is one statement; this text has several.")
        match kind:
            case "open":
                raise UserError("unfinished-statement", f"A {token[0]} in the statement is never closed.")
            case "end":
                ended = True
                continue
            case "parameter":
                names.add(token["name"])
                text.append(token[0])
                continue
            case "word" if not _is_call(source, token):
                words.append(token[0].lower())
            case _:
                pass
        text.append(token[0].replace(":", "\\:"))
    return Statement(text="".join(text), names=frozenset(names), writes=_writes(words))


def _is_call(source: str, word: re.Match[str]) -> bool:
    """Whether a word is a function's name, as `replace` in `replace(name, 'a', 'b')`."""
    return word[0].lower() == "replace" and source[word.end() :].lstrip().startswith("(")


def _writes(words: list[str]) -> bool:
    if not words:
        raise UserError("empty-statement", "The statement is empty.")
    first = words[0]
    if first == "with":
        return not _WRITES.isdisjoint(words)
    if first in _READS or first in _WRITES:
        return first in _WRITES
    raise UserError(
        "statement-not-supported",
        f"A query cannot begin with {first!r}.",
        hint="It begins with select, with, values, insert, update, delete, replace or merge.",
    )
