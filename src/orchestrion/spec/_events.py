"""Events a workflow listens for: `listen`, `foreach`, and `schedule.on`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias, cast

from orchestrion.core import Json

from ._context import Context, Scope, Variables
from ._errors import ATTRIBUTE
from ._model import Condition, Correlation, EventPattern, Foreach, ReadAs, Strategy, Trigger
from ._report import Object
from ._template import pointer_step, program_of
from ._values import export, output, program, template

READS: Sequence[ReadAs] = ("data", "envelope", "raw")
Kind: TypeAlias = Literal["one", "any", "all"]
KINDS: tuple[Kind, ...] = ("one", "any", "all")

_SPECIAL = re.compile(r"[\\*+?()\[\]{}|^$]")
_TEXTS = ("id", "source", "type", "time", "subject", "datacontenttype", "dataschema")


def strategy(c: Context, value: Json, at: str, variables: Variables) -> Strategy:
    """`one`, `any` or `all`, with what ends an `any`."""
    found = c.report.fields(value, at, known=(*KINDS, "until"))
    kinds: list[Kind] = [kind for kind in KINDS if kind in found]
    if len(kinds) != 1:
        if isinstance(value, Mapping):
            said = f"this has {' and '.join(f'`{kind}`' for kind in kinds)}" if kinds else "this has none of them"
            message = f"Events are consumed by `one`, `any` or `all`; {said}."
            c.report.error(at, "bad-strategy", message, "Write `one: { with: { type: ... } }`.", key=True)
        return Strategy(kind="any", patterns=())
    kind = kinds[0]
    until = _until(c, found["until"], f"{at}/until", kind, variables) if "until" in found else None
    return Strategy(kind=kind, patterns=_patterns(c, found[kind], f"{at}/{kind}", kind, variables), until=until)


def _patterns(c: Context, value: Json, at: str, kind: Kind, variables: Variables) -> tuple[EventPattern, ...]:
    if kind == "one":
        return (_pattern(c, value, at, variables),)
    listed = c.report.list(value, at)
    if not listed and kind == "all" and isinstance(value, Sequence):
        c.report.error(at, "no-events", "`all` of no events waits for nothing.", "Name an event, or use `any: []`.")
    return tuple(_pattern(c, each, f"{at}/{i}", variables) for i, each in enumerate(listed))


def _until(c: Context, value: Json, at: str, kind: Kind, variables: Variables) -> "str | Strategy | None":
    if kind != "any":
        c.report.error(at, "bad-until", f"`until` ends an `any`; `{kind}` ends by itself.", "Remove it.", key=True)
    if value is False:
        return "false"
    if not isinstance(value, Mapping):
        return program(c, value, at, variables)
    if "until" in value:
        c.report.error(
            f"{at}/until", "bad-until", "What ends listening has no `until` of its own.", "Remove it.", key=True
        )
    return strategy(c, {name: each for name, each in value.items() if name != "until"}, at, variables)


def _pattern(c: Context, value: Json, at: str, variables: Variables) -> EventPattern:
    found = c.report.fields(value, at, known=("with", "correlate"), required=("with",))
    wanted = c.report.object(found.get("with", {}), f"{at}/with")
    if not wanted and isinstance(found.get("with"), Mapping):
        hint = "Name the event: `type: com.example.order.placed`. Every event: `any: []`."
        c.report.error(f"{at}/with", "empty-filter", "The filter names nothing.", hint, key=True)
    correlate = c.report.object(found.get("correlate", {}), f"{at}/correlate")
    return EventPattern(
        conditions=tuple(
            condition
            for name, each in wanted.items()
            for condition in _conditions(c, name, each, f"{at}/with{pointer_step(name)}", variables)
        ),
        correlate=tuple(
            _correlation(c, name, each, f"{at}/correlate{pointer_step(name)}", variables)
            for name, each in correlate.items()
        ),
    )


def _conditions(c: Context, name: str, value: Json, at: str, variables: Variables) -> Iterator[Condition]:
    if not ATTRIBUTE.fullmatch(name) and name != "data_base64":
        hint = "Attributes have names of small letters and digits; what an event holds stands under `data`."
        c.report.error(at, "bad-attribute", f"{name[:80]!r} cannot name an attribute of an event.", hint, key=True)
    if name in _TEXTS:
        c.report.text(value, at)
    if name == "data":
        yield from _within(c, ("data",), value, at, variables)
    else:
        yield _condition(c, (name,), value, at, variables)


def _within(c: Context, place: tuple[str, ...], value: Json, at: str, variables: Variables) -> Iterator[Condition]:
    """Of an object, what it names must fit; the event may hold more."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _within(c, (*place, name), inner, at + pointer_step(name), variables)
    else:
        yield _condition(c, place, value, at, variables)


