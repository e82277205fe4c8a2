"""One function a task type: what a task does between its transformed input and its raw output."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, assert_never, cast

from orchestrion.core import (
    INTERRUPTED,
    ChildStart,
    Datum,
    Effects,
    Faulted,
    Finished,
    Invocation,
    Json,
    Problem,
    UserError,
    sub_labels,
)
from orchestrion.expressions import expand_uri
from orchestrion.spec import (
    CallTask,
    DoTask,
    EmitTask,
    End,
    ForkTask,
    ForTask,
    ListenTask,
    RaiseTask,
    RunWorkflowTask,
    SetTask,
    SwitchTask,
    Task,
    Then,
    TryTask,
    WaitTask,
)

from ._elsewhere import perform_elsewhere
from ._evaluate import Evaluation
from ._listen import perform_listen
from ._state import Passed, Strand, datum_from, datum_json, finished, from_finished
from ._try import perform_try

if TYPE_CHECKING:
    from ._interpreter import Interpreter

_INTERRUPTED = Problem(type=INTERRUPTED, status=409, title="Interrupted")


async def perform(
    interpreter: "Interpreter", strand: Strand, task: Task, key: str, evaluation: Evaluation
) -> tuple[Passed, Then]:
    """The task's own work, and where to go from it."""
    given = evaluation.input
    match task:
        case CallTask():
            passed = await _call(interpreter, strand, task, key, evaluation)
        case DoTask():
            passed = await interpreter.list(strand, task.do, f"{key}/do", given)
        case ForTask():
            passed = await _for(interpreter, strand, task, key, evaluation)
        case ForkTask():
            passed = await _fork(interpreter, strand, task, key, given)
        case EmitTask():
            event = await evaluation.template(task.event, given)
            passed = Passed(await strand.effects.emit(key, task.pointer, event))
        case ListenTask():
            passed = await perform_listen(interpreter, strand, task, key, evaluation)
        case RaiseTask():
            raise await _raise(task, evaluation, given)
        case RunWorkflowTask():
            passed = await _run_workflow(strand, task, key, evaluation)
        case SetTask():
            output = await evaluation.template(task.value, given)
            strand.effects.trace(key, task.pointer, "set", output)
            passed = Passed(output)
        case SwitchTask():
            return Passed(given), await _switch(strand, task, key, evaluation)
        case TryTask():
            return await perform_try(interpreter, strand, task, key, evaluation)
        case WaitTask():
            seconds = await interpreter.seconds(task.duration, evaluation, given)
            await strand.effects.sleep(key, task.pointer, seconds)
            passed = Passed(given)
        case _:
            assert_never(task)
    return passed, task.then


async def _call(interpreter: "Interpreter", strand: Strand, task: CallTask, key: str, evaluation: Evaluation) -> Passed:
    arguments = await evaluation.template(task.arguments, evaluation.input)
    if task.defined is not None:
        defined = task.defined
        passed, _ = await interpreter.task(strand, defined, f"{key}/call/{defined.name}#1", arguments)
        return passed
    if task.definition is not None:
        return await perform_elsewhere(interpreter, strand, task, key, evaluation, arguments)
    if task.addresses:
        arguments = _expanded(task, arguments, evaluation.input)
    idempotent = task.metadata.get("idempotent")
    outcome = await strand.effects.invoke(
        Invocation(
            key=key,
            task=task.pointer,
            function=task.function,
            arguments=arguments,
            idempotent=idempotent if isinstance(idempotent, bool) else None,
            catches_interrupted=any(catch.errors.matches(_INTERRUPTED) for catch in strand.catches),
        )
    )
    return Passed(outcome.output)


def _expanded(task: CallTask, arguments: Datum, given: Datum) -> Datum:
    """The endpoints' URI templates, expanded with the members of the task's input.

    Only what the author wrote is a template: what an expression gave is data, whatever braces it holds.
    """
    members = cast("Mapping[str, Json]", given.value if isinstance(given.value, Mapping) else {})
    value = arguments.value
    for address in task.addresses:
        value = _expanded_at(value, address.split("/")[1:], members)
    return Datum(value, arguments.labels)


def _expanded_at(value: Json, steps: Sequence[str], members: Mapping[str, Json]) -> Json:
    if not steps:
        return expand_uri(value, members) if isinstance(value, str) else value
    if not isinstance(value, Mapping) or steps[0] not in value:
        return value
    return {**value, steps[0]: _expanded_at(value[steps[0]], steps[1:], members)}


