"""Effects: the only way the interpreter and composites touch anything outside themselves."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from ._datum import Datum, labels_from, labels_json
from ._events import Consumed, Event, Interest
from ._governance import Decision
from ._json import Json
from ._keys import Finished

if TYPE_CHECKING:
    from ._function import Invocation, Nature, Outcome

T = TypeVar("T")

RequestKind = Literal["human", "approval", "interrupted"]
Verdict = Literal["answered", "approved", "rejected", "again", "performed", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked."""

    kind: RequestKind
    title: str
    role: str | None = None
    user: str | None = None
    show: Datum = field(default_factory=Datum)
    form: Json = None
    """JSON Schema of the answer."""
    binding: Json = None
    """What an approval is bound to: digests of the arguments, agent and policy version."""
    expires_after_s: float | None = None

    def to_json(self) -> dict[str, Json]:
        """As the journal stores it."""
        return {
            "kind": self.kind,
            "title": self.title,
            "role": self.role,
            "user": self.user,
            "show": self.show.value,
            "labels": labels_json(self.show.labels),
            "form": self.form,
            "binding": self.binding,
            "expires_after_s": self.expires_after_s,
        }

    @staticmethod
    def from_json(value: Json) -> "Question":
        """What `to_json` wrote."""
        stored = cast("Mapping[str, Any]", value)  # only to_json wrote it
        return Question(
            kind=stored["kind"],
            title=stored["title"],
            role=stored["role"],
            user=stored["user"],
            show=Datum(stored["show"], labels_from(stored["labels"])),
            form=stored["form"],
            binding=stored["binding"],
            expires_after_s=stored["expires_after_s"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the person said."""

    verdict: Verdict
    by: str
    at: float
    value: Datum = field(default_factory=Datum)
    reason: str | None = None
    binding: Json = None

    def to_json(self) -> dict[str, Json]:
        """As the journal stores it, and as the body of the message that brings it."""
        return {
            "verdict": self.verdict,
            "by": self.by,
            "at": self.at,
            "value": self.value.value,
            "labels": labels_json(self.value.labels),
            "reason": self.reason,
            "binding": self.binding,
        }

    @staticmethod
    def from_json(value: Json) -> "Answer":
        """What `to_json` wrote."""
        stored = cast("Mapping[str, Any]", value)  # only to_json wrote it
        return Answer(
            verdict=stored["verdict"],
            by=stored["by"],
            at=stored["at"],
            value=Datum(stored["value"], labels_from(stored["labels"])),
            reason=stored["reason"],
            binding=stored["binding"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStart:
    """A workflow started from within a run."""

    namespace: str
    name: str
    version: str
    input: Datum
    awaited: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a run knows of itself."""

    id: str
    workflow: str
    """`namespace/name`"""
    started_at: float
    subject: str | None
    dry: bool = False
    """Whether nothing that it does is performed."""


class Effects(Protocol):
    """Implemented by the engine alone. A key names a place in the run; whatever has happened there is not done again.

    Every method raises Diverged when the journal holds something else at its key, and Faulted for a failure the workflow may catch.
    """

    @property
    def run(self) -> RunContext: ...

    async def invoke(self, invocation: "Invocation") -> "Outcome":
        """Look the entry up; else decide, write intent, perform, write outcome.

        A composite is entered again on every walk; when an agent calls one (`acting`), policy decides before it is entered.
        """
        ...

    async def decide(self, invocation: "Invocation") -> Decision:
        """What `invoke` would be told by policy, without doing anything; the recorded decision once there is one."""
        ...

    async def record(
        self, invocation: "Invocation", nature: "Nature", perform: Callable[[], Awaitable["Outcome"]]
    ) -> "Outcome":
        """Like `invoke` for a library that hands over a closure. Agents' model requests only."""
        ...

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        """Ask a person and wait, for days if need be. Raises: Faulted of type timeout when it expires."""
        ...

    async def sleep(self, key: str, task: str, seconds: float) -> None:
        """Wait until a deadline that is recorded at the start; time spent down counts."""
        ...

    async def child(self, key: str, task: str, start: ChildStart) -> Datum:
        """Run another workflow and wait for its end. Raises: Faulted with the child's problem."""
        ...

    async def now(self, key: str, task: str) -> float:
        """The time, recorded: seconds since the epoch."""
        ...

    async def random(self, key: str, task: str) -> float:
        """A number in [0, 1), recorded."""
        ...

    async def fork(self, key: str, task: str, branches: Sequence[Callable[["Effects"], Awaitable[T]]]) -> list[T]:
        """All branches at once; their results in order. The first failure stops the others and is raised.

        Branch `i` may only use keys below `{key}/{i}`.
        """
        ...

    async def race(self, key: str, task: str, branches: Sequence[Callable[["Effects"], Awaitable[T]]]) -> T:
        """All branches at once; the first success wins, which is recorded, and the others are stopped.

        When all fail, the last failure is raised. Branch `i` may only use keys below `{key}/{i}`.
        """
        ...

    async def within(self, key: str, task: str, seconds: float, body: Callable[["Effects"], Awaitable[T]]) -> T:
        """Run `body` against a deadline recorded at `{key}/deadline`; `body` may use `key` and what is below it.

        Raises: Faulted of type timeout when the deadline came first.
        """
        ...

    def trace(self, key: str, task: str, kind: str, output: Datum, *, why: Json = None) -> None:
        """Leave an unawaited row about something recomputed on every walk. Raises: Diverged if an earlier walk differs."""
        ...

    def saved(self, key: str) -> Json:
        """The scope row at `key`, or None: where a recovered walk may continue."""
        ...

    def save(self, key: str, state: Json, finished: Finished) -> None:
        """Upsert the scope row at `key` with the run's next write. A recovered walk asks for nothing that is `finished`."""
        ...

    def emit(self, key: str, task: str, event: Datum) -> Awaitable[Datum]:
        """Publish a CloudEvent, once. Raises: UserError `bad-event`."""
        ...

    async def subscribe(self, key: str, task: str, interests: Sequence[Interest]) -> None:
        """Listen from now on: events that anyone of the interests wants can be taken with `receive`."""
        ...

    async def receive(
        self, key: str, task: str, listening_key: str, accepts: Callable[[Event], Awaitable[Json]]
    ) -> Consumed:
        """Take the next event, in the order they were received, that `accepts` does not refuse: with None if nobody with these
        interests could ever want it, with False if this listener does not any more.

        `listening_key` is the key given to `subscribe`. Events received since the run began count, except those that this task has
        taken before, on any visit. What `accepts` answers is kept with the event; a refused one is not offered again.
        """
        ...

    def consumed(self, key: str) -> Consumed | None:
        """What `receive` took at this key on an earlier walk."""
        ...

    async def unsubscribe(self, key: str) -> None:
        """Listen no more."""
        ...
