"""Doing something to a run, whether or not another process advances it."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from orchestrion.app import App, open_app
from orchestrion.core import Run, UserError

from ._telling import brief, tell
from ._terminal import err, exit_code, print_json

_BY_ANOTHER = "The process that has the store goes on with it."
_AT_NEXT_START = "It is carried out when a process next starts on this store."


async def change(
    project: Path, run_id: str, act: Callable[[App], Awaitable[object]], *, as_json: bool, begun_elsewhere: bool = False
) -> int:
    """Do it, and go on with the run here; or leave that to the process that has the store.

    `begun_elsewhere`: do it also where open runs of another release keep this one from starting.
    """
    async with AsyncExitStack() as stack:
        said = ""
        try:
            app = await stack.enter_async_context(open_app(project))
            advances = True
        except UserError as error:
            later = {"store-in-use": _BY_ANOTHER} | ({"semantics-unknown": _AT_NEXT_START} if begun_elsewhere else {})
            if error.code not in later:
                raise
            said = later[error.code]
            app = await stack.enter_async_context(open_app(project, mode="join"))
            advances = False
        await act(app)
        run = await settled(app, run_id) if advances else await app.journal.run(run_id)
        if run is None:
            raise UserError("unknown-run", f"There is no run {run_id!r}.")
        if as_json:
            print_json(brief(run))
        elif advances:
            await tell(app.journal, run)
        else:
            err.print(f"Recorded. {said}")
        return exit_code(run) if advances else 0


async def settled(app: App, run_id: str) -> Run:
    """The run at the root of the tree, once it and everything in it has ended or waits."""
    run = await app.engine.settle(run_id)
    return run if run.root_id is None else await app.engine.settle(run.root_id)


async def report(app: App, run: Run, *, as_json: bool) -> int:
    """Wait for a run that was set going, and say how it ended."""
    ended = await app.engine.settle(run.id)
    if as_json:
        print_json(brief(ended))
    else:
        await tell(app.journal, ended)
    return exit_code(ended)
