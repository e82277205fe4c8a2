"""Task lists and what all tasks share; each kind of task is read in its own function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from orchestrion.core import Json

from ._calls import check_arguments, function_arguments, resolve
from ._catch import catch
from ._context import Context, Scope
from ._errors import error_template, event_template
from ._events import foreach, foreach_fields, listening
from ._model import (
    CallTask,
    Continue,
    DoTask,
    EmitTask,
    End,
    Exit,
    Export,
    ForkTask,
    ForTask,
    Input,
    Length,
    ListenTask,
    Metadata,
    Output,
    RaiseTask,
    RunWorkflowTask,
    SetTask,
    SwitchCase,
    SwitchTask,
    Task,
    Then,
    TryTask,
    WaitTask,
)
from ._report import Object, nearest
from ._services import SERVICES
from ._template import Template, compile_template, pointer_step
from ._values import export, input_, length, output, program, template, timeout, transformation

_COMMON = ("if", "input", "output", "export", "timeout", "then", "metadata")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "call": ("with",),
    "do": (),
    "emit": (),
    "for": ("while", "do"),
    "fork": (),
    "listen": ("foreach",),
    "raise": (),
    "run": (),
    "set": (),
    "switch": (),
    "try": ("catch",),
    "wait": (),
}
"""The word that makes a task of a kind → the other fields of that kind."""

_DIRECTIVES: Mapping[str, Then] = {"continue": Continue(), "exit": Exit(), "end": End()}


class Shared(TypedDict):
    """The arguments that every task takes."""

    name: str
    pointer: str
    condition: str | None
    input: Input
    output: Output
    export: Export
    timeout: Length | None
    then: Then
    metadata: Metadata


def task_list(c: Context, value: Json, at: str, scope: Scope, *, branches: bool = False) -> tuple[Task, ...]:
    """A list of named tasks, which may go to each other by name."""
    items = [
        (f"{at}/{i}{pointer_step(entry[0])}", *entry)
        for i, item in enumerate(c.report.list(value, at))
        if (entry := c.report.single(item, f"{at}/{i}", "task")) is not None
    ]
    for pointer, name, _ in items:
        _claim(c, name, pointer)
    inside = replace(scope, names=tuple(name for _, name, _ in items), branches=branches)
    return tuple(task(c, inner, pointer, name, inside) for pointer, name, inner in items)


def task(c: Context, value: Json, at: str, name: str, scope: Scope) -> Task:
    """One task of any kind."""
    found = c.report.object(value, at)
    kind = _kind(c, found, at) if isinstance(value, Mapping) else None
    if kind is None:
        return SetTask(name=name, pointer=at, value=compile_template({}))
    c.report.fields(found, at, known=(kind, *_KINDS[kind], *_COMMON))
    shared = _shared(c, found, at, name, scope)
    if shared["timeout"] is not None:
        scope = replace(scope, bounded=True)
    return _READERS[kind](c, found, at, scope, shared)


def directive(c: Context, value: Json, at: str, scope: Scope) -> Then:
    """Where `then` leads."""
    name = c.report.text(value, at)
    if name in _DIRECTIVES:
        return _DIRECTIVES[name]
    target = scope.target(name)
    if not isinstance(value, str):
        return Continue()
    if scope.branches and target is not None:
        message = f"`then` names the branch {name[:80]!r}; branches run side by side."
        c.report.error(at, "unknown-task", message, "Use continue, exit or end, or a `do` inside the branch.")
    elif target is None:
        _no_target(c, name, at, scope)
    return target or Continue()


def _no_target(c: Context, name: str, at: str, scope: Scope) -> None:
    near = nearest(name, (*scope.names, *_DIRECTIVES))
    if name in c.names:
        hint = f"It stands in another list, at {c.names[name]}. `then` leads to a task of the same list."
    elif near:
        hint = f"Did you mean {near!r}?"
    else:
        hint = f"There are: {', '.join((*scope.names, *_DIRECTIVES))}."
    c.report.error(at, "unknown-task", f"`then` names task {name[:80]!r}, which does not exist here.", hint)


def _claim(c: Context, name: str, pointer: str) -> None:
    """Every task has a name of its own."""
    if name in _DIRECTIVES:
        c.report.error(
            pointer, "reserved-name", f"{name!r} is a direction of `then`.", "Choose another name.", key=True
        )
    elif not name or len(name) > 200 or not name.isprintable() or "#" in name:
        hint = "Use a short name of letters and digits."
        c.report.error(pointer, "bad-name", f"{name[:80]!r} cannot name a task.", hint, key=True)
    elif name in c.names and c.names[name] != pointer:
        message = f"The task name {name!r} is taken, at {c.names[name]}."
        c.report.error(pointer, "duplicate-task", message, "Names are unique in the whole document.", key=True)
    c.names.setdefault(name, pointer)


def _kind(c: Context, found: Object, at: str) -> str | None:
    kinds = [kind for kind in _KINDS if kind in found]
    if "for" in kinds and "do" in kinds:
        kinds.remove("do")
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        message = f"A task does one thing; this has {', '.join(f'`{kind}`' for kind in kinds)}."
        c.report.error(at, "several-kinds", message, "Make a task of each.", key=True)
        return None
    near = next(((name, kind) for name in found if (kind := nearest(name, _KINDS))), None)
    hint = f"Did you mean {near[1]!r} where {near[0]!r} stands?" if near else f"Add one of: {', '.join(_KINDS)}."
    c.report.error(at, "no-kind", "The task does not say what it does.", hint, key=True)
    return None


def _shared(c: Context, found: Object, at: str, name: str, scope: Scope) -> Shared:
    seen = scope.variables
    return Shared(
        name=name,
        pointer=at,
        condition=program(c, found["if"], f"{at}/if", seen) if "if" in found else None,
        input=input_(c, found["input"], f"{at}/input", seen) if "input" in found else Input(),
        output=output(c, found["output"], f"{at}/output", seen) if "output" in found else Output(),
        export=export(c, found["export"], f"{at}/export", seen) if "export" in found else Export(),
        timeout=timeout(c, found["timeout"], f"{at}/timeout", seen) if "timeout" in found else None,
        then=directive(c, found["then"], f"{at}/then", scope) if "then" in found else Continue(),
        metadata=c.report.object(found["metadata"], f"{at}/metadata") if "metadata" in found else {},
    )


def _unreadable(shared: Shared) -> Task:
    """Stands for a task with an error in it; a document that has one is never handed out."""
    return SetTask(**shared, value=compile_template({}))


def _call(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    called = resolve(c, found["call"], f"{at}/call")
    given, where = found.get("with", {}), f"{at}/with"
    match called.kind:
        case "service":
            service = SERVICES[called.function]
            if "with" not in found:
                c.report.error(at, "missing-field", "`with` is missing.", f"Add `with: {service.needs}`.", key=True)
                return _unreadable(shared)
            arguments = service.read(c, given, where, scope.variables)
            return CallTask(
                **shared,
                function=service.function,
                kind="service",
                arguments=arguments,
                addresses=tuple(each for each in service.addresses if each not in arguments.places),
            )
        case "function":
            arguments = function_arguments(c, given, where, scope.variables, called.function)
            _bounded_wait(c, called.function, at, scope)
        case "defined":
            return _defined(c, given, where, scope, shared, called.function, at)
        case "elsewhere":
            arguments = template(c, c.report.object(given, where), where, scope.variables)
            place = compile_template(called.definition)
            return CallTask(**shared, function=called.function, kind="elsewhere", arguments=arguments, definition=place)
        case "refused":
            template(c, c.report.object(given, where), where, scope.variables)
            return _unreadable(shared)
    return CallTask(**shared, function=called.function, kind=called.kind, arguments=arguments)


def _defined(c: Context, given: Json, where: str, scope: Scope, shared: Shared, name: str, at: str) -> Task:
    arguments = c.report.object(given, where)
    defined = definition_of(c, name, f"{at}/call")
    if defined is None:
        return _unreadable(shared)
    if defined.input.schema is not None:
        check_arguments(c, arguments, where, defined.input.schema, f"`{name}`")
    filled = template(c, arguments, where, scope.variables)
    return CallTask(**shared, function=name, kind="defined", arguments=filled, defined=defined)


def definition_of(c: Context, name: str, at: str) -> Task | None:
    """The task under `use.functions` of that name; None, reported, when it leads back to itself."""
    if name in c.reading:
        path = " → ".join((*c.reading[c.reading.index(name) :], name))
        c.report.error(at, "recursive-function", f"The function {name!r} calls itself: {path}.", "Use `for` to repeat.")
        return None
    if name not in c.defined:
        c.reading.append(name)
        pointer = "/use/functions" + pointer_step(name)
        value = c.definitions("functions")[name]
        c.defined[name] = task(c, value, pointer, name, Scope())
        c.reading.pop()
    return c.defined[name]


def _bounded_wait(c: Context, function: str, at: str, scope: Scope) -> None:
    if function.split(":")[0] == "human" and not scope.bounded:
        hint = "Add `timeout: { after: { hours: 8 } }` and catch the timeout."
        c.report.warn(at, "wait-without-timeout", "This waits for a person, for ever if need be.", hint, key=True)


def _do(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    return DoTask(**shared, do=task_list(c, found["do"], f"{at}/do", scope))


def _for(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    loop = c.report.fields(found["for"], f"{at}/for", known=("each", "in", "at"), required=("in",))
    if "do" not in found:
        c.report.error(at, "missing-field", "`do` is missing.", "Add the tasks to repeat.", key=True)
    each = c.variable(loop["each"], f"{at}/for/each") if "each" in loop else "item"
    index = c.variable(loop["at"], f"{at}/for/at") if "at" in loop else "index"
    if each == index:
        c.report.error(f"{at}/for", "bad-variable", f"`each` and `at` are both {each!r}.", "Name them apart.")
    inside = replace(scope, variables=scope.variables | {each, index})
    return ForTask(
        **shared,
        in_=_collection(c, loop.get("in", []), f"{at}/for/in", scope),
        each=each,
        at=index,
        while_=program(c, found["while"], f"{at}/while", inside.variables) if "while" in found else None,
        do=task_list(c, found.get("do", []), f"{at}/do", inside),
    )


def _collection(c: Context, value: Json, at: str, scope: Scope) -> Template:
    if isinstance(value, str):
        return transformation(c, value, at, scope.variables)
    for i, item in enumerate(c.report.list(value, at)):
        if not isinstance(item, Mapping):
            hint = "The standard takes objects in an inline list; write any other list as an expression: '${ [1, 2] }'."
            c.report.error(f"{at}/{i}", "wrong-type", "The items of an inline list must be objects.", hint)
    return template(c, value, at, scope.variables)


def _fork(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    at = f"{at}/fork"
    fork = c.report.fields(found["fork"], at, known=("branches", "compete"), required=("branches",))
    if isinstance(fork.get("branches"), Sequence) and not fork["branches"]:
        c.report.error(f"{at}/branches", "no-branches", "A fork needs a branch.", "Add a named task.")
    return ForkTask(
        **shared,
        branches=task_list(c, fork.get("branches", []), f"{at}/branches", scope, branches=True),
        compete=c.report.boolean(fork["compete"], f"{at}/compete") if "compete" in fork else False,
    )


def _emit(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    emit = c.report.fields(found["emit"], f"{at}/emit", known=("event",), required=("event",))
    event = c.report.fields(emit.get("event", {}), f"{at}/emit/event", known=("with",), required=("with",))
    return EmitTask(**shared, event=event_template(c, event.get("with", {}), f"{at}/emit/event/with", scope.variables))


def _raise(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    at = f"{at}/raise"
    raised = c.report.fields(found["raise"], at, known=("error",), required=("error",))
    return RaiseTask(**shared, error=error_template(c, raised.get("error", {}), f"{at}/error", scope.variables))


def _run(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    at = f"{at}/run"
    processes = ("container", "script", "shell")
    run = c.report.fields(found["run"], at, known=("workflow", "await", "return", *processes))
    refused = [process for process in processes if process in run]
    for process in refused:
        c.report.unsupported(f"{at}/{process}", f"run-{process}")
    if refused:
        return _unreadable(shared)
    if "workflow" not in run and isinstance(found["run"], Mapping):
        c.report.error(at, "missing-field", "`workflow` is missing.", "Name the workflow to run.", key=True)
    if "return" in run:
        c.report.unsupported(f"{at}/return", "run-return")
    return _run_workflow(c, run, at, scope, shared)


def _run_workflow(c: Context, run: Object, at: str, scope: Scope, shared: Shared) -> Task:
    names = ("namespace", "name", "version")
    at, awaited = f"{at}/workflow", f"{at}/await"
    flow = c.report.fields(run.get("workflow", {}), at, known=(*names, "input"), required=names)
    namespace, name, version = (c.report.text(flow.get(n, ""), f"{at}/{n}") for n in names)
    if (
        c.workflows is not None
        and name
        and not {f"{namespace}/{name}", f"{namespace}/{name}:{version}"} & set(c.workflows)
    ):
        c.report.unknown(
            f"{at}/name", "unknown-workflow", "The workflow", f"{namespace}/{name}", c.workflows, none="Add it."
        )
    given = c.report.object(flow["input"], f"{at}/input") if "input" in flow else None
    return RunWorkflowTask(
        **shared,
        namespace=namespace,
        workflow=name,
        version=version,
        arguments=None if given is None else template(c, given, f"{at}/input", scope.variables),
        await_=c.report.boolean(run["await"], awaited) if "await" in run else True,
    )


def _set(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    value = found["set"]
    if not isinstance(value, str):
        value = c.report.object(value, f"{at}/set")
        if not value and isinstance(found["set"], Mapping):
            c.report.error(
                f"{at}/set", "empty-set", "`set` needs a field.", "Write `set: '${ {} }'` for an empty object."
            )
    return SetTask(**shared, value=template(c, value, f"{at}/set", scope.variables))


def _switch(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    at = f"{at}/switch"
    listed = c.report.list(found["switch"], at)
    if not listed and isinstance(found["switch"], Sequence):
        c.report.error(at, "no-cases", "A switch needs a case.", "Add `- name: { when, then }`.")
    cases = (c.report.single(item, f"{at}/{i}", "case") for i, item in enumerate(listed))
    return SwitchTask(
        **shared,
        cases=tuple(_case(c, *entry, f"{at}/{i}", scope) for i, entry in enumerate(cases) if entry is not None),
    )


def _case(c: Context, name: str, value: Json, at: str, scope: Scope) -> SwitchCase:
    at += pointer_step(name)
    found = c.report.fields(value, at, known=("when", "then"), required=("then",))
    return SwitchCase(
        name=name,
        when=program(c, found["when"], f"{at}/when", scope.variables) if "when" in found else None,
        then=directive(c, found["then"], f"{at}/then", scope) if "then" in found else Continue(),
    )


def _try(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    if "catch" not in found:
        c.report.error(
            at, "missing-field", "`catch` is missing.", "Add `catch:` with what to do about an error.", key=True
        )
    return TryTask(
        **shared,
        try_=task_list(c, found["try"], f"{at}/try", scope),
        catch=catch(c, found.get("catch", {}), f"{at}/catch", scope, task_list, directive),
    )


def _wait(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    return WaitTask(**shared, duration=length(c, found["wait"], f"{at}/wait", scope.variables))


def _listen(c: Context, found: Object, at: str, scope: Scope, shared: Shared) -> Task:
    to, read = listening(c, found["listen"], f"{at}/listen", scope)
    if "foreach" not in found:
        return ListenTask(**shared, to=to, read=read)
    at = f"{at}/foreach"
    loop, item, index = foreach_fields(c, found["foreach"], at)
    inside = replace(scope, variables=scope.variables | {item, index})
    each = foreach(c, loop, at, item, index, inside)
    tasks = task_list(c, loop.get("do", []), f"{at}/do", inside)
    return ListenTask(**shared, to=to, read=read, foreach=replace(each, do=tasks))


_READERS: Mapping[str, Callable[[Context, Object, str, Scope, Shared], Task]] = {
    "call": _call,
    "do": _do,
    "emit": _emit,
    "for": _for,
    "fork": _fork,
    "listen": _listen,
    "raise": _raise,
    "run": _run,
    "set": _set,
    "switch": _switch,
    "try": _try,
    "wait": _wait,
}
