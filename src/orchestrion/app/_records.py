"""The records of a run and of those it started."""

from collections.abc import Mapping, Sequence

from orchestrion.core import Entry, EntryKind, Journal, Run


async def records_of(journal: Journal, run: Run) -> list[tuple[Run, Sequence[Entry]]]:
    """The run's own first; a run that it started follows the entries that say so."""
    entries = await journal.entries(run.id)
    found: list[tuple[Run, Sequence[Entry]]] = [(run, entries)]
    for entry in entries:
        for told in (entry.output, entry.why) if entry.kind is EntryKind.CHILD else ():
            child = told.get("run") if isinstance(told, Mapping) else None
            if isinstance(child, str) and (inner := await journal.run(child)) is not None:
                found += await records_of(journal, inner)
    return found
