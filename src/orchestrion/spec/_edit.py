"""Edits as splices of source text: what is not edited stays as it is, byte for byte."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from orchestrion.core import Json, UserError, canonical

from ._emit import Style
from ._source import Fields, Items, Scalar, Source, steps_of
from ._splice import Cutter, Splice, cannot_edit, no_such_place
from ._template import pointer_step
from ._yaml import parse


@dataclass(frozen=True, slots=True)
class SetValue:
    """Give the value at `pointer`; a field that its object does not have yet is added at the end."""

    pointer: str
    value: Json


@dataclass(frozen=True, slots=True)
class Insert:
    """Put an item into a list, before the one at `pointer`; `/-` as the last step appends."""

    pointer: str
    value: Json


@dataclass(frozen=True, slots=True)
class Remove:
    """Take away the field or item at `pointer`."""

    pointer: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Give a task another name, also where a `then` leads to it."""

    task: str
    to: str


Edit: TypeAlias = SetValue | Insert | Remove | Rename

_STYLES: tuple[Style, ...] = ("block", "flow")
"""How new values are written: lines of their own first; in brackets where that does not fit the place."""


def edit(source: Source, edits: Sequence[Edit]) -> str:
    """The text after `edits`, one after the other: each pointer is one of the text that the edits before it left.

    Raises: UserError `no-such-place` for a pointer that leads nowhere, `task-exists` for a name that is taken,
    `cannot-edit` where a splice would not give the wanted document, as where the text uses anchors.
    """
    for change in edits:
        wanted = canonical(_applied(source.json, change, source))
        attempts = (_attempt(source, change, style) for style in _STYLES)
        fitting = next((made for made in attempts if made and canonical(made.json) == wanted), None)
        if fitting is None:
            raise cannot_edit(change.task if isinstance(change, Rename) else change.pointer)
        source = fitting
    return source.text


def _attempt(source: Source, change: Edit, style: Style) -> Source | None:
    """The text with the change made in one style; None when it cannot be read any more."""
    text = source.text
    newline = "\r\n" if "\r\n" in text else "\n" if "\n" in text or "\r" not in text else "\r"
    for splice in sorted(_splices(source, change, style), key=lambda s: s.start, reverse=True):
        text = text[: splice.start] + splice.text.replace("\n", newline) + text[splice.end :]
    changed, findings = parse(text, file=source.file)
    return None if findings else changed


def _splices(source: Source, change: Edit, style: Style) -> Iterator[Splice]:
    cutter = Cutter(source, style)
    match change:
        case SetValue(pointer=pointer, value=value):
            if source.node(pointer) is not None:
                yield cutter.set_value(pointer, value)
            else:
                yield cutter.add_field(pointer.rpartition("/")[0], steps_of(pointer)[-1], value)
        case Insert(pointer=pointer, value=value):
            parent, _, step = pointer.rpartition("/")
            yield cutter.insert_item(parent, _index(source, parent, step), value)
        case Remove(pointer=pointer):
            yield cutter.remove(pointer)
        case Rename(task=task, to=to):
            place, leads = _places(source, task, to)
            yield cutter.rename(place, to)
            for pointer in leads:
                yield cutter.set_value(pointer, to)
        case _:
            assert_never(change)


def _applied(value: Json, change: Edit, source: Source) -> Json:
    """What the document should be after the change."""
    match change:
        case SetValue(pointer=pointer, value=given):
            return _with(value, steps_of(pointer), lambda _: given)
        case Insert(pointer=pointer, value=given):
            parent, _, step = pointer.rpartition("/")
            index = _index(source, parent, step)
            return _with(value, steps_of(parent), lambda found: _inserted(found, index, given))
        case Remove(pointer=pointer):
            parent, _, step = pointer.rpartition("/")
            return _with(value, steps_of(parent), lambda found: _without(found, steps_of("/" + step)[0]))
        case Rename(task=task, to=to):
            place, leads = _places(source, task, to)
            for pointer in leads:
                value = _with(value, steps_of(pointer), lambda _: to)
            return _with(value, steps_of(place.rpartition("/")[0]), lambda found: _renamed(found, task, to))
        case _:
            assert_never(change)


