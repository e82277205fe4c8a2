"""What differs between two versions, in words."""

import csv
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from orchestrion.core import Json, dump
from orchestrion.spec import parse_yaml, to_json

LONG = 60
"""Characters from which a text's changes are counted, not shown."""
_MARKED_UP = (".yaml", ".yml", ".json")
_JSON_KINDS = ("settings", "functions", "workflows")
_SINGULAR = {
    "agents": "agent",
    "functions": "function",
    "knowledge": "document",
    "playbooks": "playbook",
    "policies": "policy",
    "predictors": "predictor",
    "routers": "examples",
    "statements": "statement",
    "tables": "table",
    "teams": "team",
    "workflows": "workflow",
}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\w+|[^\w\s]+')
_STATEMENT = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^;"])*);')
_ID = re.compile(r'@id\("((?:[^"\\]|\\.)*)"\)')
_REMARK = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What differs in one piece."""

    piece: str
    what: Literal["added", "removed", "changed"]
    words: tuple[str, ...]
    """Phrases such as `limits.turns: 12 → 6`; none where only layout or comments differ, or all of it is new or gone."""

    @property
    def name(self) -> str:
        """How people call the piece: `agent billing`."""
        kind, _, rest = self.piece.partition("/")
        if kind == "settings":
            kind, _, name = rest.partition("/")
            return f"{_SINGULAR.get(kind, kind.removesuffix('s')) if kind != 'routers' else 'router'} {name}"
        stem = rest.rpartition(".")[0] or rest
        return f"{_SINGULAR.get(kind, kind)} {rest if kind in {'functions', 'workflows', 'knowledge'} else stem}"

    def __str__(self) -> str:
        if self.what != "changed":
            return f"{self.name} {self.what}"
        return f"{self.name}: {'; '.join(self.words) or 'layout or comments only'}"


def differences(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[Change]:
    """What differs between the pieces of two versions, by name; both map a piece to its content."""
    found: list[Change] = []
    for piece in sorted({*before, *after}):
        if piece not in after:
            found.append(Change(piece=piece, what="removed", words=()))
        elif piece not in before:
            found.append(Change(piece=piece, what="added", words=()))
        elif before[piece] != after[piece]:
            words = tuple(_phrases(piece, before[piece], after[piece]))
            found.append(Change(piece=piece, what="changed", words=words))
    return found


def _phrases(piece: str, before: bytes, after: bytes) -> Iterator[str]:
    try:
        was, now = before.decode(), after.decode()
    except UnicodeDecodeError:
        yield f"another file, {len(before):,} → {len(after):,} bytes"
        return
    if piece.partition("/")[0] in _JSON_KINDS or piece.endswith(_MARKED_UP):
        yield from _structures(_parsed(was), _parsed(now), "")
    elif piece.endswith(".cedar"):
        yield from _policies(was, now)
    elif piece.endswith(".csv"):
        yield from _rows(was, now)
    else:
        yield _places(was, now)


def _parsed(text: str) -> Json:
    source, _ = parse_yaml(text, file="version")
    return to_json(source.root) if source is not None else text


def _structures(before: Json, after: Json, at: str) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _members(before, after, at)
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple):
        yield from _items(before, after, at)
    elif isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > LONG:
        yield f"{_called(at)} {_places(before, after)}"
    else:
        yield f"{_called(at)}: {_brief(before)} → {_brief(after)}"


def _members(before: Mapping[str, Json], after: Mapping[str, Json], at: str) -> Iterator[str]:
    for name in [*before, *(name for name in after if name not in before)]:
        place = f"{at}.{name}" if at else name
        if name not in after:
            yield f"{_called(place)} removed"
        elif name not in before:
            yield f"{_called(place)} added: {_brief(after[name])}"
        else:
            yield from _structures(before[name], after[name], place)


def _items(before: Sequence[Json], after: Sequence[Json], at: str) -> Iterator[str]:
    """Named items are compared by name; others by what is new and what is gone."""
    was, now = _by_name(before), _by_name(after)
    if was is not None and now is not None:
        yield from _members(was, now, at)
        shared = [name for name in was if name in now]
        if shared != [name for name in now if name in was]:
            yield f"{_called(at)}: another order"
        return
    texts, others = [dump(item) for item in before], [dump(item) for item in after]
    gone, new = Counter(texts) - Counter(others), Counter(others) - Counter(texts)
    if len(before) == len(after) and gone.total() == new.total() == 1:
        place = next(index for index, text in enumerate(texts) if text in gone)
        yield from _structures(before[place], after[others.index(next(iter(new)))], f"{at}[{place}]")
        return
    said = [f"{_clipped(text)} removed" for text in gone] + [f"{_clipped(text)} added" for text in new]
    yield f"{_called(at)}: {', '.join(said) or 'another order'}"


def _by_name(items: Sequence[Json]) -> dict[str, Json] | None:
    """Items by their `name` or `id`, or by their only key as a workflow's tasks; None when they have no names."""
    found: dict[str, Json] = {}
    for item in items:
        if not isinstance(item, Mapping):
            return None
        name = item.get("name", item.get("id"))
        if isinstance(name, str):
            found[name] = {key: value for key, value in item.items() if key not in {"name", "id"}}
        elif len(item) == 1:
            found[next(iter(item))] = next(iter(item.values()))
        else:
            return None
    return found if len(found) == len(items) else None