async def _for(interpreter: "Interpreter", strand: Strand, task: ForTask, key: str, evaluation: Evaluation) -> Passed:
    """Each iteration is fed with the output of the one before; the last one's output is the task's."""
    items = await evaluation.template(task.in_, evaluation.input)
    if isinstance(items.value, str | Mapping) or not isinstance(items.value, Sequence):
        raise UserError(
            "not-a-list",
            f"`for.in` of {task.name!r} gave {type(items.value).__name__}, not a list.",
            hint="Let the expression give an array; `to_entries` makes one of an object.",
        )
    index, output, scope = 0, evaluation.input, f"{key}/for"
    saved = cast("Mapping[str, Json] | None", strand.effects.saved(scope))
    if saved is not None:
        index, output = cast("int", saved["cursor"]), datum_from(saved["output"])
        strand.context = datum_from(saved["context"])
    while index < len(items.value):
        item = Datum(items.value[index], sub_labels(items.labels, f"/{index}"))
        variables = {task.each: item, task.at: Datum(index)}
        if task.while_ is not None and not await evaluation.holds(task.while_, output, variables):
            break
        inner = strand.inside(variables=variables)
        try:
            passed = await interpreter.list(inner, task.do, f"{scope}/{index}", output)
        finally:
            strand.leave(inner)
        output = passed.output
        if passed.end:
            return passed
        index += 1
        strand.effects.save(
            scope,
            {"cursor": index, "output": datum_json(output), "context": datum_json(strand.context)},
            Finished(under=[scope], live=[f"{scope}/{index}"]),
        )
    return Passed(output)


async def _fork(interpreter: "Interpreter", strand: Strand, task: ForkTask, key: str, given: Datum) -> Passed:
    """All branches from the same `$context`; what they export stays in them."""
    base = f"{key}/fork/branches"

    def branch(index: int, inner: Task) -> Callable[[Effects], Awaitable[Passed]]:
        async def run(effects: Effects) -> Passed:
            branch_key = f"{base}/{index}"
            saved = effects.saved(f"{branch_key}/done")
            if saved is not None:
                return from_finished(saved)[0]
            line = strand.inside(effects=effects)
            passed, then = await interpreter.task(line, inner, f"{branch_key}/{inner.name}#1", given)
            if isinstance(then, End):
                passed = Passed(passed.output, end=True)
            effects.save(f"{branch_key}/done", finished(passed, Datum()), Finished(under=[branch_key]))
            return passed

        return run

    branches = [branch(index, inner) for index, inner in enumerate(task.branches)]
    if task.compete:
        return await strand.effects.race(base, task.pointer, branches)
    results = await strand.effects.fork(base, task.pointer, branches)
    labels = {f"/{i}{path}": names for i, result in enumerate(results) for path, names in result.output.labels.items()}
    return Passed(Datum([result.output.value for result in results], labels), any(result.end for result in results))


async def _raise(task: RaiseTask, evaluation: Evaluation, given: Datum) -> Faulted:
    error = await evaluation.template(task.error, given)
    problem = Problem.model_validate(error.value)
    return Faulted(problem.at(task.pointer))


async def _run_workflow(strand: Strand, task: RunWorkflowTask, key: str, evaluation: Evaluation) -> Passed:
    given = evaluation.input
    arguments = given if task.arguments is None else await evaluation.template(task.arguments, given)
    start = ChildStart(
        namespace=task.namespace, name=task.workflow, version=task.version, input=arguments, awaited=task.await_
    )
    output = await strand.effects.child(key, task.pointer, start)
    return Passed(output if task.await_ else given)


async def _switch(strand: Strand, task: SwitchTask, key: str, evaluation: Evaluation) -> Then:
    """The first case that holds. Later ones are not evaluated: they may not make sense then."""
    for case in task.cases:
        if case.when is None or await evaluation.holds(case.when, evaluation.input):
            why: Json = {"case": case.name, "when": case.when}
            strand.effects.trace(key, task.pointer, "switch", Datum(case.name), why=why)
            return case.then
    strand.effects.trace(key, task.pointer, "switch", Datum(None), why={"case": None})
    return task.then
