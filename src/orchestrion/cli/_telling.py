"""Saying how a run stands: to scripts, and to people."""

from collections import deque
from collections.abc import Sequence

from orchestrion.core import Journal, Json, Request, RequestStatus, Run, RunFilter, RunStatus, iso

from ._heard import listeners
from ._terminal import SYMBOLS, err, out

MOST_TOLD = 20


def brief(run: Run) -> dict[str, Json]:
    """What a script needs to know of a run that was just advanced."""
    found: dict[str, Json] = {"id": run.id, "status": run.status}
    if run.status is RunStatus.COMPLETED:
        found["output"] = run.output
    elif run.problem is not None:
        found["problem"] = run.problem
    return found


async def tell(journal: Journal, run: Run) -> None:
    """Say how a run ended, or for what it waits and how to go on."""
    err.print(f"{SYMBOLS[run.status]}  {run.namespace}/{run.workflow} {run.version}  [dim]{run.id}[/]")
    if run.status is RunStatus.COMPLETED:
        out.print_json(data=run.output)
        return
    if isinstance(run.problem, dict):
        err.print(str(run.problem.get("detail") or run.problem.get("title")), markup=False)
        if run.problem.get("instance"):
            err.print(f"  at {run.problem['instance']}", markup=False)
        if run.problem.get("hint"):
            err.print(f"  {run.problem['hint']}", markup=False)
        err.print(f"  orchestrion runs show {run.id}")
        return
    for request in await _asked(journal, run):
        err.print(f"waits for {request.question.role or request.question.user or 'a person'}: ", end="")
        err.print(request.question.title, markup=False)
        err.print(f"  orchestrion approvals show {request.id}")
    if not run.status.ended:
        for words in await listeners(journal, run):
            err.print(f"listens for {words}; `orchestrion work` goes on with it when one comes", markup=False)
    if run.wake_at is not None:
        err.print(f"waits until {iso(run.wake_at)}; `orchestrion work` goes on with it then")


async def _asked(journal: Journal, run: Run) -> Sequence[Request]:
    """What people are asked by this run and by those it waits for: the first few, whatever else the store holds."""
    found: list[Request] = []
    tree = deque([run.id])
    while tree and len(found) < MOST_TOLD:
        run_id = tree.popleft()
        found += await journal.requests(run_id=run_id, status=RequestStatus.OPEN, limit=MOST_TOLD)
        inner = await journal.runs(RunFilter(parent_id=run_id, status=[RunStatus.WAITING], limit=MOST_TOLD))
        tree.extend(child.id for child in inner)
    return found[:MOST_TOLD]
