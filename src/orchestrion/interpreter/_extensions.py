"""Extensions around a task: the first declared is the outermost. What their tasks give stays in them, but for `exit`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from orchestrion.core import Datum, Faulted, Problem
from orchestrion.spec import Extension, Task, Then, pointer_step

from ._evaluate import Evaluation
from ._state import Passed, Strand

if TYPE_CHECKING:
    from ._interpreter import Interpreter

Work = Callable[[], Awaitable[tuple[Passed, Then]]]


async def extended(
    interpreter: "Interpreter", strand: Strand, task: Task, key: str, evaluation: Evaluation, work: Work
) -> tuple[Passed, Then]:
    """`work`, the task itself, with the extensions of its document around it. Tasks of extensions are not extended.

    Source: Open Workflow DSL 1.0.3, reference, "Extension".
    """
    if strand.extending is not None or not strand.document.extensions:
        return await work()
    layers = [(i, each) for i, each in enumerate(strand.document.extensions) if each.extends(task)]
    return await _Layers(interpreter, strand, task, key, evaluation, work).around(layers)


class _Layers:
    """One visit of one task, with what surrounds it."""

    def __init__(
        self, interpreter: "Interpreter", strand: Strand, task: Task, key: str, evaluation: Evaluation, work: Work
    ) -> None:
        self._interpreter = interpreter
        self._strand = strand
        self._task = task
        self._key = key
        self._evaluation = evaluation
        self._work = work

    async def around(self, layers: Sequence[tuple[int, Extension]]) -> tuple[Passed, Then]:
        """The task within the outermost of these layers and those inside it."""
        if not layers:
            return await self._work()
        (number, extension), *inner = layers
        given = self._evaluation.raw_input
        if extension.when is not None and not await self._holds(extension.when, given):
            return await self.around(inner)
        place = f"{number}{pointer_step(extension.name)}"
        before = await self._side(extension.before, f"{self._key}/before/{place}", given)
        if before.end:
            return before, self._task.then
        if before.exited:
            self._strand.effects.trace(
                f"{self._key}/replaced",
                self._task.pointer,
                "extension",
                Datum(extension.name),
                why={"when": extension.when},
            )
            return Passed(before.output), self._task.then
        passed, then = await self.around(inner)
        if passed.end:
            return passed, then
        self._evaluation.output = passed.output
        after = await self._side(extension.after, f"{self._key}/after/{place}", passed.output)
        return (Passed(after.output, after.end) if after.exited or after.end else passed), then

    async def _holds(self, when: str, given: Datum) -> bool:
        asking = Evaluation(
            self._interpreter.evaluator, self._strand.inside(extending=self._evaluation), self._task, self._key
        )
        asking.raw_input = asking.input = given
        return await asking.holds(when, given)

    async def _side(self, tasks: Sequence[Task], key: str, given: Datum) -> Passed:
        """Tasks of an extension. They share `$context` with the task, and `$task` is the task for them.

        Raises: Faulted that names the task beside the one of the extension, which stands around many.
        """
        if not tasks:
            return Passed(given)
        inner = self._strand.inside(extending=self._evaluation)
        try:
            passed = await self._interpreter.list(inner, tasks, key, given)
        except Faulted as error:
            problem = Problem.model_validate({**error.problem.to_json(), "extended": self._task.pointer})
            raise Faulted(problem, source_key=error.source_key) from error
        self._strand.leave(inner)
        return passed
