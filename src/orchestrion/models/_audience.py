"""Listeners: who follows answers while they are made. What they hear is kept nowhere; the record holds the whole answer."""

import asyncio
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

ROOM = 1024
"""Chunks that wait for a listener. What comes beyond is lost to it, and it is told how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of an answer that is being made."""

    run_id: str
    key: str
    """Where the answer will stand in the run's record."""
    attempt: int
    kind: Literal["reset", "text", "json", "lost"]
    """`reset`: an attempt begins, what was heard at this key no longer counts. `json`: a piece of a structured answer.

    `lost`: the listener was too slow, and `lost` chunks are missing here.
    """
    text: str = ""
    lost: int = 0


@dataclass(slots=True, kw_only=True)
class Listener:
    """Chunks as they come; `async for` ends when listening ends. Whoever speaks never waits for it."""

    run_id: str | None
    _waiting: deque[Chunk] = field(default_factory=deque[Chunk])
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: int = 0
    _over: bool = False

    def hear(self, chunk: Chunk) -> None:
        if self.run_id not in {None, chunk.run_id}:
            return
        if len(self._waiting) >= ROOM:
            self._lost += 1
            return
        if self._lost:
            told = Chunk(run_id=chunk.run_id, key=chunk.key, attempt=chunk.attempt, kind="lost", lost=self._lost)
            self._lost = 0
            self._waiting.append(told)
        self._waiting.append(chunk)
        self._news.set()

    def end(self) -> None:
        """What waits is still heard."""
        self._over = True
        self._news.set()

    def __aiter__(self) -> "Listener":
        return self

    async def __anext__(self) -> Chunk:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Speaks one answer to everybody who listens to its run."""

    audience: "Audience"
    run_id: str
    key: str

    def begin(self) -> "Speech | None":
        """A new attempt; None when nobody listens."""
        return self.audience.begin(self.run_id, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """One attempt at an answer."""

    audience: "Audience"
    run_id: str
    key: str
    attempt: int

    def say(self, text: str, kind: Literal["text", "json"] = "text") -> None:
        if text:
            self._tell(kind, text)

    def reset(self) -> None:
        self._tell("reset", "")

    def _tell(self, kind: Literal["reset", "text", "json"], text: str) -> None:
        chunk = Chunk(run_id=self.run_id, key=self.key, attempt=self.attempt, kind=kind, text=text)
        for listener in self.audience.listeners:
            listener.hear(chunk)


class Audience:
    """Everybody in this process who follows answers."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._attempts: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def listen(self, run_id: str | None = None) -> Generator[Listener]:
        """Follow a run, or all of them, from now on."""
        listener = Listener(run_id=run_id)
        self.listeners.append(listener)
        try:
            yield listener
        finally:
            self.listeners.remove(listener)
            listener.end()
            if not self.listeners:
                self._attempts.clear()

    def begin(self, run_id: str, key: str) -> Speech | None:
        """An attempt at the answer of this key. It says `reset` first: another process may have begun it before."""
        if not any(listener.run_id in {None, run_id} for listener in self.listeners):
            return None
        self._attempts[run_id, key] += 1
        speech = Speech(audience=self, run_id=run_id, key=key, attempt=self._attempts[run_id, key])
        speech.reset()
        return speech
