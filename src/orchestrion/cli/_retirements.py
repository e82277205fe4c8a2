"""`orchestrion retirements`: models that retire soon."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

from orchestrion.app import Standing, Succession

from ._terminal import COMPLETED, err, execute, print_json
from ._versions import app_of, say


def list_retirements(*, project: Path, as_json: bool) -> NoReturn:
    _retirements(look=False, project=project, as_json=as_json)


def run_retirements(*, project: Path, as_json: bool) -> NoReturn:
    _retirements(look=True, project=project, as_json=as_json)


def _retirements(*, look: bool, project: Path, as_json: bool) -> NoReturn:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            succession = Succession(await app_of(stack, project))
            if look:
                await succession.look(by_hand=True)
            found = await succession.standings()
        if as_json:
            print_json([each.to_json() for each in found])
            return COMPLETED
        for each in found:
            _tell(each)
        if not found:
            err.print("No model that new runs ask retires within 30 days.")
        return COMPLETED

    execute(work, as_json=as_json)


def _tell(standing: Standing) -> None:
    days = f"in {standing.days_left} days" if standing.days_left > 0 else "past"
    by = f" by {', '.join(standing.used_by)}" if standing.used_by else ""
    say(f"{standing.model} retires on {standing.retires} ({days}); {standing.workflow} asks it{by}")
    say(f"  {standing.stage}: {standing.what}")
