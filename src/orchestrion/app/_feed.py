"""News of runs for whoever follows them: only which runs moved, so that nobody who follows slows one. The journal has the rest."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from orchestrion.core import Ask, CloseRequests, EntryKind, Put, Run, Write

MOST_KEPT = 10_000
"""Runs of which a follower that does not look is told in all."""


@dataclass(slots=True, eq=False)
class Follower:
    """Which runs moved since it last looked."""

    run_id: str | None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _moved: dict[str, bool] = field(default_factory=dict[str, bool])
    _lost: bool = False

    def tell(self, run_id: str, *, asked: bool) -> None:
        if run_id in self._moved or len(self._moved) < MOST_KEPT:
            self._moved[run_id] = asked or self._moved.get(run_id, False)
        else:
            self._lost = True
        self.news.set()

    def take(self) -> tuple[dict[str, bool], bool]:
        """What moved, each with whether anything it asks people changed; and whether there was more than is kept."""
        found, lost = self._moved, self._lost
        self._moved, self._lost = {}, False
        self.news.clear()
        return found, lost


class Feed:
    """What moves in the runs of this process."""

    def __init__(self) -> None:
        self._of_all: list[Follower] = []
        self._of_one: dict[str, list[Follower]] = {}

    def moved(self, run_id: str) -> None:
        """A run was accepted or taken up, or came to rest or to its end."""
        self._tell(run_id, asked=False)

    def wrote(self, run: Run, writes: Sequence[Write]) -> None:
        """A run's record has grown."""
        if self._of_all or run.id in self._of_one:
            self._tell(run.id, asked=any(map(_asks, writes)))

    def _tell(self, run_id: str, *, asked: bool) -> None:
        for follower in self._of_all:
            follower.tell(run_id, asked=asked)
        for follower in self._of_one.get(run_id, ()):
            follower.tell(run_id, asked=asked)

    @contextmanager
    def follow(self, run_id: str | None = None) -> Generator[Follower]:
        """Follow a run, or all of them, from now on."""
        follower = Follower(run_id)
        followers = self._of_all if run_id is None else self._of_one.setdefault(run_id, [])
        followers.append(follower)
        try:
            yield follower
        finally:
            followers.remove(follower)
            if run_id is not None and not followers:
                del self._of_one[run_id]


def _asks(write: Write) -> bool:
    return isinstance(write, Ask | CloseRequests) or (isinstance(write, Put) and write.entry.kind is EntryKind.REQUEST)
