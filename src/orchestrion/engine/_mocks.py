"""What answers in a dry run, and what was asked of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from orchestrion.core import Call, Effect, Json, Nature, Problem, Run

if TYPE_CHECKING:
    from ._recording import Recording

MOST_ANSWERS = 2_000
"""A loop that waits for a change in the world would go on for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mock:
    """What is answered in place of the outside: an output, an error, or the refusal of an approval."""

    output: Json = None
    error: Problem | None = None
    rejected: str | None = None
    """The reason a person gives for rejecting an approval that policy asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A call as policies see it, and what it would do outside."""

    call: Call
    effect: Effect
    mockable: str
    """The name under which a mock answers it."""


def nothing(_: Nature) -> bool:
    return False


@dataclass(slots=True, kw_only=True)
class DryRun:
    """One dry run: what answers, and what was asked of it."""

    reads: Callable[[Nature], bool] = nothing
    """Whether such a read, or such a model, is really asked where no mock answers. Never consulted for writes."""
    approve: bool | None = True
    """What is said to approvals that no mock rejects. None: nobody answers, and the run waits."""
    questions: bool = True
    """Whether questions to people that no mock answers get the defaults of their form. Else the run waits."""
    mocks: Mapping[str, Sequence[Mock]] = field(default_factory=dict[str, Sequence[Mock]])
    """A task's name or pointer, or `task/tool` for a tool of an agent → answers, one for each time; the last stays."""
    noted: dict[tuple[str, str], Noted] = field(default_factory=dict[tuple[str, str], Noted])
    """(run, key) → the call."""
    used: dict[str, int] = field(default_factory=dict[str, int])
    """How often each mock answered."""
    answers: int = 0
    most: int = MOST_ANSWERS
    """How many answers may be asked for."""
    recording: "Recording | None" = None
    """What answers instead of mocks and schemas: then this is a replay."""

    def of(self, run: Run) -> "DryRun":
        """Every run is of this one."""
        return self

    @property
    def unused(self) -> list[str]:
        """Mocks that nothing asked for."""
        return [name for name in self.mocks if name not in self.used]

    def mock(self, task: str, tool: str | None = None) -> tuple[str, Mock] | None:
        """The next answer for a task, or for a tool that an agent uses in it; with its name."""
        names = [task_name(task), task]
        return self._next([f"{name}/{tool}" for name in names] if tool else names, rejecting=False)

    def rejection(self, task: str, action: str) -> tuple[str, Mock] | None:
        """The answer of the person whose approval is asked for, where a mock says that it is a no."""
        names = [task_name(task), task]
        return self._next([*(f"{name}/{action}" for name in names), *names], rejecting=True)

    def event(self, task: str) -> tuple[str, Mock] | None:
        """The next event that a mock gives; None when all were given. Other than answers, events do not repeat."""
        names = [name for name in (task_name(task), task) if self.used.get(name, 0) < len(self.mocks.get(name, ()))]
        return self._next(names, rejecting=False)

    def has_mock(self, task: str) -> bool:
        return task_name(task) in self.mocks or task in self.mocks

    def _next(self, names: Sequence[str], *, rejecting: bool) -> tuple[str, Mock] | None:
        for name in names:
            several = self.mocks.get(name, ())
            turn = self.used.get(name, 0)
            if several and (several[min(turn, len(several) - 1)].rejected is not None) is rejecting:
                self.used[name] = turn + 1
                return name, several[min(turn, len(several) - 1)]
        return None


class DryRuns(Protocol):
    """Several dry runs on one engine."""

    def of(self, run: Run) -> DryRun:
        """The dry run that a run, or what it was started by, belongs to."""
        ...


def task_name(pointer: str) -> str:
    """The last step of a task's pointer."""
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
