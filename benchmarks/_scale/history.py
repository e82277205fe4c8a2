"""Looking and starting beside many finished runs: `history.py FOLDER` measures the project's store with whatever it holds."""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from measuring import command, make_project, say

from orchestrion.app import open_app
from orchestrion.core import Json, RequestStatus, RunFilter, RunStatus

WORKFLOW = "do:\n  - pause: { set: { done: true } }\n"


async def measure(folder: Path) -> dict[str, Json]:
    """Median milliseconds of each question, and of a run from its start to its end."""
    async with open_app(folder) as app:
        journal = app.journal
        (middle,) = await journal.runs(RunFilter(limit=1))
        naps = await journal.runs(RunFilter(workflow="nap", limit=1))
        parent = naps[0].parent_id if naps else None
        document = app.checked.shelf.named("quick")

        async def start() -> None:
            await app.engine.settle((await app.start(document, {})).id)

        questions: dict[str, Callable[[], Awaitable[object]]] = {
            "list": lambda: journal.runs(RunFilter(limit=20)),
            "list_faulted": lambda: journal.runs(RunFilter(status=[RunStatus.FAULTED], limit=20)),
            "list_two_statuses": lambda: journal.runs(
                RunFilter(status=[RunStatus.WAITING, RunStatus.FAULTED], limit=20)
            ),
            "list_workflow": lambda: journal.runs(RunFilter(workflow="ask", limit=20)),
            "list_qualified": lambda: journal.runs(RunFilter(workflow="scale/ask", limit=20)),
            "list_rare_workflow": lambda: journal.runs(RunFilter(workflow="nothing", limit=20)),
            "list_workflow_status": lambda: journal.runs(
                RunFilter(workflow="ask", status=[RunStatus.FAULTED], limit=20)
            ),
            "list_batch": lambda: journal.runs(RunFilter(batch="batch-0", limit=20)),
            "list_children": lambda: journal.runs(RunFilter(parent_id=parent or "none", limit=20)),
            "list_page": lambda: journal.runs(RunFilter(before_id=middle.id, limit=20)),
            "count": journal.count,
            "count_batch": lambda: journal.count(batch="batch-0"),
            "find_whole": lambda: journal.find(middle.id),
            "find_end": lambda: journal.find(middle.id[-8:]),
            "find_nothing": lambda: journal.find("zzzz"),
            "requests_open": lambda: journal.requests(status=RequestStatus.OPEN),
            "request_fragment": lambda: journal.request(middle.id[-8:]),
            "runnable": lambda: journal.runnable(time.time(), 100),
            "next_wake": journal.next_wake,
            "open_semantics": journal.open_semantics,
            "start_to_end": start,
        }
        return {name: await _median_ms(ask) for name, ask in questions.items()}


async def _median_ms(ask: Callable[[], Awaitable[object]]) -> float:
    took: list[float] = []
    while len(took) < 20 and sum(took) < 1:
        began = time.perf_counter()
        await ask()
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 2)


folder = make_project(Path(sys.argv[1]), quick=WORKFLOW)
figures = asyncio.run(measure(folder))
for name, arguments in {
    "cli_runs_list": ("runs", "list"),
    "cli_approvals_list": ("approvals", "list"),
    "cli_run": ("run", "quick", "--input", "{}"),
}.items():
    figures[name] = round(min(command(folder, *arguments).seconds for _ in range(2)) * 1000, 1)
say(figures)
