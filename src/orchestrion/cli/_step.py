"""The words of a run's story: what happened, in steps that people understand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrion.core import Json, Problem

Status = Literal["done", "failed", "denied", "waiting", "interrupted", "running", "skipped", "abandoned"]
"""interrupted: begun, and nobody knows whether it happened. abandoned: its result was no longer wanted."""

SIGNS: Mapping[Status, str] = {
    "done": "✓",
    "failed": "✗",
    "denied": "⊘",
    "waiting": "…",
    "interrupted": "!",
    "running": "▶",
    "skipped": "–",
    "abandoned": "□",
}

Kind = Literal[
    "call",
    "agent",
    "engagement",
    "answer",
    "tool",
    "person",
    "approval",
    "inquiry",
    "switch",
    "set",
    "wait",
    "event",
    "listen",
    "heard",
    "workflow",
    "group",
    "loop",
    "round",
    "branches",
    "try",
    "attempt",
    "caught",
    "raise",
    "extension",
    "note",
    "part",
]
"""engagement: an agent that another one engaged. answer: one answer of an agent's model or playbook. extension: what runs before or after a task. heard: an event that a `listen`
took. inquiry: a person is asked whether something interrupted happened.
note: something that happened and counts no more. part: a piece of a composite function that has no name of its own here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a step and everything in it consumed."""

    usd_micros: int = 0
    tokens: int = 0
    known: bool = True
    """Whether every price in it is known."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            usd_micros=self.usd_micros + other.usd_micros,
            tokens=self.tokens + other.tokens,
            known=self.known and other.known,
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something came about, in plain words."""

    about: Literal["branch", "routing", "rule", "model", "policy", "person", "time", "result", "record"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What policy said about a step."""

    verdict: Literal["allow", "deny", "needs-approval"]
    policies: tuple[str, ...] = ()
    reason: str | None = None
    approved_by: str | None = None
    approved_by_role: str | None = None
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What a run waits for."""

    what: str
    whom: str | None = None
    """The role or person who can end it; None when it is a time or another run."""
    since: float | None = None
    until: float | None = None
    command: str | None = None
    """What somebody types to end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One task of the workflow, or one step inside it, with the steps inside that."""

    key: str
    """Its place in the journal."""
    name: str
    """As the document or the agent's file calls it."""
    title: str
    """The same for readers who know neither."""
    kind: Kind
    status: Status
    function: str = ""
    result: str = ""
    """What came of it in a word or two: the label chosen, the rows found."""
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 1
    cost: Cost = field(default_factory=Cost)
    who: str | None = None
    """`Agent::billing`, `User::ana`, `Workflow::support/triage`."""
    asked: str | None = None
    """The role or person whose decision or answer was asked for."""
    reasons: tuple[Reason, ...] = ()
    dropped: tuple[str, ...] = ()
    """Paths of what an agent was not given."""
    ruling: Ruling | None = None
    waits: Waiting | None = None
    problem: Problem | None = None
    input: Json = None
    output: Json = None
    steps: tuple["Step", ...] = ()

    @property
    def duration_s(self) -> float | None:
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.started_at)

    def every(self) -> Iterator["Step"]:
        """This step and all inside it, each before what is inside it."""
        yield self
        for step in self.steps:
            yield from step.every()


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run from its input to what became of it."""

    run_id: str
    workflow: str
    """`namespace/name`"""
    version: str
    title: str
    status: str
    """The run's own status word."""
    came_in: str
    """What the run was given, as text for people."""
    became: str
    """What became of it, in a sentence."""
    timezone: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    last_at: float
    """The latest time that the record mentions."""
    attempt: int
    subject: str | None
    cost: Cost
    input: Json
    output: Json
    problem: Problem | None
    steps: tuple[Step, ...]

    @property
    def waits(self) -> tuple[Waiting, ...]:
        """Everything the run waits for."""
        return tuple(step.waits for step in self.every() if step.waits is not None)

    def every(self) -> Iterator[Step]:
        for step in self.steps:
            yield from step.every()


def notable(steps: Sequence[Step], most: int) -> Iterator[tuple[Step | None, int]]:
    """Steps, of many alike only the first, the last, and those that did not simply succeed; and how many are left out."""
    if len(steps) <= most:
        yield from ((step, 0) for step in steps)
        return
    left_out, kept = 0, 0
    for position, step in enumerate(steps):
        edge = position < 3 or position >= len(steps) - 2
        if edge or (step.status != "done" and kept < most):
            kept += not edge
            if left_out:
                yield None, left_out
                left_out = 0
            yield step, 0
        else:
            left_out += 1
