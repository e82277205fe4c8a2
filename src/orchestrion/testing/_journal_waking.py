"""Checks of a journal: resting, waking, cancelling, children."""

from dataclasses import replace

from orchestrion.core import (
    Ask,
    Begin,
    CancelRun,
    Journal,
    Message,
    Put,
    RequestStatus,
    RunFilter,
    RunStatus,
    SetRun,
    Tell,
)

from ._journal_materials import HandClock, a_leaf, a_request, a_run, begun, refused, the_run


async def check_a_sleeper_is_woken_by_time(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    assert await journal.next_wake() is None
    assert await journal.rest("run-1", 1, seen_seq=0, wake_at=clock.now() + 60)
    run = await the_run(journal, "run-1")
    assert (run.status, run.wake_at) == (RunStatus.WAITING, clock.now() + 60)
    assert await journal.next_wake() == clock.now() + 60
    assert await journal.runnable(clock.now() + 59, 10) == []
    assert await journal.runnable(clock.now() + 60, 10) == ["run-1"]
    history = await journal.claim("run-1")
    assert history is not None
    assert history.run.wake_at is None
    assert await journal.next_wake() is None


async def check_rest_follows_the_writes_before_it(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    written = journal.write("run-1", 1, [Put(a_leaf("/a"))])
    assert await journal.rest("run-1", 1, seen_seq=0, wake_at=None)
    assert written.done()
    assert await journal.runnable(clock.now() + 1e9, 10) == []


async def check_news_keeps_a_run_awake(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "child")
    await begun(journal, clock, "run-1")
    message = Message(id="m1", key="/do/0/wait#1", kind="child", body={"output": 1})
    await journal.write("child", 1, [Tell("run-1", message)])
    assert not await journal.rest("run-1", 1, seen_seq=0, wake_at=None)
    assert await journal.inbox("run-1", 0) == [replace(message, seq=1)]
    assert await journal.rest("run-1", 1, seen_seq=1, wake_at=None)


async def check_a_sleeper_is_woken_by_a_message(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "child")
    await begun(journal, clock, "run-1")
    await journal.rest("run-1", 1, seen_seq=0, wake_at=clock.now() + 60)
    for number in (1, 2, 1):
        message = Message(id=f"m{number}", key=f"/do/{number}", kind="child", body=None)
        await journal.write("child", 1, [Tell("run-1", message), Tell("unknown", message)])
    assert await journal.runnable(clock.now(), 10) == ["run-1"]
    history = await journal.claim("run-1")
    assert history is not None
    assert history.run.inbox_seq == 2
    assert [(message.id, message.seq) for message in history.messages] == [("m1", 1), ("m2", 2)]
    assert [message.id for message in await journal.inbox("run-1", 1)] == ["m2"]


async def check_a_cancel_wakes_and_keeps_awake(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.rest("run-1", 1, seen_seq=0, wake_at=None)
    run = await journal.cancel("run-1", "ana")
    assert run.cancel_requested_by == "ana"
    assert (await journal.cancel("run-1", "ben")).cancel_requested_by == "ana"
    assert await journal.runnable(clock.now(), 10) == ["run-1"]
    history = await journal.claim("run-1")
    assert history is not None
    assert history.run.cancel_requested_by == "ana"
    assert not await journal.rest("run-1", 2, seen_seq=0, wake_at=None)


async def check_a_cancel_that_cannot_be_is_refused(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [SetRun(status=RunStatus.COMPLETED)])
    assert await refused(journal.cancel("run-1", "ana")) == "run-ended"
    assert await refused(journal.cancel("unknown", "ana")) == "unknown-run"


async def check_a_cancelled_diverged_run_ends(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    child = a_run("child", clock, parent_id="run-1", parent_key="/do/0")
    await journal.write("run-1", 1, [Begin(child), Ask(a_request("q1", "run-1", "/do/1", clock))])
    await journal.write("run-1", 1, [SetRun(status=RunStatus.DIVERGED)])
    run = await journal.cancel("run-1", "ana")
    assert (run.status, run.ended_at) == (RunStatus.CANCELLED, clock.now())
    assert (await the_run(journal, "child")).cancel_requested_by == "ana"
    assert [request.status for request in await journal.requests()] == [RequestStatus.WITHDRAWN]


async def check_what_has_begun_goes_first(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    await journal.rest("run-1", 1, seen_seq=0, wake_at=clock.now() + 2)
    await journal.rest("run-2", 1, seen_seq=0, wake_at=clock.now() + 1)
    clock.pass_s(1)
    for name in ("run-3", "run-4"):
        await journal.start(a_run(name, clock))
        clock.pass_s(1)
    assert await journal.runnable(clock.now(), 10) == ["run-2", "run-1", "run-3", "run-4"]
    assert await journal.runnable(clock.now(), 3) == ["run-2", "run-1", "run-3"]
    assert await journal.runnable(clock.now(), 1) == ["run-2"]


async def check_a_child_begins_once_and_is_cancelled_by_its_parent(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    child = a_run("child", clock, parent_id="run-1", parent_key="/do/0", root_id="run-1")
    await journal.write("run-1", 1, [Begin(child), Put(a_leaf("/do/0"))])
    await journal.write("run-1", 1, [Begin(replace(child, input="other")), CancelRun("child", "run-1")])
    assert await the_run(journal, "child") == replace(child, cancel_requested_by="run-1")
    assert [run.id for run in await journal.runs(RunFilter(parent_id="run-1"))] == ["child"]
