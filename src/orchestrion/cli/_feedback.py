"""`orchestrion feedback`: what people say of runs."""

from contextlib import AsyncExitStack
from pathlib import Path

from orchestrion.core import UserError, iso

from ._runs import journal_of, required
from ._said import book_of
from ._terminal import COMPLETED, err, execute, print_json, read_value, user_name


def give_feedback(
    fragment: str,
    *,
    good: bool,
    bad: bool,
    correct: str | None,
    note: str | None,
    user: str | None,
    project: Path,
    as_json: bool,
) -> None:
    async def work() -> int:
        if good and bad:
            raise UserError("two-thumbs", "A run did well or it did not.", hint="Say --good or --bad.")
        correction = read_value(correct, "The correction")
        async with AsyncExitStack() as stack:
            journal, run = await required(await journal_of(stack, project), fragment)
            given = await book_of(journal).give(
                run,
                by=user_name(user),
                thumb="good" if good else "bad" if bad else None,
                correction=correction,
                note=note,
            )
        if as_json:
            print_json({**given.to_json(), "at": iso(given.at)})
        else:
            err.print(f"[green]✓[/] Kept with the run {run.id}.")
            if correction is not None:
                err.print("  It is a case for evaluations now: cases: [{ corrections: {} }]", markup=False)
        return COMPLETED

    execute(work, as_json=as_json)
