"""`orchestrion incidents`: what went wrong with models, and what the platform did about it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table

from orchestrion.core import SystemClock, UserError, iso
from orchestrion.journal import DurableJournal
from orchestrion.registry import Incident, Incidents, IncidentStep

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json
from ._versions import say, when


def list_incidents(limit: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            incidents = await incidents_of(stack, project)
            found = await incidents.listed(limit) if incidents else ()
        if as_json:
            print_json([each.to_json() for each in found])
        elif found:
            table = Table(box=None, pad_edge=False)
            for column in ("incident", "what", "model", "since", "until"):
                table.add_column(column, overflow="fold", no_wrap=column in {"incident", "what"})
            for each in found:
                until = when(each.closed_at) if each.closed_at is not None else "[yellow]open[/]"
                table.add_row(each.id, each.kind, f"{each.subject} ({each.target})", when(each.opened_at), until)
            out.print(table)
        else:
            err.print("No incidents: no model is known to be gone, failing or about to retire.")
        return COMPLETED

    execute(work, as_json=as_json)


def show_incident(fragment: str, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            incidents = await incidents_of(stack, project)
            if incidents is None:
                raise UserError("unknown-incident", f"There is no incident {fragment!r}.", hint="Nothing has run yet.")
            incident = await incidents.find(fragment)
            steps = await incidents.steps(incident.id)
        if as_json:
            print_json({**incident.to_json(), "steps": [each.to_json() for each in steps]})
        else:
            _tell(incident, steps)
        return COMPLETED

    execute(work, as_json=as_json)


async def incidents_of(stack: AsyncExitStack, project: Path) -> Incidents | None:
    """The incidents of the project's store; None where nothing has run yet."""
    journal = await journal_of(stack, project)
    return Incidents(journal, SystemClock()) if isinstance(journal, DurableJournal) else None


def _tell(incident: Incident, steps: Sequence[IncidentStep]) -> None:
    state = "open" if incident.closed_at is None else f"over after {incident.closed_at - incident.opened_at:,.1f} s"
    say(f"{incident.kind}: {incident.subject} ({incident.target}), {state}")
    for step in steps:
        say(f"  {iso(step.at)[:19].replace('T', ' ')}  {step.what}")
        if step.run_id is not None:
            say(f"                       run {step.run_id}")
    if incident.failed or incident.followed or incident.unanswered:
        say(
            f"  {incident.failed:,} requests failed, {incident.followed:,} were answered by another model, "
            f"{incident.unanswered:,} by none"
        )
