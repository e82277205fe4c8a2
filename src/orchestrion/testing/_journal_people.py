"""Checks of a journal: what people are asked and answer, and trying again."""

from dataclasses import replace

from orchestrion.core import (
    Ask,
    Begin,
    CloseRequests,
    Entry,
    EntryKind,
    EntryStatus,
    Journal,
    Message,
    Put,
    RequestStatus,
    RunStatus,
    SetRun,
    Tell,
    Write,
)

from ._journal_materials import (
    HandClock,
    a_leaf,
    a_request,
    a_run,
    approved,
    begun,
    fenced,
    refusal,
    refused,
    the_entry,
    the_run,
)


async def check_a_request_is_asked_once_and_answered_once(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    request = a_request("q1", "run-1", "/do/0/pay#1", clock)
    await journal.write("run-1", 1, [Ask(request)])
    await journal.write("run-1", 1, [Ask(replace(request, task="/other"))])
    assert await journal.request("q1") == request
    assert await journal.rest("run-1", 1, seen_seq=0, wake_at=None)
    answer = approved(clock)
    decided = await journal.answer("q1", answer)
    bound = replace(answer, binding={"arguments": "abc"})
    assert decided == replace(request, status=RequestStatus.DECIDED, answer=bound)
    assert await journal.request("q1") == decided
    assert await journal.inbox("run-1", 0) == [
        Message(id="q1", key="/do/0/pay#1", kind="answer", body=bound.to_json(), seq=1)
    ]
    assert await journal.runnable(clock.now(), 10) == ["run-1"]
    second = await refusal(journal.answer("q1", approved(clock, by="ben")))
    assert second.code == "already-decided"
    assert "'ana'" in second.message
    assert len(await journal.inbox("run-1", 0)) == 1


async def check_an_answer_is_bound_to_what_was_shown(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Ask(a_request("q1", "run-1", "/do/0", clock))])
    other = approved(clock, binding={"arguments": "other"})
    assert await refused(journal.answer("q1", other)) == "binding-changed"
    assert await journal.inbox("run-1", 0) == []
    await journal.answer("q1", approved(clock, binding={"arguments": "abc"}))


