"""`orchestrion replay`: runs of the past again with another version, and what it does otherwise."""

import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from orchestrion.app import COMPARABLE, Replayed, ReplayedRun, open_app, replay, resolve
from orchestrion.core import Json, RunStatus, UserError
from orchestrion.oversight import Likeness
from orchestrion.registry import short

from ._phrases import counted, printable
from ._terminal import COMPLETED, FAULTED, err, execute, out, print_json, user_name

EXAMPLES = 3
"""Runs of each group that are shown with what is otherwise."""
COLOURS = {Likeness.SAME: "green", Likeness.WORDS: "cyan", Likeness.ACTION: "bold yellow", Likeness.ASKS: "magenta"}


def replay_runs(
    workflow: str,
    version: str,
    last: int,
    statuses: Sequence[str],
    *,
    ask_models: bool,
    project: Path,
    user: str | None,
    as_json: bool,
) -> None:
    async def work() -> int:
        wanted = [_status(each) for each in statuses] or COMPARABLE
        async with AsyncExitStack() as stack:
            app = await stack.enter_async_context(open_app(project, mode="join"))
            bundle = await resolve(app, version, workflow, user_name(user))
            found = await replay(
                app, bundle, last=last, statuses=wanted, ask_models=ask_models, tell=_progress(as_json)
            )
        if as_json:
            print_json(_json(found))
        else:
            _tell(found)
        return FAULTED if found.differs else COMPLETED

    execute(work, as_json=as_json)


def _status(name: str) -> RunStatus:
    """Raises: UserError `bad-status`."""
    try:
        found = RunStatus(name)
    except ValueError:
        found = None
    if found is None or not found.ended:
        known = ", ".join(each for each in RunStatus if each.ended)
        raise UserError("bad-status", f"{name!r} is no status in which runs end.", hint=f"There are: {known}.")
    return found


def _progress(silent: bool) -> Callable[[int, int], None]:
    def tell(done: int, of: int) -> None:
        if not silent and of >= 50 and done % (of // 10) == 0:
            sys.stderr.write(f"{done:,} of {of:,}\n")

    return tell


def _json(found: Replayed) -> Json:
    return {
        "workflow": found.bundle.workflow,
        "version": found.bundle.digest,
        "differs": found.differs,
        "groups": {each.value: len(found.group(each)) for each in Likeness},
        "runs": [
            {
                "run": each.run.id,
                "likeness": each.likeness,
                "differences": [{"kind": one.kind, "words": one.words} for one in each.differences],
            }
            for each in found.runs
        ],
    }


def _tell(found: Replayed) -> None:
    runs = counted(len(found.runs), "run")
    out.print(f"{found.bundle.workflow}: {runs} again with {short(found.bundle.digest)}", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("runs", justify="right")
    table.add_column("for example", no_wrap=True)
    groups = [(each, found.group(each)) for each in Likeness]
    for each, group in groups:
        if group:
            table.add_row(Text(each.value, style=COLOURS.get(each, "red")), f"{len(group):,}", group[0].run.id)
    out.print(table)
    for each, group in reversed(groups):
        for one in group[:EXAMPLES] if each is not Likeness.SAME else ():
            _show(one)
    err.print("Nothing was performed.")


def _show(one: ReplayedRun) -> None:
    out.print(f"{one.run.id}  {one.likeness.value}", markup=False)
    for each in one.differences:
        out.print(f"  {printable(each.words)}", markup=False, soft_wrap=True)
