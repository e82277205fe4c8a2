"""Open runs that another release began, and that this one would walk otherwise than they were walked before."""

from collections.abc import Sequence

from orchestrion.core import Journal, UserError


async def foreign_semantics(journal: Journal, semantics: int) -> UserError | None:
    """Why these runs cannot be continued with `semantics`, and what an operator can do about it; None when there are none."""
    known = await journal.open_semantics()
    told = [
        f"{runs.count:,} begun under semantics {number} ({await _named(journal, runs.ids, runs.count)})"
        for number, runs in sorted(known.items())
        if number != semantics
    ]
    if not told:
        return None
    return UserError(
        "semantics-unknown",
        f"This release walks runs by semantics {semantics}, and the store holds open runs that it would walk otherwise than "
        f"they were walked so far: {'; '.join(told)}.",
        hint="Let the release that began them finish them (`orchestrion work`), then start this one; or give up those nobody "
        "needs: `orchestrion runs list --status waiting` shows them, `orchestrion runs cancel RUN` stops one, with this release too.",
    )


async def _named(journal: Journal, ids: Sequence[str], count: int) -> str:
    runs = [await journal.run(run_id) for run_id in ids]
    names = [f"{run.namespace}/{run.workflow} {run.id}" for run in runs if run is not None]
    return ", ".join([*names, *(["..."] if count > len(ids) else [])])