async def check_an_answer_that_comes_too_late_is_refused(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    ends = a_request("q1", "run-1", "/do/0/a", clock, expires_at=clock.now() + 10)
    await journal.write("run-1", 1, [Ask(ends), Ask(a_request("q2", "run-1", "/do/1/b/x", clock))])
    await journal.write("run-1", 1, [CloseRequests("/do/1/b", RequestStatus.WITHDRAWN)])
    clock.pass_s(10)
    assert await refused(journal.answer("q1", approved(clock))) == "request-expired"
    assert await refused(journal.answer("q2", approved(clock))) == "request-withdrawn"
    assert await refused(journal.answer("q3", approved(clock))) == "unknown-request"
    await journal.write("run-1", 1, [CloseRequests("/do/0/a", RequestStatus.EXPIRED)])
    assert await refused(journal.answer("q1", approved(clock))) == "request-expired"
    assert await journal.inbox("run-1", 0) == []


async def check_closing_reaches_what_is_below_a_key_and_nothing_else(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    keys = ["/do/1", "/do/1/a", "/do/1~2", "/do/1#2/x", "/do/10", "/do", "/d"]
    await journal.write("run-1", 1, [Ask(a_request(key, "run-1", key, clock)) for key in keys])
    await journal.write("run-1", 1, [CloseRequests("/do/1", RequestStatus.WITHDRAWN)])
    still = {request.id for request in await journal.requests(status=RequestStatus.OPEN)}
    assert still == {"/do/10", "/do", "/d"}
    await journal.write("run-1", 1, [CloseRequests("", RequestStatus.EXPIRED)])
    assert await journal.requests(status=RequestStatus.OPEN) == []


async def check_requests_are_found_by_run_status_and_fragment(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    await journal.write("run-1", 1, [Ask(a_request("aa-11", "run-1", "/a", clock))])
    clock.pass_s(1)
    await journal.write("run-2", 1, [Ask(a_request("aa-12", "run-2", "/a", clock))])
    await journal.answer("aa-12", approved(clock))
    assert [request.id for request in await journal.requests()] == ["aa-11", "aa-12"]
    assert [request.id for request in await journal.requests(run_id="run-2")] == ["aa-12"]
    assert [request.id for request in await journal.requests(status=RequestStatus.OPEN)] == ["aa-11"]
    found = await journal.request("-12")
    assert found is not None
    assert found.id == "aa-12"
    assert await journal.request("aa-") is None
    assert await journal.request("%") is None


async def _faulted(journal: Journal, clock: HandClock, name: str, fault_key: str | None, writes: list[Write]) -> None:
    """A claimed run that ends in a fault."""
    await journal.write(name, 1, writes)
    end = SetRun(status=RunStatus.FAULTED, problem={"status": 500}, fault_key=fault_key, ended_at=clock.now())
    await journal.write(name, 1, [end])


async def check_a_faulted_run_is_tried_again(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    failed = replace(a_leaf("/do/1/b#1~3", status=EntryStatus.FAILED), problem={"status": 500})
    scope = Entry(key="/do/1/for#1", kind=EntryKind.SCOPE, status=EntryStatus.COMPLETED, output={"i": 3})
    await _faulted(journal, clock, "run-1", failed.key, [Put(a_leaf("/do/0/a#1")), Put(scope), Put(failed)])
    run = await journal.retry("run-1", "ana")
    assert (run.status, run.attempt, run.epoch) == (RunStatus.PENDING, 2, 2)
    assert (run.problem, run.fault_key, run.output, run.ended_at) == (None, None, None, None)
    assert run == await journal.run("run-1")
    assert await fenced(journal.write("run-1", 1, [Put(a_leaf("/do/9"))]))
    aside = await the_entry(journal, "run-1", "/do/1/b#1~3!1")
    assert (aside.kind, aside.status, aside.problem) == (EntryKind.NOTE, EntryStatus.FAILED, {"status": 500})
    note = await the_entry(journal, "run-1", "/retry/1")
    assert (note.kind, note.subject, note.output) == (EntryKind.NOTE, "User::ana", {"attempt": 2})
    history = await journal.claim("run-1")
    assert history is not None
    kept = {key for key, entry in history.entries.items() if entry.kind is not EntryKind.NOTE}
    assert kept == {"/do/0/a#1", "/do/1/for#1"}


async def check_only_a_faulted_run_is_tried_again(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    assert await refused(journal.retry("run-1", "ana")) == "not-faulted"
    assert await refused(journal.retry("unknown", "ana")) == "unknown-run"
    await journal.write("run-1", 1, [SetRun(status=RunStatus.DIVERGED, problem={"status": 500})])
    assert (await journal.retry("run-1", "ana")).status is RunStatus.PENDING
    assert await journal.runnable(clock.now(), 10) == ["run-1"]


async def check_trying_again_reopens_the_scopes_around_the_failure(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)

    def choice(key: str) -> Put:
        return Put(Entry(key=key, kind=EntryKind.CHOICE, status=EntryStatus.COMPLETED, output={"failed": 0}))

    abandoned = EntryStatus.ABANDONED
    writes: list[Write] = [
        choice("/do/0/race/join"),
        Put(a_leaf("/do/0/race/1/loser", status=abandoned)),
        choice("/do/1/fork/deadline"),
        choice("/do/1/fork/join"),
        Put(a_leaf("/do/1/fork/0/a", status=EntryStatus.FAILED)),
        Put(a_leaf("/do/1/fork/1/b", status=abandoned)),
        Put(a_leaf("/do/1/fork/1/done")),
        Put(replace(a_leaf("/do/2/at-the-end", status=abandoned), ended_at=clock.now())),
    ]
    await _faulted(journal, clock, "run-1", "/do/1/fork/0/a", writes)
    await journal.retry("run-1", "ana")
    found = {
        entry.key: entry.status.value for entry in await journal.entries("run-1") if entry.kind is not EntryKind.NOTE
    }
    assert found == {
        "/do/0/race/join": "completed",
        "/do/0/race/1/loser": "abandoned",
        "/do/1/fork/1/b": "intent",
        "/do/1/fork/1/done": "completed",
        "/do/2/at-the-end": "intent",
    }


async def check_trying_again_asks_anew(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    request = a_request("q1", "run-1", "/do/0/pay#1/approval/1", clock)
    asked = Entry(key=request.key, kind=EntryKind.REQUEST, status=EntryStatus.COMPLETED, output={"verdict": "rejected"})
    await journal.write("run-1", 1, [Ask(request)])
    await journal.answer("q1", replace(approved(clock), verdict="rejected"))
    failed = a_leaf("/do/0/pay#1", status=EntryStatus.FAILED)
    await _faulted(journal, clock, "run-1", failed.key, [Put(asked), Put(failed)])
    await journal.retry("run-1", "ana")
    history = await journal.claim("run-1")
    assert history is not None
    assert all(entry.kind is EntryKind.NOTE for entry in history.entries.values())
    assert [(message.id, message.key) for message in history.messages] == [("q1!1", "/do/0/pay#1/approval/1!1")]
    await journal.write("run-1", history.run.epoch, [Ask(request)])
    assert [item.id for item in await journal.requests(status=RequestStatus.OPEN)] == ["q1"]
    await journal.answer("q1", approved(clock))
    assert [message.id for message in await journal.inbox("run-1", history.run.inbox_seq)] == ["q1"]


async def check_trying_again_takes_the_failed_child_along(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    child = a_run("child", clock, parent_id="run-1", parent_key="/do/0/sub#1")
    await journal.write("run-1", 1, [Begin(child)])
    assert await journal.claim("child")
    broken = a_leaf("/do/0/x#1", status=EntryStatus.FAILED)
    end = Tell("run-1", Message(id="child", key="/do/0/sub#1", kind="child", body={"problem": {}}))
    await _faulted(journal, clock, "child", broken.key, [Put(broken), end])
    started = Entry(key="/do/0/sub#1", kind=EntryKind.CHILD, status=EntryStatus.FAILED)
    await _faulted(journal, clock, "run-1", started.key, [Put(started)])
    await journal.retry("run-1", "ana")
    assert (await the_run(journal, "child")).status is RunStatus.PENDING
    assert (await the_run(journal, "child")).attempt == 2
    again = await journal.claim("child")
    assert again is not None
    await journal.write("child", again.run.epoch, [end])
    assert [message.id for message in await journal.inbox("run-1", 1)] == ["child"]
