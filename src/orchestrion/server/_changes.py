"""What changed in the runs of a project, numbered, for as long as it is remembered. The journal has the rest."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrion.app import App
from orchestrion.core import Json, OrchestrionError, RunFilter, new_id

from ._run_shapes import approval, run_summary

log = logging.getLogger(__name__)

REMEMBERED = 10_000
PAUSE_S = 0.1
"""News of so long are looked up together."""
AT_ONCE = 200
MOST_REQUESTS = 20
"""Of one run, the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A run or a request as it was after a change."""

    number: int
    kind: str
    content: Json


class Changes:
    """Filled by one task from the journal, whoever looks on and however slowly."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.id = new_id()[-12:]
        """Of this process: numbers of another one mean nothing here."""
        self._kept: deque[Change] = deque(maxlen=REMEMBERED)
        self._last = 0
        self._news = asyncio.Condition()

    @property
    def last(self) -> int:
        return self._last

    async def run(self) -> None:
        """Look up what moves, until cancelled."""
        with self._app.feed.follow() as follower:
            while True:
                await follower.news.wait()
                moved, lost = follower.take()
                try:
                    await self._look_up(moved, lost=lost)
                except OrchestrionError as error:
                    log.warning("News of %d runs are lost: %s", len(moved), error)
                    self._forget()
                await asyncio.sleep(PAUSE_S)

    async def _look_up(self, moved: Mapping[str, bool], *, lost: bool) -> None:
        ids = list(moved)
        found: list[tuple[str, Json]] = []
        for some in (ids[at : at + AT_ONCE] for at in range(0, len(ids), AT_ONCE)):
            runs = await self._app.journal.runs(RunFilter(ids=some, bare=True, limit=AT_ONCE))
            for run in reversed(runs):
                log.info("%s/%s is %s", run.namespace, run.workflow, run.status.value, extra={"run": run.id})
                found.append(("run", run_summary(run)))
        for run_id in (run_id for run_id, asked in moved.items() if asked):
            requests = await self._app.journal.requests(run_id=run_id)
            found += (("approval", approval(request)) for request in requests[-MOST_REQUESTS:])
        if lost:
            self._forget()
        async with self._news:
            for kind, content in found:
                self._last += 1
                self._kept.append(Change(number=self._last, kind=kind, content=content))
            self._news.notify_all()

    def _forget(self) -> None:
        """Whoever is behind is told to look anew."""
        self._kept.clear()
        self._last += 1

    def since(self, number: int) -> Sequence[Change] | None:
        """What came after a number; None where that is not remembered any more."""
        first = self._kept[0].number if self._kept else self._last + 1
        if number > self._last or number + 1 < first:
            return None
        return [change for change in self._kept if change.number > number] if number < self._last else ()

    async def wait(self, number: int, timeout_s: float) -> bool:
        """Whether something came after a number within the time."""
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: self._last > number)
        except TimeoutError:
            return False
        return True
