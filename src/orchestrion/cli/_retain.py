"""`orchestrion store retain` and `vacuum`: what has ended long ago goes, and its space is given back."""

from pathlib import Path

from rich.table import Table

from orchestrion.app import open_journal, retain, retention_of, vacuum_store
from orchestrion.core import Json, Removed, SystemClock
from orchestrion.project import Project

from ._terminal import COMPLETED, SYMBOLS, execute, out, print_json


def retain_store(project: Path, *, dry_run: bool, as_json: bool) -> None:
    async def work() -> int:
        opened = Project.load(project)
        policy = retention_of(opened)
        async with open_journal(opened, mode="join", clock=SystemClock()) as journal:
            removed = await retain(journal, policy, dry_run=dry_run)
        if as_json:
            print_json(_json(removed))
        elif removed.nothing:
            out.print("Nothing is older than `retention` in orchestrion.yaml keeps it.")
        else:
            out.print(_table(removed, dry_run=dry_run))
        return COMPLETED

    execute(work, as_json=as_json)


def _json(removed: Removed) -> dict[str, Json]:
    return {
        "runs": {status.value: number for status, number in removed.runs.items()},
        "events": removed.events,
        "quarantined": removed.quarantined,
        "documents": removed.documents,
        "blobs": removed.blobs,
        "sessions": removed.sessions,
    }


def _table(removed: Removed, *, dry_run: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("would go" if dry_run else "removed")
    table.add_column("", justify="right")
    for status, number in sorted(removed.runs.items()):
        table.add_row(f"runs {SYMBOLS[status]}", f"{number:,}")
    rest = {
        "events": removed.events,
        "rows set aside": removed.quarantined,
        "versions no run names": removed.documents,
        "large values": removed.blobs,
        "sessions": removed.sessions,
    }
    for what, number in rest.items():
        if number:
            table.add_row(what, f"{number:,}")
    return table


def vacuum(project: Path, *, as_json: bool) -> None:
    async def work() -> int:
        before, after = vacuum_store(Project.load(project))
        if as_json:
            print_json({"bytes_before": before, "bytes_after": after})
        else:
            out.print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB after.")
        return COMPLETED

    execute(work, as_json=as_json)
