"""`orchestrion work`: advance whatever can be advanced."""

from pathlib import Path

from orchestrion.app import open_app
from orchestrion.core import RunFilter, RunStatus

from ._terminal import SYMBOLS, err, execute

POLL_S = 0.5


def work(project: Path) -> None:
    async def go() -> int:
        async with open_app(project) as app:
            counts = await app.journal.count()
            open_runs = sum(count for status, count in counts.items() if not status.ended)
            err.print(f"{open_runs:,} runs are open. Ctrl-C pauses.")
            advanced: set[str] = set()
            async for run in app.engine.follow(POLL_S):
                advanced.add(run.id)
                err.print(f"{SYMBOLS[run.status]}  {run.namespace}/{run.workflow}  [dim]{run.id}[/]")
            faulted = await app.journal.runs(RunFilter(status=[RunStatus.FAULTED], limit=1))
            return 1 if faulted and faulted[0].id in advanced else 0

    execute(go, as_json=False)
