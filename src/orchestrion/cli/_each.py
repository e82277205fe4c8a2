"""A batch: one run for each row of a file, continued where it was stopped."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from orchestrion.app import App, Chosen, Row, RowFile, open_rows
from orchestrion.core import Json, Quarantined, RequestStatus, Run, RunStatus, TransientError

from ._terminal import COMPLETED, FAULTED, SYMBOLS, WAITING, err, out, print_json

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Rows in hand for each run that may be in memory: enough that none waits for the file."""
MOST_ASKED = 1000
LOOK_S = 0.5
"""How often news from other processes is looked for, an answer or a cancel, and runs that nobody has in hand."""


@dataclass(kw_only=True)
class Batch:
    app: App
    chosen: Chosen
    file: RowFile
    name: str
    subject: str
    statuses: Counter[RunStatus] = field(default_factory=Counter[RunStatus])
    problems: Counter[str] = field(default_factory=Counter[str])
    quarantined: list[Quarantined] = field(default_factory=list[Quarantined])

    @classmethod
    async def open(
        cls, app: App, chosen: Chosen, path: Path, overrides: Mapping[str, str], *, again: bool, subject: str
    ) -> "Batch":
        """The batch of this file and version: a new one, the one begun before, or (`again`) another one."""
        settings = app.project.settings.batches
        document = chosen.document
        file = open_rows(path, document, settings.get(document.name) or settings.get(document.id), overrides)
        name = await _generation(app, file.batch, again=again)
        return cls(app=app, chosen=chosen, file=file, name=name, subject=subject)

    async def run(self, *, as_json: bool) -> int:
        """All rows, a bounded number at a time. Returns the exit code."""
        began = self.app.clock.monotonic()
        rows = list(self.file.rows())
        self.quarantined = [
            Quarantined(
                batch=self.name, row=row.number, value=row.value, reasons=row.reasons, created_at=self.app.clock.now()
            )
            for row in rows
            if row.reasons
        ]
        await self.app.journal.quarantine(self.quarantined)
        left = await self._left([row for row in rows if not row.reasons])
        await self.app.engine.take_up()
        listening = asyncio.ensure_future(self._listen())
        try:
            with _progress(len(left), silent=as_json) as advance:
                await self._feed(left, advance)
            await self._finish()
        finally:
            listening.cancel()
        seconds = self.app.clock.monotonic() - began
        if as_json:
            print_json(self._summary(seconds))
        else:
            await self._tell(seconds)
        if self.statuses[RunStatus.FAULTED] or self.statuses[RunStatus.DIVERGED]:
            return FAULTED
        return WAITING if self.statuses[RunStatus.WAITING] else COMPLETED

    async def _left(self, rows: list[Row]) -> list[Row]:
        """Those whose runs have not completed before: to ask for each run again would keep them waiting."""
        completed = await self.app.journal.completed_rows(self.name)
        if completed:
            self.statuses[RunStatus.COMPLETED] += len(completed)
        return [row for row in rows if row.number not in completed]

    async def _feed(self, rows: list[Row], advance: "Advance") -> None:
        places = asyncio.Semaphore(IN_FLIGHT * self.app.project.settings.limits.concurrency)
        async with asyncio.TaskGroup() as group:
            for row in rows:
                await places.acquire()
                group.create_task(self._one(row, places, advance))

    async def _one(self, row: Row, places: asyncio.Semaphore, advance: "Advance") -> None:
        try:
            run = await self.app.start(
                self.chosen,
                row.value,
                start_key=f"batch:{self.name}:{row.number}",
                batch=self.name,
                row=row.number,
                subject=self.subject,
            )
            self._count(run if run.status.ended else await self.app.engine.settle(run.id))
            advance()
        finally:
            places.release()

    def _count(self, run: Run) -> None:
        self.statuses[run.status] += 1
        if isinstance(run.problem, Mapping):
            self.problems[str(run.problem.get("code") or run.problem.get("title"))] += 1

    async def _listen(self) -> None:
        """Nobody else can advance the store's runs as long as this process has it."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.app.engine.notice()
                await self.app.engine.take_up()
            except TransientError as error:
                log.warning("News cannot be looked for: %s", error)

    async def _finish(self) -> None:
        """Until what events started, and what an earlier process left behind, has come to rest too."""
        await self.app.engine.calm()
        while await self.app.engine.take_up():
            await self.app.engine.calm()

    def _summary(self, seconds: float) -> dict[str, Json]:
        return {
            "batch": self.name,
            "rows": sum(self.statuses.values()) + len(self.quarantined),
            "statuses": {status.value: count for status, count in self.statuses.items()},
            "problems": dict(self.problems),
            "quarantined": [
                {"row": row.row, "reasons": list(row.reasons), "value": row.value} for row in self.quarantined
            ],
            "seconds": round(seconds, 3),
        }

    async def _tell(self, seconds: float) -> None:
        out.print(f"{self.file.path.name} through {self.file.document.id}", markup=False)
        table = Table()
        table.add_column("ended as")
        table.add_column("runs", justify="right")
        for status, count in sorted(self.statuses.items()):
            table.add_row(SYMBOLS[status], f"{count:,}")
        if self.quarantined:
            table.add_row("[yellow]! set aside[/]", f"{len(self.quarantined):,}")
        out.print(table)
        for row in self.quarantined[:5]:
            out.print(f"  row {row.row} set aside: {'; '.join(row.reasons)}", markup=False)
        if len(self.quarantined) > 5:
            out.print(f"  … and {len(self.quarantined) - 5} more: --json lists all")
        for problem, count in self.problems.most_common(5):
            out.print(f"  {count:,} x {problem}: orchestrion runs list --status faulted --batch {self.name}")
        asked = len(await self.app.journal.requests(status=RequestStatus.OPEN, limit=MOST_ASKED))
        if asked:
            out.print(f"  {asked:,}{'+' if asked == MOST_ASKED else ''} wait for a person: orchestrion approvals list")
        done = sum(self.statuses.values())
        out.print(f"{done:,} runs in {seconds:.1f} s, {done / max(seconds, 1e-9):,.0f} a second. Batch {self.name}")


async def _generation(app: App, base: str, *, again: bool) -> str:
    """The latest batch of this name; `again` opens the one after it."""
    number = 1
    while await app.journal.count(batch=f"{base}-{number + 1}"):
        number += 1
    name = f"{base}-{number}"
    return f"{base}-{number + 1}" if again and await app.journal.count(batch=name) else name


Advance = Callable[[], None]


@contextmanager
def _progress(total: int, *, silent: bool) -> Generator["Advance"]:
    """A bar for people; a line for each tenth where nobody watches."""
    if silent:
        yield lambda: None
        return
    if not err.is_terminal:
        done = 0

        def line() -> None:
            nonlocal done
            done += 1
            if total >= 10 and done % (total // 10) == 0:
                sys.stderr.write(f"{done:,} of {total:,}\n")

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task: TaskID = progress.add_task("runs", total=total)
        yield lambda: progress.advance(task)