def _condition(c: Context, place: tuple[str, ...], value: Json, at: str, variables: Variables) -> Condition:
    if isinstance(value, str):
        found = program_of(value)
        if found is not None:
            template(c, value, at, variables)
            return Condition(at=place, program=found)
        if _SPECIAL.search(value):
            return Condition(at=place, literal=value, pattern=_regular(c, value, at))
        return Condition(at=place, literal=value)
    compiled = template(c, value, at, variables)
    return Condition(at=place, template=compiled) if compiled.programs else Condition(at=place, literal=value)


def _regular(c: Context, value: str, at: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        hint = "Text is taken as a regular expression. Write the character itself with \\ before it."
        c.report.error(at, "bad-pattern", f"{value[:80]!r} is no regular expression: {error}.", hint)
    return value


def _correlation(c: Context, name: str, value: Json, at: str, variables: Variables) -> Correlation:
    found = c.report.fields(value, at, known=("from", "expect"), required=("from",))
    return Correlation(
        name=name,
        from_=program(c, found.get("from", "."), f"{at}/from", variables),
        expect=template(c, found["expect"], f"{at}/expect", variables) if "expect" in found else None,
    )


def read_as(c: Context, found: Object, at: str) -> ReadAs:
    """How events are read."""
    text = c.report.choice(found["read"], f"{at}/read", READS) if "read" in found else "data"
    return cast("ReadAs", text if text in READS else "data")


def listening(c: Context, value: Json, at: str, scope: Scope) -> tuple[Strategy, ReadAs]:
    """What stands under `listen`."""
    found = c.report.fields(value, at, known=("to", "read"), required=("to",))
    return strategy(c, found.get("to", {"any": []}), f"{at}/to", scope.variables), read_as(c, found, at)


def foreach_fields(c: Context, value: Json, at: str) -> tuple[Object, str, str]:
    """The iterator's fields, and the names of its variables."""
    found = c.report.fields(value, at, known=("item", "at", "do", "output", "export"))
    item = c.variable(found["item"], f"{at}/item") if "item" in found else "item"
    index = c.variable(found["at"], f"{at}/at") if "at" in found else "index"
    if item == index:
        c.report.error(at, "bad-variable", f"`item` and `at` are both {item!r}.", "Name them apart.")
    return found, item, index


def foreach(c: Context, found: Object, at: str, item: str, index: str, inside: Scope) -> Foreach:
    """All of the iterator but its tasks."""
    return Foreach(
        item=item,
        at=index,
        output=output(c, found["output"], f"{at}/output", inside.variables) if "output" in found else Foreach().output,
        export=export(c, found["export"], f"{at}/export", inside.variables) if "export" in found else Foreach().export,
    )


def trigger(c: Context, found: Object, at: str) -> Trigger:
    """`schedule.on`. Nothing is known when an event arrives but the event itself."""
    on = strategy(c, found["on"], f"{at}/on", frozenset())
    if on.until is not None:
        hint = "Each event of an `any` starts a run; let the run `listen` for what follows."
        c.report.error(f"{at}/on/until", "bad-until", "`until` has no meaning for what starts a run.", hint, key=True)
    names = {tuple(sorted(each.name for each in pattern.correlate)) for pattern in on.patterns}
    if on.kind == "all" and len(names) > 1:
        hint = "Give each the same `correlate` names: events belong together when all their values are equal."
        c.report.error(f"{at}/on/all", "correlate-differs", "The events correlate by different names.", hint, key=True)
    if on.kind == "any" and not on.patterns:
        hint = "Name a type: each event, also those of its own runs, starts another."
        c.report.warn(f"{at}/on/any", "listens-to-everything", "Every event starts a run.", hint, key=True)
    return Trigger(on=on, read=read_as(c, found, at))
