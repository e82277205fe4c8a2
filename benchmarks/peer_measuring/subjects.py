"""Who is measured, and with which settings each is tried before its best are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["file", "postgres"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to run a peer under load."""

    concurrency: int
    """Workflows at a time, in each process."""
    processes: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        words = [f"{self.concurrency} at once"]
        words += [f"{name} {value}" for name, value in self.settings.items()]
        return ", ".join(words) + (f", {self.processes} processes" if self.processes > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One engine on one store."""

    name: str
    kind: Kind
    environment: str
    program: str
    candidates: Sequence[Candidate]
    """The likeliest first: a quick round tries the first two."""
    where: Mapping[str, Any] = field(default_factory=dict[str, Any])
    alike: bool = True
    """Whether each step is recorded before the next one begins."""
    own_store: bool = False
    """Whether it keeps its record in a store that it brings with it, and not in SQLite or PostgreSQL."""

    @property
    def ours(self) -> bool:
        return self.environment == "ours"


def _threads(concurrency: int, processes: int = 1, **more: Any) -> Candidate:
    return Candidate(concurrency=concurrency, processes=processes, settings={"mode": "threads", **more})


def _loop(concurrency: int, processes: int = 1, **more: Any) -> Candidate:
    return Candidate(concurrency=concurrency, processes=processes, settings={"mode": "loop", **more})


def _temporal(*, local: bool) -> list[Candidate]:
    return [
        Candidate(concurrency=concurrency, processes=processes, settings={"local": local})
        for concurrency, processes in ((50, 1), (200, 1), (50, 2), (10, 1))
    ]


OURS = [Candidate(concurrency=200), Candidate(concurrency=50), Candidate(concurrency=500)]

SUBJECTS: Sequence[Subject] = (
    Subject(
        name="orchestrion-sqlite",
        kind="file",
        environment="ours",
        program="orchestrion_steps.py",
        candidates=OURS,
        where={"declared": "none"},
    ),
    Subject(
        name="orchestrion-sqlite-governed",
        kind="file",
        environment="ours",
        program="orchestrion_steps.py",
        candidates=OURS,
        where={"declared": "write"},
    ),
    Subject(
        name="dbos-sqlite",
        kind="file",
        environment="dbos",
        program="dbos_steps.py",
        candidates=[_threads(4), _loop(16), _threads(1), _threads(16), _threads(4, 2)],
    ),
    Subject(
        name="langgraph-sqlite",
        kind="file",
        environment="langgraph",
        program="langgraph_steps.py",
        candidates=[
            _threads(8, graphs=8),
            _threads(4, 2, graphs=4),
            _threads(2, graphs=1),
            _loop(32, graphs=8),
            _loop(16, 2, graphs=8),
        ],
    ),
    Subject(
        name="restate",
        kind="file",
        environment="restate",
        program="restate_steps.py",
        own_store=True,
        candidates=[
            Candidate(concurrency=200),
            Candidate(concurrency=200, processes=2),
            Candidate(concurrency=500),
            Candidate(concurrency=50),
        ],
    ),
    Subject(
        name="temporal",
        kind="file",
        environment="temporal",
        program="temporal_steps.py",
        candidates=_temporal(local=False),
    ),
    Subject(
        name="temporal-local",
        kind="file",
        environment="temporal",
        program="temporal_steps.py",
        candidates=_temporal(local=True),
        alike=False,
    ),
    Subject(
        name="orchestrion-postgres",
        kind="postgres",
        environment="ours",
        program="orchestrion_steps.py",
        candidates=OURS,
        where={"declared": "none"},
    ),
    Subject(
        name="dbos-postgres",
        kind="postgres",
        environment="dbos",
        program="dbos_steps.py",
        candidates=[_threads(8), _threads(16, 2), _threads(8, 2), _threads(32), _loop(32)],
    ),
    Subject(
        name="langgraph-postgres",
        kind="postgres",
        environment="langgraph",
        program="langgraph_steps.py",
        candidates=[_loop(32, graphs=8), _loop(16, 2, graphs=8), _loop(32, 2, graphs=8), _threads(8, graphs=8)],
    ),
)