def _with(value: Json, steps: Sequence[str], change: Callable[[Json], Json]) -> Json:
    """A copy of `value` in which `change` was applied to what stands at `steps`."""
    if not steps:
        return change(value)
    step, *rest = steps
    match value:
        case Mapping():
            return {**value, step: _with(value.get(step), rest, change)}
        case str():
            return value
        case Sequence():
            return [_with(inner, rest, change) if str(i) == step else inner for i, inner in enumerate(value)]
        case _:
            return value


def _inserted(value: Json, index: int, given: Json) -> Json:
    items = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    return [*items[:index], given, *items[index:]]


def _without(value: Json, step: str) -> Json:
    if isinstance(value, Mapping):
        return {name: inner for name, inner in value.items() if name != step}
    items = value if isinstance(value, Sequence) else ()
    return [inner for i, inner in enumerate(items) if str(i) != step]


def _renamed(value: Json, name: str, to: str) -> Json:
    if not isinstance(value, Mapping):
        return value
    return {to if key == name else key: inner for key, inner in value.items()}


def _index(source: Source, parent: str, step: str) -> int:
    node = source.node(parent)
    if not isinstance(node, Items):
        raise no_such_place(f"{parent}/{step}")
    if step == "-":
        return len(node.items)
    if not step.isascii() or not step.isdigit() or len(step) > 9 or int(step) > len(node.items):
        raise no_such_place(f"{parent}/{step}")
    return int(step)


def _places(source: Source, task: str, to: str) -> tuple[str, list[str]]:
    """Where a task's name stands, and the `then`s that lead to it."""
    lists = list(_task_lists(source, "/do"))
    functions = source.node("/use/functions")
    for key in functions.keys if isinstance(functions, Fields) else ():
        lists += _lists_in(source, "/use/functions" + pointer_step(str(key.value)))
    if any(to == name for names in lists for name, _ in names):
        raise UserError("task-exists", f"There is a task {to!r} already.", hint="Choose another name.")
    for names in lists:
        place = next((pointer for name, pointer in names if name == task), None)
        if place is not None:
            leads = [lead for _, pointer in names for lead in _leads(source, pointer)]
            return place, [lead for lead in leads if _is_text(source, lead, task)]
    raise UserError("no-such-place", f"The document has no task {task!r}.")


def _task_lists(source: Source, at: str) -> Iterator[list[tuple[str, str]]]:
    """The task list at a pointer and those inside it, each as names and pointers."""
    node = source.node(at)
    items = node.items if isinstance(node, Items) else []
    names = [
        (str(item.keys[0].value), f"{at}/{i}{pointer_step(str(item.keys[0].value))}")
        for i, item in enumerate(items)
        if isinstance(item, Fields) and len(item.keys) == 1
    ]
    yield names
    for _, pointer in names:
        yield from _lists_in(source, pointer)


def _lists_in(source: Source, task: str) -> Iterator[list[tuple[str, str]]]:
    for inner in ("/do", "/fork/branches", "/try", "/catch/do"):
        if isinstance(source.node(task + inner), Items):
            yield from _task_lists(source, task + inner)


def _leads(source: Source, task: str) -> Iterator[str]:
    """Where a task may name another one."""
    yield f"{task}/then"
    yield f"{task}/catch/then"
    cases = source.node(f"{task}/switch")
    for i, case in enumerate(cases.items if isinstance(cases, Items) else []):
        for key in case.keys if isinstance(case, Fields) else ():
            yield f"{task}/switch/{i}{pointer_step(str(key.value))}/then"


def _is_text(source: Source, pointer: str, text: str) -> bool:
    node = source.node(pointer)
    return isinstance(node, Scalar) and node.value == text