def _called(at: str) -> str:
    return "prompt" if at == "instructions" else at or "it"


def _policies(before: str, after: str) -> Iterator[str]:
    """Statement by statement, by their @id."""
    was, now = _statements(before), _statements(after)
    for name in [*was, *(name for name in now if name not in was)]:
        if name not in now:
            yield f"rule {name} removed"
        elif name not in was:
            yield f"rule {name} added"
        elif (phrase := _tokens(was[name], now[name])) is not None:
            yield f"rule {name}: {phrase}"


def _statements(text: str) -> dict[str, str]:
    text = _REMARK.sub(lambda found: "" if found[0].startswith("//") else found[0], text)
    found: dict[str, str] = {}
    for number, statement in enumerate(_STATEMENT.findall(text), start=1):
        named = _ID.search(statement)
        found[named[1] if named else f"{number}"] = statement
    return found


def _tokens(before: str, after: str) -> str | None:
    """What was replaced by what, where that is little; None when nothing but spaces differs."""
    was, now = _TOKEN.findall(before), _TOKEN.findall(after)
    changes = [
        code for code in difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes() if code[0] != "equal"
    ]
    if not changes:
        return None
    shown = [(" ".join(was[a:b]), " ".join(now[c:d])) for _, a, b, c, d in changes]
    if len(shown) > 3 or any(len(gone) + len(new) > LONG for gone, new in shown):
        return f"changed in {len(shown)} place{'s' if len(shown) > 1 else ''}"
    return ", ".join(
        f"{gone} → {new}" if gone and new else f"{gone} removed" if gone else f"{new} added" for gone, new in shown
    )


def _rows(before: str, after: str) -> Iterator[str]:
    was, now = (list(csv.reader(text.splitlines())) for text in (before, after))
    if was[:1] != now[:1]:
        yield f"columns: {', '.join(was[0]) if was else 'none'} → {', '.join(now[0]) if now else 'none'}"
    gone = Counter(map(tuple, was[1:])) - Counter(map(tuple, now[1:]))
    new = Counter(map(tuple, now[1:])) - Counter(map(tuple, was[1:]))
    counted = [(new.total(), "added"), (gone.total(), "removed")]
    said = [f"{count:,} row{'s' if count > 1 else ''} {what}" for count, what in counted if count]
    if said:
        yield ", ".join(said)


def _places(before: str, after: str) -> str:
    """How many places of a text differ, word by word."""
    was, now = before.split(), after.split()
    codes = difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes()
    count = sum(code[0] != "equal" for code in codes)
    return f"changed in {count} place{'s' if count != 1 else ''}"


def _brief(value: Json) -> str:
    return _clipped(value if isinstance(value, str) else dump(value))


def _clipped(text: str) -> str:
    text = " ".join(islice(text.split(), LONG))
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def summary(changes: Sequence[Change], most: int = 3) -> str:
    """One line about all of them."""
    if not changes:
        return "nothing differs"
    said = "; ".join(str(change) for change in changes[:most])
    return said if len(changes) <= most else f"{said}; and {len(changes) - most} more"
