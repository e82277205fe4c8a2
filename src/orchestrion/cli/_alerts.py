"""`orchestrion alerts`: what was out of bounds."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table

from orchestrion.app import Alert, AlertBook
from orchestrion.core import SystemClock, UserError, iso
from orchestrion.journal import DurableJournal

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json, user_name


def list_alerts(limit: int, *, everything: bool, project: Path, as_json: bool) -> None:
    async def work() -> int:
        found: Sequence[Alert] = ()
        async with AsyncExitStack() as stack:
            book = await _book(stack, project)
            if book is not None:
                found = await book.listed(limit) if everything else list(reversed(await book.current()))[:limit]
        if as_json:
            print_json([each.to_json() for each in found])
        elif found:
            table = Table(box=None, pad_edge=False)
            table.add_column("alert", no_wrap=True, min_width=13)
            for column in ("rule", "what", "since", "state"):
                table.add_column(column, overflow="fold", no_wrap=column == "state")
            for each in found:
                table.add_row(each.id[:13], each.rule, each.sentence, iso(each.opened_at)[:16], _state(each))
            out.print(table)
        else:
            err.print("No alert is open. Rules stand under `alerts` in orchestrion.yaml; --all lists earlier ones.")
        return COMPLETED

    execute(work, as_json=as_json)


def show_alert(fragment: str, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            alert = await (await _required(stack, project)).find(fragment)
        if as_json:
            print_json(alert.to_json())
        else:
            _tell(alert)
        return COMPLETED

    execute(work, as_json=as_json)


def acknowledge_alert(fragment: str, user: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            book = await _required(stack, project)
            alert = await book.acknowledge(await book.find(fragment), user_name(user))
        if as_json:
            print_json(alert.to_json())
        else:
            err.print("[green]✓[/] You look after it.")
        return COMPLETED

    execute(work, as_json=as_json)


async def _book(stack: AsyncExitStack, project: Path) -> AlertBook | None:
    journal = await journal_of(stack, project)
    return AlertBook(journal, SystemClock()) if isinstance(journal, DurableJournal) else None


async def _required(stack: AsyncExitStack, project: Path) -> AlertBook:
    book = await _book(stack, project)
    if book is None:
        raise UserError("unknown-alert", "Nothing has run here yet, so there are no alerts.")
    return book


def _tell(alert: Alert) -> None:
    out.print(alert.sentence, markup=False, soft_wrap=True)
    out.print(f"  rule {alert.rule}, {_state(alert)}, since {iso(alert.opened_at)[:19]} UTC", markup=False)
    if alert.cleared_at is not None:
        out.print(f"  cleared at {iso(alert.cleared_at)[:19]} UTC", markup=False)
    if alert.run:
        out.print(f"  told by the run {alert.run}", markup=False)
    elif alert.problem:
        out.print(f"  nobody was told: {alert.problem}", markup=False)
    for run in reversed(alert.runs):
        out.print(f"  behind it: {run}", markup=False)


def _state(alert: Alert) -> str:
    if alert.cleared_at is not None:
        return "cleared"
    return f"acknowledged by {alert.acknowledged_by}" if alert.acknowledged_by else "open"
