"""`try`: attempts, retries and catches."""

from typing import TYPE_CHECKING

from orchestrion.core import Datum, Diverged, Effects, Finished, OrchestrionError, Problem
from orchestrion.spec import Catch, Retry, Then, TryTask

from ._evaluate import Evaluation
from ._state import Passed, Strand, finished, from_finished, within

if TYPE_CHECKING:
    from ._interpreter import Interpreter


BESIDE = ("retry", "jitter", "failed")
"""What attempts leave beside themselves."""


async def perform_try(
    interpreter: "Interpreter", strand: Strand, task: TryTask, key: str, evaluation: Evaluation
) -> tuple[Passed, Then]:
    """Try until it succeeds or may not be tried again; then catch. A finished one is not walked again."""
    scope = f"{key}/try"
    saved = strand.effects.saved(scope)
    if saved is not None:
        passed, strand.context = from_finished(saved)
        caught = strand.effects.saved(f"{scope}/caught") is not None
    else:
        passed, caught = await _attempts(interpreter, strand, task, key, evaluation)
        if caught:
            strand.effects.save(f"{scope}/caught", {"caught": True}, Finished(under=[]))
        strand.effects.save(
            scope,
            finished(passed, strand.context),
            Finished(
                under=[scope, f"{key}/catch", *(f"{key}/{beside}" for beside in BESIDE)], live=[f"{scope}/caught"]
            ),
        )
    return passed, (task.catch.then or task.then) if caught else task.then


async def _attempts(
    interpreter: "Interpreter", strand: Strand, task: TryTask, key: str, evaluation: Evaluation
) -> tuple[Passed, bool]:
    catch, given, effects = task.catch, evaluation.input, strand.effects
    began_at = None
    if catch.retry is not None and catch.retry.duration is not None:
        began_at = await effects.now(f"{key}/began", task.pointer)
    attempt = 1
    while True:
        inner = strand.inside(catch=catch)
        try:
            passed = await _attempt(interpreter, inner, task, f"{key}/try~{attempt}", evaluation)
        except Diverged:
            raise
        except OrchestrionError as error:
            strand.leave(inner)
            problem = error.problem
            if not await _catches(catch, problem, evaluation):
                raise
            if catch.retry is not None:
                retrying = Retrying(interpreter, evaluation, effects, catch.retry, began_at)
                if await retrying.again(task, key, attempt, _error(catch, problem)):
                    attempt += 1
                    continue
                if not catch.do:
                    raise
            return await _caught(interpreter, strand, task, key, problem, given), True
        strand.leave(inner)
        return passed, False


async def _attempt(
    interpreter: "Interpreter", strand: Strand, task: TryTask, key: str, evaluation: Evaluation
) -> Passed:
    retry = task.catch.retry
    if retry is None or retry.attempt_timeout is None:
        return await interpreter.list(strand, task.try_, key, evaluation.input)
    seconds = await interpreter.seconds(retry.attempt_timeout, evaluation, evaluation.input)
    return await within(
        strand,
        key,
        task.pointer,
        seconds,
        lambda inner: interpreter.list(inner, task.try_, key, evaluation.input),
    )


async def _catches(catch: Catch, problem: Problem, evaluation: Evaluation) -> bool:
    if not catch.errors.matches(problem):
        return False
    error = _error(catch, problem)
    if catch.when is not None and not await evaluation.holds(catch.when, evaluation.input, error):
        return False
    return catch.except_when is None or not await evaluation.holds(catch.except_when, evaluation.input, error)


async def _caught(
    interpreter: "Interpreter", strand: Strand, task: TryTask, key: str, problem: Problem, given: Datum
) -> Passed:
    """`catch.do` on the try's own input, with the error as a variable."""
    inner = strand.inside(variables=_error(task.catch, problem))
    try:
        return await interpreter.list(inner, task.catch.do, f"{key}/catch/do", given)
    finally:
        strand.leave(inner)


def _error(catch: Catch, problem: Problem) -> dict[str, Datum]:
    return {catch.as_: Datum(problem.to_json())}


class Retrying:
    """Whether and when to try again."""

    def __init__(
        self,
        interpreter: "Interpreter",
        evaluation: Evaluation,
        effects: Effects,
        retry: Retry,
        began_at: float | None,
    ) -> None:
        self._interpreter = interpreter
        self._evaluation = evaluation
        self._effects = effects
        self._retry = retry
        self._began_at = began_at

    async def again(self, task: TryTask, key: str, attempt: int, error: dict[str, Datum]) -> bool:
        """Wait as the policy says, and True; or False when the policy says no, or its limits are reached."""
        retry, dot = self._retry, self._evaluation.input
        if retry.attempts is not None and attempt > retry.attempts:
            return False
        if retry.when is not None and not await self._evaluation.holds(retry.when, dot, error):
            return False
        if retry.except_when is not None and await self._evaluation.holds(retry.except_when, dot, error):
            return False
        delay = await self._delay(task, key, attempt)
        if not await self._in_time(task, key, attempt, delay):
            return False
        if delay > 0:
            await self._effects.sleep(f"{key}/retry~{attempt}", task.pointer, delay)
        return True

    async def _delay(self, task: TryTask, key: str, attempt: int) -> float:
        retry, dot = self._retry, self._evaluation.input
        delay = await self._interpreter.seconds(retry.delay, self._evaluation, dot)
        match retry.backoff:
            case "constant":
                pass
            case "linear":
                delay *= attempt
            case "exponential":
                delay *= 2 ** (attempt - 1)
        if retry.jitter is not None:
            least = await self._interpreter.seconds(retry.jitter[0], self._evaluation, dot)
            most = await self._interpreter.seconds(retry.jitter[1], self._evaluation, dot)
            delay += least + (most - least) * await self._effects.random(f"{key}/jitter~{attempt}", task.pointer)
        return delay

    async def _in_time(self, task: TryTask, key: str, attempt: int, delay: float) -> bool:
        if self._retry.duration is None or self._began_at is None:
            return True
        limit = await self._interpreter.seconds(self._retry.duration, self._evaluation, self._evaluation.input)
        now = await self._effects.now(f"{key}/failed~{attempt}", task.pointer)
        return now + delay <= self._began_at + limit
