"""The pool of confined jq processes."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from orchestrion.core import BugError, Json, OrchestrionError, dump

from ._errors import ExpressionError, SyntaxProblem, shown, syntax_problem, withheld_problem
from ._exchange import NOW, Request, result, said
from ._native import native
from ._process import Worker, WorkerEnded
from ._program import facts


class Expressions:
    """Evaluates jq programs in child processes that see nothing but what a program names. Belongs to one event loop.

    `deadline_s` is processor time, so a busy machine fails nothing; a worker that does not answer within ten times
    that by the clock is killed as well. Numbers travel as their literals: an integer of any size survives unless
    a program computes with it, which jq does in double precision. `nan` becomes null; infinities are refused.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        deadline_s: float = 1.0,
        memory_mb: int = 256,
        max_input_bytes: int = 16_000_000,
        max_result_bytes: int = 16_000_000,
    ) -> None:
        self._deadline_s = deadline_s
        self._memory_mb = memory_mb
        self._max_input_bytes = max_input_bytes
        self._max_result_bytes = max_result_bytes
        self._places = asyncio.Semaphore(workers)
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._stopping: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the workers, what they are at included; the next request would start new ones."""
        self._idle.clear()
        await asyncio.gather(*(self._stop(worker) for worker in list(self._workers)), *self._stopping)

    def worker_pids(self) -> list[int]:
        """Process ids of the workers there are."""
        return [worker.pid for worker in self._workers]

    async def evaluate(self, programs: Sequence[str], variables: Mapping[str, Json]) -> list[Json]:
        """The result of each program, in order; no result is null. One round trip, none if all are
        simple enough to need no jq (`_native`).

        `variables` holds the input under `.`, the others by name without `$`, and the time as `__now` (seconds since the
        epoch) for programs that mention `now`. Only what programs name is sent.

        Raises: ExpressionError `expression-syntax`, `expression-failed`, `several-results`, `secrets-in-expression`,
        `now-not-recorded`, `expression-input-too-big`, `expression-result-too-big`, `expression-result-unusable`,
        `expression-deadline`, `expression-memory`, `expression-crashed`.
        """
        results: list[Json] = [None] * len(programs)
        rest: list[int] = []
        for at, program in enumerate(programs):
            _refuse(program, variables)
            found = native(program, variables)
            if found is None:
                rest.append(at)
            else:
                results[at] = found[0]
        if rest:
            asked = [programs[at] for at in rest]
            lines = await self._request(Request(asked, variables).frame(), asked)
            for at, line in zip(rest, lines, strict=True):
                results[at] = result(line, programs[at])
        return results

    async def check(self, program: str, variables: Collection[str]) -> SyntaxProblem | None:
        """Why `program` would not compile where these variables exist; None if it does. Runs nothing."""
        try:
            _refuse(program, {NOW: 0})
        except ExpressionError as error:
            return SyntaxProblem(message=error.message.rstrip("."), hint=error.hint)
        known = facts(program)
        if known.path and (known.path[0] == "." or known.path[0] in variables):
            return None
        names = sorted(name for name in known.variables if name in variables) + [NOW] * known.mentions_now
        (line,) = await self._request(dump([[program, names, []]]).encode(), [program])
        if line == "0":
            return None
        problem = syntax_problem(said(line)[1], program)
        if problem.message.startswith("$"):
            listed = ", ".join(f"${name}" for name in sorted(variables))
            return SyntaxProblem(
                message=problem.message, line=problem.line, column=problem.column, hint=f"Known here: {listed}."
            )
        return problem

    async def _request(self, payload: bytes, programs: Sequence[str]) -> list[str]:
        """Answer lines of one frame. A worker somebody else killed costs a second try, not an answer."""
        if len(payload) > self._max_input_bytes:
            raise ExpressionError(
                "expression-input-too-big",
                f"The data for {shown(programs[0])} is {len(payload):,} bytes; at most {self._max_input_bytes:,} are allowed.",
                hint="Name the part that is needed ($context.part rather than $context), or keep large data out of the run.",
            )
        why = "killed"
        async with self._places:
            for _ in range(2):
                try:
                    return (await self._ask(payload)).decode(errors="surrogatepass").split("\n")
                except WorkerEnded as ended:
                    why = ended.why
                    if why != "killed":
                        break
        raise self._limit_error(why, programs)

    async def _ask(self, payload: bytes) -> bytes:
        worker = await self._worker()
        try:
            answer = await worker.ask(payload, 10 * self._deadline_s + 5)
        except BaseException:
            stopping = asyncio.ensure_future(self._stop(worker))
            self._stopping.add(stopping)
            stopping.add_done_callback(self._stopping.discard)
            raise
        self._idle.append(worker)
        return answer

    async def _worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            await self._stop(worker)
        worker = Worker.start(self._deadline_s, self._memory_mb * 1_000_000, self._max_result_bytes)
        self._workers.add(worker)
        return worker

    async def _stop(self, worker: Worker) -> None:
        self._workers.discard(worker)
        await worker.stop()

    def _limit_error(self, why: str, programs: Sequence[str]) -> OrchestrionError:
        what = (
            shown(programs[0])
            if len(programs) == 1
            else f"one of {len(programs)} expressions, {shown(programs[0])} first,"
        )
        match why:
            case "deadline":
                return ExpressionError(
                    "expression-deadline",
                    f"Evaluating {what} took more than {self._deadline_s:g} s of processor time.",
                    hint="Look for an endless loop (repeat, recurse, until) or a costly regular expression.",
                )
            case "memory":
                return ExpressionError(
                    "expression-memory",
                    f"Evaluating {what} needed more than {self._memory_mb} MB.",
                    hint="Look for a range or a repetition that grows without bound.",
                )
            case _:
                return ExpressionError(
                    "expression-crashed",
                    f"The process that evaluated {what} ended without an answer.",
                    hint="Values nested thousands of levels deep do this.",
                )


def _refuse(program: str, variables: Mapping[str, Json]) -> None:
    """Raises: ExpressionError for what no program may contain."""
    known = facts(program)
    if "secrets" in known.variables:
        raise ExpressionError(
            "secrets-in-expression",
            f"The expression {shown(program)} reads $secrets, and its result would be recorded.",
            hint="Refer to a secret by name where it is used, such as `authentication: {basic: {use: mySecret}}`.",
        )
    if "\0" in program or not program.strip():
        raise ExpressionError(
            "expression-syntax",
            f"The expression {shown(program)} is empty or holds a NUL character.",
            hint="Write `.` for the input unchanged.",
        )
    if known.withheld:
        raise withheld_problem(known.withheld).error(program)
    if known.mentions_now and NOW not in variables:
        raise BugError(
            "now-not-recorded", f"The expression {shown(program)} mentions `now`, and no recorded time was given."
        )
