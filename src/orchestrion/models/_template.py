"""Templates: text with `{path|filter}` in it. Paths reach into JSON only; nothing is evaluated."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from orchestrion.core import Json, UserError, dump

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Slot:
    """One `{path|filter:argument}`."""

    path: str
    filters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """Text and slots in turn. `only` is its slot when the text is one slot and nothing else."""

    pieces: tuple[str | Slot, ...]

    @property
    def only(self) -> Slot | None:
        return self.pieces[0] if len(self.pieces) == 1 and isinstance(self.pieces[0], Slot) else None

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Slot))


def lookup(scope: Json, path: str) -> Json:
    """What stands at a dotted path (numbers for list items); None when nothing does."""
    found = scope
    for step in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and step.isdecimal():
            found = found[int(step)] if int(step) < len(found) else None
        else:
            return None
    return found


def shown(value: Json) -> str:
    """A value within a text: nothing for null, JSON for lists and objects."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return dump(value)


def _money(value: Json, _: str) -> Json:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    cents = round(value)
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def _date(value: Json, _: str) -> Json:
    parts = re.match(r"(\d{4})-(\d{2})-(\d{2})", value) if isinstance(value, str) else None
    if parts is None or not 1 <= int(parts[2]) <= len(_MONTHS):
        return value
    return f"{int(parts[3])} {_MONTHS[int(parts[2]) - 1]} {parts[1]}"


def _count(value: Json, _: str) -> Json:
    return len(value) if isinstance(value, Sequence | Mapping) else 0


def _default(value: Json, argument: str) -> Json:
    return argument if value is None or value == "" else value


FILTERS: Mapping[str, Callable[[Json, str], Json]] = {
    "money": _money,
    "date": _date,
    "count": _count,
    "default": _default,
}


def _slot(text: str) -> Slot:
    path, *filters = (part.strip() for part in text.split("|"))
    if not _PATH.fullmatch(path):
        raise UserError("bad-template", f"{path!r} is not a path.", hint="Write {input.name}, or {{ for a brace.")
    named = tuple((name.strip(), argument) for name, _, argument in (one.partition(":") for one in filters))
    for name, _ in named:
        if name not in FILTERS:
            raise UserError("bad-template", f"There is no filter {name!r}.", hint=f"Known: {', '.join(FILTERS)}.")
    return Slot(path, named)


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """Read a template. Raises: UserError `bad-template`."""
    pieces: list[str | Slot] = []
    end = 0
    for found in _PIECE.finditer(text):
        pieces.append(text[end : found.start()])
        end = found.end()
        match found[0]:
            case "{{":
                pieces.append("{")
            case "}}":
                pieces.append("}")
            case "{" | "}":
                raise UserError(
                    "bad-template", f"A brace stands alone in {text!r}.", hint="Write {{ or }} for a brace."
                )
            case _:
                pieces.append(_slot(found[1]))
    pieces.append(text[end:])
    return Template(tuple(piece for piece in pieces if piece != ""))


def _value(slot: Slot, scope: Json) -> Json:
    value = lookup(scope, slot.path)
    for name, argument in slot.filters:
        value = FILTERS[name](value, argument)
    return value


def render(value: Json, scope: Json, *, escape: Callable[[str], str] | None = None) -> Json:
    """Fill every template in a JSON value in. A text that is one slot alone becomes the value itself.

    `escape` is applied to what is filled in, not to the text around it.
    """
    match value:
        case str():
            parsed = template(value)
            if parsed.only is not None:
                return _escaped(_value(parsed.only, scope), escape)
            return "".join(
                piece if isinstance(piece, str) else str(_escaped(shown(_value(piece, scope)), escape))
                for piece in parsed.pieces
            )
        case Mapping():
            return {name: render(member, scope, escape=escape) for name, member in value.items()}
        case Sequence():
            return [render(member, scope, escape=escape) for member in value]
        case _:
            return value


def _escaped(value: Json, escape: Callable[[str], str] | None) -> Json:
    """Every text in a value, names of fields included."""
    if escape is None:
        return value
    match value:
        case str():
            return escape(value)
        case Mapping():
            return {escape(name): _escaped(member, escape) for name, member in value.items()}
        case Sequence():
            return [_escaped(member, escape) for member in value]
        case _:
            return value
