"""`use.extensions`: tasks that run before and after the tasks they extend."""

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

from orchestrion.core import Json

from ._context import TASK_VARIABLES, Context, Scope
from ._model import Exit, Extension, Extent, SetTask, SwitchTask, Task, extent_of
from ._report import Report
from ._tasks import task_list
from ._template import pointer_step
from ._values import program

_EXTENTS: Mapping[str, Extent] = {extent: extent for extent in get_args(Extent)}


def extensions(c: Context, value: Json, at: str) -> tuple[Extension, ...]:
    """The extensions in the order of their declaration, each of which has a name of its own."""
    names: dict[str, str] = {}
    found: list[Extension] = []
    for i, item in enumerate(c.report.list(value, at)):
        entry = c.report.single(item, f"{at}/{i}", "extension")
        if entry is not None:
            pointer = f"{at}/{i}{pointer_step(entry[0])}"
            _claim(c.report, entry[0], pointer, names)
            found.append(_extension(c, *entry, pointer))
    return tuple(found)


def _claim(report: Report, name: str, pointer: str, names: dict[str, str]) -> None:
    if not name or len(name) > 200 or not name.isprintable() or "#" in name:
        hint = "Use a short name of letters and digits."
        report.error(pointer, "bad-name", f"{name[:80]!r} cannot name an extension.", hint, key=True)
    elif name in names:
        message = f"The extension name {name!r} is taken, at {names[name]}."
        report.error(pointer, "duplicate-extension", message, "Give one another name.", key=True)
    names.setdefault(name, pointer)


def _extension(c: Context, name: str, value: Json, at: str) -> Extension:
    found = c.report.fields(value, at, known=("extend", "when", "before", "after"), required=("extend",))
    chosen = c.report.choice(found["extend"], f"{at}/extend", tuple(_EXTENTS)) if "extend" in found else ""
    if not found.get("before") and not found.get("after"):
        c.report.warn(
            at, "empty-extension", f"The extension {name!r} does nothing.", "Add `before` or `after`.", key=True
        )
    return Extension(
        name=name,
        pointer=at,
        extend=_EXTENTS.get(chosen, "all"),
        when=program(c, found["when"], f"{at}/when", TASK_VARIABLES) if "when" in found else None,
        before=task_list(c, found.get("before", []), f"{at}/before", Scope()),
        after=task_list(c, found.get("after", []), f"{at}/after", Scope()),
    )


def lint_extensions(report: Report, found: Sequence[Extension], tasks: Sequence[Task]) -> None:
    """Warn about extensions that extend nothing, and about data that goes nowhere."""
    extents = {extent_of(task) for task in tasks}
    for extension in found:
        if extension.extend not in {*extents, "all"}:
            message = f"There is no task that {extension.name!r} could extend."
            hint = f"The tasks here are: {', '.join(sorted(extents))}."
            report.warn(f"{extension.pointer}/extend", "nothing-extended", message, hint)
        for task in _dropped(extension):
            message = f"Nobody sees what {task.name!r} gives: an extension's data stays in it."
            hint = "Add `then: exit` if it takes the place of the extended task's output, or an `export`."
            report.warn(task.pointer, "extension-drops-data", message, hint, key=True)


def _dropped(extension: Extension) -> Iterator[Task]:
    """The `set` that ends a list nothing leaves by `exit`."""
    for tasks in (extension.before, extension.after):
        leaves = any(isinstance(way, Exit) for task in tasks for way in _ways(task))
        if tasks and isinstance(tasks[-1], SetTask) and tasks[-1].export.as_ is None and not leaves:
            yield tasks[-1]


def _ways(task: Task) -> Iterator[object]:
    yield task.then
    if isinstance(task, SwitchTask):
        yield from (case.then for case in task.cases)
