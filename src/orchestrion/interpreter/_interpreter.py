"""Walks a workflow: task by task, over Effects. Walking it again over the same journal does nothing twice."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrion.core import (
    Datum,
    Diverged,
    Effects,
    Faulted,
    Finished,
    Json,
    OrchestrionError,
)
from orchestrion.spec import Continue, Document, End, Exit, Goto, Length, Task, Then, duration_of
from orchestrion.spec import Duration as FixedDuration

from ._elsewhere import Definitions
from ._evaluate import Evaluation, require_valid
from ._extensions import extended
from ._state import Evaluator, Passed, Strand, datum_from, datum_json, within
from ._tasks import perform

SEMANTICS = 1
"""Raised when a change would walk an open run otherwise than before: interpreter, jq or composites."""


class Interpreter:
    """The meaning of workflow documents."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.definitions = Definitions()

    async def run(self, document: Document, raw_input: Datum, effects: Effects) -> Datum:
        """Walk the whole workflow. Raises: Faulted for an error that nothing caught."""
        strand = Strand(document=document, effects=effects, input=raw_input, context=Datum())
        evaluation = Evaluation(self.evaluator, strand, None, "")
        require_valid(document.input.schema, raw_input.value, "The workflow's input")
        if document.input.from_ is not None:
            strand.input = await evaluation.template(document.input.from_, raw_input)
        evaluation.input = strand.input

        async def body(line: Strand) -> Datum:
            return (await self.list(line, document.tasks, "/do", line.input)).output

        if document.timeout is None:
            output = await body(strand)
        else:
            seconds = await self.seconds(document.timeout, evaluation, strand.input)
            output = await within(strand, "", "", seconds, body)
        if document.output.as_ is not None:
            output = await evaluation.template(document.output.as_, output)
        require_valid(document.output.schema, output.value, "The workflow's output")
        return output

    async def list(self, strand: Strand, tasks: Sequence[Task], key: str, given: Datum) -> Passed:
        """Tasks in sequence, each fed with the output of the one before."""
        index, output, visits = self._resume(strand, key, given)
        while index < len(tasks):
            task = tasks[index]
            visits[task.name] = visits.get(task.name, 0) + 1
            passed, then = await self.task(strand, task, f"{key}/{index}/{task.name}#{visits[task.name]}", output)
            output = passed.output
            if passed.end:
                return passed
            match then:
                case Continue():
                    index += 1
                case Goto(index=target):
                    if target <= index:
                        self._save_jump(strand, tasks, key, target, output, visits)
                    index = target
                case Exit():
                    return Passed(output, exited=True)
                case End():
                    return Passed(output, end=True)
        return Passed(output)

    def _save_jump(
        self,
        strand: Strand,
        tasks: Sequence[Task],
        key: str,
        index: int,
        output: Datum,
        visits: Mapping[str, int],
    ) -> None:
        """A backward jump: recovery starts here instead of walking every earlier round again."""
        places = [(f"{key}/{at}/{task.name}", visits.get(task.name, 0) + 1) for at, task in enumerate(tasks)]
        strand.effects.save(
            f"{key}/jump",
            {
                "cursor": index,
                "output": datum_json(output),
                "context": datum_json(strand.context),
                "visits": dict(visits),
            },
            Finished(under=[place for place, _ in places], live=[f"{place}#{visit}" for place, visit in places]),
        )

    def _resume(self, strand: Strand, key: str, given: Datum) -> tuple[int, Datum, dict[str, int]]:
        saved = cast("Mapping[str, Json] | None", strand.effects.saved(f"{key}/jump"))
        if saved is None:
            return 0, given, {}
        strand.context = datum_from(saved["context"])
        return (
            cast("int", saved["cursor"]),
            datum_from(saved["output"]),
            dict(cast("Mapping[str, int]", saved["visits"])),
        )

    async def task(self, strand: Strand, task: Task, key: str, raw_input: Datum) -> tuple[Passed, Then]:
        """One task with everything around it: condition, extensions, input, timeout, output, export."""
        evaluation = Evaluation(self.evaluator, strand, task, key)
        evaluation.raw_input = evaluation.input = raw_input
        try:
            if task.condition is not None and not await evaluation.holds(task.condition, raw_input):
                strand.effects.trace(f"{key}/if", task.pointer, "if", Datum(False), why={"if": task.condition})
                return Passed(raw_input), Continue()
            passed, then = await extended(
                self, strand, task, key, evaluation, lambda: self._work(strand, task, key, evaluation)
            )
            evaluation.output = passed.output
            output = passed.output
            if task.output.as_ is not None:
                output = evaluation.output = await evaluation.template(task.output.as_, output)
            require_valid(task.output.schema, output.value, f"The output of {task.name!r}")
            if task.export.as_ is not None:
                context = await evaluation.template(task.export.as_, output)
                require_valid(task.export.schema, context.value, f"The export of {task.name!r}")
                strand.context = context
        except Diverged:
            raise
        except OrchestrionError as error:
            raise at_task(error, task) from error
        return Passed(output, passed.end), then

    async def _work(self, strand: Strand, task: Task, key: str, evaluation: Evaluation) -> tuple[Passed, Then]:
        """The task itself on its transformed input, against its own deadline if it has one."""
        raw_input = evaluation.raw_input
        require_valid(task.input.schema, raw_input.value, f"The input of {task.name!r}")
        if task.input.from_ is not None:
            evaluation.input = await evaluation.template(task.input.from_, raw_input)
        if task.timeout is None:
            return await perform(self, strand, task, key, evaluation)
        seconds = await self.seconds(task.timeout, evaluation, evaluation.input)

        return await within(
            strand, key, task.pointer, seconds, lambda inner: perform(self, inner, task, key, evaluation)
        )

    async def seconds(self, length: Length, evaluation: Evaluation, dot: Datum) -> float:
        if isinstance(length, FixedDuration):
            return length.seconds
        return duration_of((await evaluation.program(length.program, dot)).value).seconds


def at_task(error: OrchestrionError, task: Task) -> Faulted:
    """The error with the place of the task it arose in, unless it has one already."""
    source = error.source_key if isinstance(error, Faulted) else None
    return Faulted(error.problem.at(task.pointer), source_key=source)
