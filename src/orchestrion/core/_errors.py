"""The four error families. Everything that goes wrong is one of them, and renders as problem details."""

from typing import ClassVar

from ._problem import ERROR_TYPES, Problem


class OrchestrionError(Exception):
    """A failure with a stable `code`, a message that says where, what and the offending value, and a `hint`."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "runtime"
    """Which standard error type of the workflow language a `catch` sees."""

    def __init__(self, code: str, message: str, *, hint: str | None = None, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self._problem = problem

    @property
    def problem(self) -> Problem:
        """This failure as problem details (RFC 9457)."""
        return self._problem or Problem(
            type=ERROR_TYPES[self.kind],
            status=self.status,
            title=self.code.replace("-", " ").capitalize(),
            detail=self.message,
            code=self.code,
            hint=self.hint,
        )

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UserError(OrchestrionError):
    """Somebody can put this right: input, a document, a setting. Exit code 2."""

    status = 400
    kind = "validation"


class PolicyDenied(OrchestrionError):
    """Policy refuses. Nothing was performed, and trying again changes nothing."""

    status = 403
    kind = "authorization"


class TransientError(OrchestrionError):
    """The other side failed in a way that may pass: trying again is sensible."""

    status = 503
    kind = "communication"


class BugError(OrchestrionError):
    """Orchestrion itself broke a promise."""

    status = 500
    kind = "runtime"


class Faulted(OrchestrionError):
    """A workflow error on its way to a `catch`, or to the end of the run.

    `source_key` is the journal entry the failure came from, if it came from one: `retry` supersedes that entry.
    """

    def __init__(self, problem: Problem, *, source_key: str | None = None) -> None:
        super().__init__(problem.code or "faulted", problem.detail or problem.title, problem=problem)
        self.source_key = source_key


def problem_of(error: BaseException) -> Problem:
    """The problem details of any exception; what is not ours becomes `internal`, named by its type alone."""
    if isinstance(error, OrchestrionError):
        return error.problem
    return BugError("internal", f"An unexpected {type(error).__name__} happened.").problem


class Diverged(BugError):
    """On replay, the journal holds something else at a key than what is now asked for. The run stops; nothing is reused."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(
            "diverged",
            f"The journal holds another call at {key!r}: {detail}.",
            hint="The workflow, an agent or a function changed under a run in progress. Rerun it, or restore the version.",
        )
        self.key = key


class Fenced(OrchestrionError):
    """Another process has taken the run over; this one must stop touching it."""

    def __init__(self, run_id: str) -> None:
        super().__init__("fenced", f"Run {run_id} is advanced by another process now.")
