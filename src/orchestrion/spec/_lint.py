"""Warnings: what is valid and yet hardly meant, each with its fix."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

from orchestrion.core import Json

from ._extensions import lint_extensions
from ._model import (
    CallTask,
    Continue,
    DoTask,
    EmitTask,
    End,
    Exit,
    Extension,
    ForkTask,
    ForTask,
    Goto,
    ListenTask,
    RaiseTask,
    RunWorkflowTask,
    SetTask,
    SwitchTask,
    Task,
    Then,
    TryTask,
    WaitTask,
    lists_of,
)
from ._report import Report
from ._source import Fields, Items, Node, Scalar
from ._template import pointer_step, program_of

_LONGEST_LOOKED_AT = 2_000
_REST = r"(?:\s*(?:[|+*/=<>,-]|and\b|or\b).*)?"
_PATH = r"(?:\.[A-Za-z_]\w*|\[[^\]]*\]|\?)*"
_JQ = re.compile(
    rf"\.[A-Za-z_]\w*{_PATH}{_REST}|\.\[.*|\$[A-Za-z_]\w*{_PATH}{_REST}|\{{.*[:({{\[,|]\s*[.$][A-Za-z_].*\}}", re.DOTALL
)
_TOKEN = re.compile(
    r"[spr]k[-_](?:[a-z]+[-_])*[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AKIA[0-9A-Z]{16}|ey[A-Za-z0-9_-]{10,}\.ey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
    r"|(?i:bearer|basic) [A-Za-z0-9+/=_.-]{12,}",
    re.DOTALL,
)
_SECRET_KEYS = ("password", "passwd", "secret", "token", "apikey", "accesskey", "privatekey", "authorization")
_DATA = ("/set", "/with", "/emit/event/with", "/raise/error", "/run/workflow/input")
"""Where a task holds data."""


def lint(
    report: Report,
    tasks: Sequence[Task],
    functions: Mapping[str, Task],
    extensions: Sequence[Extension],
    secrets: Sequence[Json],
) -> None:
    """Warn about what the author of a document probably did not mean. `secrets`: names that are no secrets themselves."""
    exported = _exports(report, tasks, exported=False)
    everything = [*tasks, *functions.values()]
    lint_extensions(report, extensions, list(_walk(everything)))
    for around in [part for extension in extensions for part in (extension.before, extension.after)]:
        _exports(report, around, exported=exported)
        _flow(report, around)
        everything += around
    _flow(report, tasks)
    for task in _walk(everything):
        for at, inner in lists_of(task):
            if not at.endswith("/fork/branches"):
                _flow(report, inner)
        if isinstance(task, SwitchTask):
            _default(report, task)
        for part in _DATA:
            _data(report, report.source.node(task.pointer + part), task.pointer + part, secrets)
    _data(report, report.source.node("/use/authentications"), "/use/authentications", secrets)
    _data(report, report.source.node("/use/errors"), "/use/errors", secrets)


def _walk(tasks: Sequence[Task]) -> Iterator[Task]:
    for task in tasks:
        if task.pointer:
            yield task
            for _, inner in lists_of(task):
                yield from _walk(inner)


def _flow(report: Report, tasks: Sequence[Task]) -> None:
    """Warn about the tasks of a list that nothing leads to."""
    reached: set[int] = set()
    ahead = [0]
    while ahead:
        at = ahead.pop()
        if at < len(tasks) and at not in reached:
            reached.add(at)
            ahead += _next(tasks[at], at)
    for at, task in enumerate(tasks):
        if at not in reached and (at == 0 or at - 1 in reached or tasks[at - 1].pointer == ""):
            message = f"Nothing leads to task {task.name!r}."
            hint = "Name it in a `then`, or remove it. What follows it may be unreachable too."
            report.warn(task.pointer, "unreachable-task", message, hint, key=True)


def _next(task: Task, at: int) -> Iterator[int]:
    """The positions a task may lead to."""
    if task.condition is not None:
        yield at + 1
    match task:
        case RaiseTask():
            return
        case SwitchTask():
            ways = [case.then for case in task.cases]
            ways += [] if any(case.when is None for case in task.cases) else [task.then]
        case TryTask():
            ways = [task.then] if task.catch.then is None else [task.then, task.catch.then]
        case (
            CallTask()
            | DoTask()
            | EmitTask()
            | ForTask()
            | ForkTask()
            | ListenTask()
            | RunWorkflowTask()
            | SetTask()
            | WaitTask()
        ):
            ways = [task.then]
        case _:
            assert_never(task)
    for way in ways:
        yield from _position(way, at)


def _position(way: Then, at: int) -> Iterator[int]:
    match way:
        case Continue():
            yield at + 1
        case Goto(index=index):
            yield index
        case Exit() | End():
            return
        case _:
            assert_never(way)


def _exports(report: Report, tasks: Sequence[Task], *, exported: bool) -> bool:
    """Warn about exports that drop what an earlier one put into `$context`; whether anything has been exported then."""
    for task in tasks:
        for at, inner in lists_of(task):
            within = exported
            for group in [[branch] for branch in inner] if at.endswith("/fork/branches") else [inner]:
                within = _exports(report, group, exported=exported)
            exported = exported or (within and not isinstance(task, ForkTask))
        if task.export.as_ is not None:
            if exported and not any("$context" in program for program in task.export.as_.programs):
                hint = "Write `as: '${ $context + { key: . } }'` to keep them."
                message = "This export drops the facts that earlier tasks put into `$context`."
                report.warn(f"{task.pointer}/export", "export-drops-context", message, hint, key=True)
            exported = True
    return exported


def _default(report: Report, task: SwitchTask) -> None:
    says_then = report.source.node(f"{task.pointer}/then") is not None
    if all(case.when is not None for case in task.cases) and not says_then:
        hint = "Add a case without `when`, or a `then` to the task."
        message = f"When no case of {task.name!r} matches, the next task runs."
        report.warn(f"{task.pointer}/switch", "switch-without-default", message, hint, key=True)


def _data(report: Report, node: Node | None, at: str, secrets: Sequence[Json], name: str = "") -> None:
    match node:
        case Fields():
            for key, value in zip(node.keys, node.values, strict=True):
                _data(report, value, at + pointer_step(str(key.value)), secrets, str(key.value))
        case Items():
            for i, item in enumerate(node.items):
                _data(report, item, f"{at}/{i}", secrets, name)
        case Scalar(value=str(text)) if program_of(text) is None and text not in secrets:
            _text(report, text, at, name)
        case Scalar() | None:
            return


def _text(report: Report, text: str, at: str, name: str) -> None:
    key = re.sub(r"[^a-z]", "", name[-40:].lower())
    looked_at = text.strip() if len(text) <= _LONGEST_LOOKED_AT else ""
    is_address = looked_at.startswith("/") or "://" in looked_at
    if _TOKEN.fullmatch(looked_at) or (looked_at and key.endswith(_SECRET_KEYS) and not is_address):
        hint = "Keep it outside: list a name under `use.secrets` and refer to it with `use`, or use a connection."
        report.warn(at, "secret-in-clear", "This looks like a secret, written in clear.", hint)
    elif "${" in text:
        hint = "Make the whole text one expression: '${ \"Dear \\(.name)\" }'."
        report.warn(at, "partial-expression", "`${ }` inside a longer text is not evaluated.", hint)
    elif _JQ.fullmatch(looked_at):
        hint = "Wrap it: '${ ... }'. Or keep it, if the text itself is meant."
        report.warn(at, "bare-expression", "This text looks like an expression and is taken as text.", hint)
