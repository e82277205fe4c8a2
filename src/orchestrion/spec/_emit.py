"""JSON values as YAML text, in the style of the place they are put."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from orchestrion.core import Json, UserError

Style = Literal["block", "flow", "json"]
"""block: one entry a line; flow: YAML in brackets on one line; json: the same, as JSON writes it."""

STEP = 2
"""How much deeper a nested block stands."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_(][A-Za-z0-9_./()-]*)*")
_OTHER_MEANING = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""Words that mean something else, the ones of YAML 1.1 included: other tools may read the file."""

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def inline(value: Json, style: Style, indent: int = 0) -> str:
    """Text that can follow `key: ` or `- `. Only multi-line text in block style has several lines, `indent` deep."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value, style, indent)
        case int() | float():
            return _number(value)
        case Mapping():
            inner = ", ".join(f"{key_text(name, style)}: {inline(v, _within(style))}" for name, v in value.items())
            return f"{{{_padded(inner, style)}}}"
        case Sequence():
            return f"[{', '.join(inline(item, _within(style)) for item in value)}]"


def block(value: Json, indent: int) -> Iterator[str]:
    """The lines of a value; all but the first are indented."""
    pad = " " * indent
    first = True
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            head, *rest = _entry(f"{key_text(name, 'block')}:", inner, indent)
            yield head if first else pad + head
            yield from rest
            first = False
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for inner in value:
            head, *rest = item(inner, indent)
            yield head if first else pad + head
            yield from rest
            first = False
    else:
        yield from inline(value, "block", indent).split("\n")


def item(value: Json, indent: int) -> Iterator[str]:
    """The lines of a list item whose dash stands at `indent`; all but the first are indented."""
    if is_block(value):
        head, *rest = block(value, indent + 2)
        yield f"- {head}"
        yield from rest
    else:
        yield from _entry("-", value, indent)


def entry(name: str, value: Json, indent: int) -> Iterator[str]:
    """The lines of an object's field whose key stands at `indent`; all but the first are indented."""
    return _entry(f"{key_text(name, 'block')}:", value, indent)


def is_block(value: Json) -> bool:
    """Whether a value takes lines of its own in block style."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str) and len(value) > 0


def key_text(name: str, style: Style) -> str:
    """A key. It stands on one line in every style."""
    return _text(name, "flow" if style == "block" else style, 0)


def _entry(head: str, value: Json, indent: int) -> Iterator[str]:
    deeper = indent + STEP
    if not is_block(value):
        yield from f"{head} {inline(value, 'block', deeper)}".split("\n")
        return
    yield head
    first, *rest = block(value, deeper)
    yield " " * deeper + first
    yield from rest


def _within(style: Style) -> Style:
    return "flow" if style == "block" else style


def _padded(inner: str, style: Style) -> str:
    return f" {inner} " if inner and style != "json" else inner


def _number(value: float) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        raise UserError("not-json", f"{value!r} is a number JSON cannot hold.") from None


def _text(text: str, style: Style, indent: int) -> str:
    if style == "json":
        return _quoted(text)
    if _PLAIN.fullmatch(text) and text.lower() not in _OTHER_MEANING:
        return text
    if not _UNPRINTABLE.search(text):
        return "'" + text.replace("'", "''") + "'"
    lines = text.removesuffix("\n").split("\n")
    if style == "block" and _is_literal(lines) and not any(_UNPRINTABLE.search(line) for line in lines):
        header = "|" if text.endswith("\n") else "|-"
        return "\n".join([header, *(" " * indent + line if line else "" for line in lines)])
    return _quoted(text)


def _is_literal(lines: Sequence[str]) -> bool:
    """Whether a literal block can hold these lines: it takes its depth from the first, and ends with the last."""
    return lines[0][:1].strip() != "" and lines[-1].strip() != "" and all(line.strip() or not line for line in lines)


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError("not-json", "A text holds half of a surrogate pair.") from None
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
