"""`orchestrion schedules`: what runs by the calendar, when, and pausing it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from orchestrion.app import App, fire, open_app, open_rooms, pause, planned_on, resume, scheduled
from orchestrion.core import Json, Run, ScheduleState, SystemClock, UserError, iso
from orchestrion.engine import Planned, upcoming

from ._change import report
from ._runs import journal_of
from ._telling import brief
from ._terminal import err, execute, out, print_json, user_name

CLOCK = SystemClock()


def list_schedules(count: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            rooms = await stack.enter_async_context(open_rooms(project))
            rooms.checked.require_sound()
            journal = await journal_of(stack, project)
            states = {state.workflow: state for state in await journal.schedules()} if journal else {}
            known = planned_on(rooms.checked.shelf)
            runs = {
                state.last_run_id: run
                for state in states.values()
                if journal and state.last_run_id and (run := await journal.run(state.last_run_id)) is not None
            }
        if as_json:
            print_json([_json(planned, states.get(planned.workflow), runs, count) for planned in known])
        elif known:
            out.print(_table(known, states, runs, count))
            err.print("[dim]They fire while `orchestrion work` runs.[/]")
        else:
            err.print("No workflow of this project has a schedule. Give one a `schedule:` with cron, every or after.")
        return 0

    execute(work, as_json=as_json)


def when(at: float, timezone: str) -> str:
    """A time as the schedule's own clock shows it."""
    return datetime.fromtimestamp(at, ZoneInfo(timezone)).strftime("%a %Y-%m-%d %H:%M:%S")


def _next(planned: Planned, state: ScheduleState | None, count: int) -> list[float]:
    if state is not None and state.paused_by is not None:
        return []
    return upcoming(planned.schedule, state, CLOCK.now(), count)


def _table(known: list[Planned], states: Mapping[str, ScheduleState], runs: Mapping[str, Run], count: int) -> Table:
    """Ids whole, so that they can be copied."""
    table = Table(box=None, pad_edge=False)
    table.add_column("schedule", overflow="fold", min_width=41)
    table.add_column("next", overflow="fold")
    for planned in known:
        state = states.get(planned.workflow)
        zone = planned.schedule.timezone
        times = [when(at, zone) for at in _next(planned, state, count)]
        told = Text(planned.workflow, style="bold")
        told.append(f"\n  {planned.schedule.words}\n  {zone}, missed: {planned.schedule.missed}", style="not bold")
        told.append(f"\n  last: {_last(planned, state, runs)}\n", style="not bold")
        table.add_row(told, Text("\n".join(times) if times else _why_not(state, runs)))
    return table


def _last(planned: Planned, state: ScheduleState | None, runs: Mapping[str, Run]) -> str:
    if state is None or state.last_at is None:
        return "never"
    run = runs.get(state.last_run_id or "")
    said = f" {run.status}" if run else ""
    return f"{when(state.last_at, planned.schedule.timezone)}{said}\n  {state.last_run_id}"


def _why_not(state: ScheduleState | None, runs: Mapping[str, Run]) -> str:
    if state is None:
        return "as soon as `orchestrion work` runs"
    if state.paused_by is not None:
        return f"paused by {state.paused_by}"
    return "when the last run has ended" if state.last_run_id in runs else "as soon as `orchestrion work` runs"


def _json(planned: Planned, state: ScheduleState | None, runs: Mapping[str, Run], count: int) -> Json:
    run = runs.get(state.last_run_id or "") if state else None
    return {
        "workflow": planned.workflow,
        "digest": planned.digest,
        "schedule": planned.schedule.words,
        "timezone": planned.schedule.timezone,
        "missed": planned.schedule.missed,
        "last_at": iso(state.last_at) if state and state.last_at is not None else None,
        "last_run_id": state.last_run_id if state else None,
        "last_status": run.status if run else None,
        "next": [iso(at) for at in _next(planned, state, count)],
        "paused_by": state.paused_by if state else None,
    }


def pause_schedule(workflow: str, user: str | None, *, project: Path, as_json: bool) -> None:
    _change(workflow, user, project=project, as_json=as_json, pausing=True)


def resume_schedule(workflow: str, user: str | None, *, project: Path, as_json: bool) -> None:
    _change(workflow, user, project=project, as_json=as_json, pausing=False)


async def _open(stack: AsyncExitStack, project: Path) -> tuple[App, bool]:
    """The app, and whether it advances runs; it only joins where another process does that."""
    try:
        return await stack.enter_async_context(open_app(project)), True
    except UserError as error:
        if error.code != "store-in-use":
            raise
    return await stack.enter_async_context(open_app(project, mode="join")), False


def _change(workflow: str, user: str | None, *, project: Path, as_json: bool, pausing: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app, _ = await _open(stack, project)
            name = (await scheduled(app, workflow)).workflow
            if pausing:
                state = await pause(app.journal, app.clock, name, user_name(user))
            else:
                state = await resume(app.journal, app.clock, name)
        if as_json:
            print_json({"workflow": name, "paused_by": state.paused_by})
        else:
            err.print(f"{name} fires no more until it is resumed." if pausing else f"{name} fires again from now on.")
        return 0

    execute(work, as_json=as_json)


def fire_schedule(workflow: str, user: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app, advances = await _open(stack, project)
            run = await fire(app, workflow, subject=user_name(user), advance=advances)
            if advances:
                return await report(app, run, as_json=as_json)
            if as_json:
                print_json(brief(run))
            else:
                err.print(f"Run {run.id} is started. The process that has the store goes on with it.")
            return 0

    execute(work, as_json=as_json)
