"""Checks of a journal: schedules move on together with the runs they start, for whoever saw the latest change."""

import asyncio
from dataclasses import replace

from orchestrion.core import Journal, RunStatus, ScheduleState

from ._journal_materials import HandClock, a_run, begun, refused


def a_schedule(clock: HandClock, **changes: object) -> ScheduleState:
    state = ScheduleState(workflow="support/triage", digest="d1", next_at=clock.now() + 60, updated_at=clock.now())
    return replace(state, **changes)


async def the_schedule(journal: Journal) -> ScheduleState:
    [state] = await journal.schedules()
    return state


async def check_a_schedule_comes_back_as_it_was_kept(journal: Journal, clock: HandClock) -> None:
    assert await journal.schedules() == []
    state = a_schedule(clock, next_at=clock.now() + 0.25, last_at=clock.now(), last_run_id="run-1", paused_by="ana")
    other = a_schedule(clock, workflow="support/other", next_at=None)
    assert await journal.reschedule(state) == []
    assert await journal.reschedule(other) == []
    assert await journal.schedules() == [replace(other, revision=1), replace(state, revision=1)]


async def check_a_firing_starts_its_runs_and_moves_the_schedule(journal: Journal, clock: HandClock) -> None:
    await journal.reschedule(a_schedule(clock))
    state = await the_schedule(journal)
    runs = [a_run(f"run-{i}", clock, start_key=f"schedule:d1:{i}") for i in range(3)]
    moved = replace(state, next_at=clock.now() + 120, last_at=clock.now() + 60, last_run_id="run-2")
    assert await journal.reschedule(moved, runs) == runs
    assert await the_schedule(journal) == replace(moved, revision=2)
    assert await journal.runnable(clock.now(), 10) == ["run-0", "run-1", "run-2"]


async def check_who_did_not_see_the_latest_change_changes_nothing(journal: Journal, clock: HandClock) -> None:
    await journal.reschedule(a_schedule(clock))
    seen = await the_schedule(journal)
    await journal.reschedule(replace(seen, paused_by="ana"))
    late = replace(seen, next_at=clock.now() + 120)
    assert await journal.reschedule(late, [a_run("run-1", clock, start_key="k")]) is None
    assert await journal.reschedule(a_schedule(clock), [a_run("run-2", clock)]) is None
    assert await journal.reschedule(a_schedule(clock, workflow="support/other", revision=1)) is None
    assert await journal.count() == {}
    assert await the_schedule(journal) == replace(seen, paused_by="ana", revision=2)


async def check_a_firing_that_was_started_before_is_joined(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1", start_key="schedule:d1:1")
    await journal.reschedule(a_schedule(clock))
    state = await the_schedule(journal)
    again = a_run("run-2", clock, start_key="schedule:d1:1")
    new = a_run("run-3", clock, start_key="schedule:d1:2")
    accepted = await journal.reschedule(replace(state, last_run_id="run-3"), [again, new])
    assert accepted is not None
    assert [run.id for run in accepted] == ["run-1", "run-3"]
    assert accepted[0].status is RunStatus.RUNNING
    assert await journal.count() == {RunStatus.RUNNING: 1, RunStatus.PENDING: 1}


async def check_of_changes_at_the_same_time_one_is_made(journal: Journal, clock: HandClock) -> None:
    await journal.reschedule(a_schedule(clock))
    state = await the_schedule(journal)
    tries = [journal.reschedule(replace(state, last_run_id=f"run-{i}"), [a_run(f"run-{i}", clock)]) for i in range(10)]
    made = [i for i, runs in enumerate(await asyncio.gather(*tries)) if runs is not None]
    assert len(made) == 1
    assert await the_schedule(journal) == replace(state, last_run_id=f"run-{made[0]}", revision=2)
    assert await journal.count() == {RunStatus.PENDING: 1}


async def check_a_firing_that_cannot_be_stored_moves_nothing(journal: Journal, clock: HandClock) -> None:
    await journal.reschedule(a_schedule(clock))
    state = await the_schedule(journal)
    runs = [a_run("run-1", clock), a_run("run-2", clock, input={"bad": float("nan")})]
    assert await refused(journal.reschedule(replace(state, last_run_id="run-2"), runs)) == "not-json"
    assert await the_schedule(journal) == state
    assert await journal.count() == {}
