"""What every journal must do. Run each of `CHECKS` against a fresh journal of yours:

@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_journal(check):
    clock = HandClock()
    async with my_journal(clock) as journal:
        await check(journal, clock)
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from orchestrion.core import (
    Answer,
    Ask,
    Begin,
    CancelRun,
    CloseRequests,
    Datum,
    Entry,
    EntryKind,
    EntryStatus,
    Fenced,
    History,
    Journal,
    Json,
    Message,
    Move,
    Put,
    Quarantined,
    Question,
    Request,
    RequestStatus,
    Run,
    RunFilter,
    RunStatus,
    SetRun,
    Tell,
    UserError,
    Write,
)


class HandClock:
    """A clock that moves when told to."""

    def __init__(self, at: float = 1_800_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += seconds


Check = Callable[[Journal, HandClock], Awaitable[None]]


def a_run(name: str, clock: HandClock, **changes: object) -> Run:
    """A pending run; `changes` are fields of `Run`."""
    run = Run(
        id=name,
        namespace="support",
        workflow="triage",
        version="1.0.0",
        digest="d1",
        semantics=1,
        input={"message": "hello"},
        created_at=clock.now(),
    )
    return replace(run, **changes)


def a_leaf(key: str, output: Json = None, status: EntryStatus = EntryStatus.COMPLETED) -> Entry:
    return Entry(key=key, kind=EntryKind.LEAF, status=status, task="/do/0/call", function="http:1", output=output)


def a_request(name: str, run_id: str, key: str, clock: HandClock, **changes: object) -> Request:
    """An open approval; `changes` are fields of `Request`."""
    request = Request(
        id=name,
        run_id=run_id,
        key=key,
        task="/do/0/pay",
        question=Question(
            kind="approval",
            title="May it pay?",
            role="lead",
            show=Datum({"amount": 900}, {"/amount": frozenset({"untrusted"})}),
            binding={"arguments": "abc"},
        ),
        created_at=clock.now(),
    )
    return replace(request, **changes)


def approved(clock: HandClock, *, by: str = "ana", binding: Json = None) -> Answer:
    return Answer(verdict="approved", by=by, at=clock.now(), value=Datum({"note": "fine"}), binding=binding)


async def begun(journal: Journal, clock: HandClock, name: str = "run-1", **changes: object) -> History:
    """A run that was started and claimed."""
    await journal.start(a_run(name, clock, **changes))
    history = await journal.claim(name)
    assert history is not None
    return history


async def refused(awaitable: Awaitable[object]) -> str:
    """The code of the UserError with which it fails."""
    return (await refusal(awaitable)).code


async def refusal(awaitable: Awaitable[object]) -> UserError:
    """The UserError with which it fails."""
    try:
        await awaitable
    except UserError as error:
        return error
    raise AssertionError("it was not refused")


async def fenced(awaitable: Awaitable[object]) -> bool:
    try:
        await awaitable
    except Fenced:
        return True
    return False


async def _run(journal: Journal, name: str) -> Run:
    run = await journal.run(name)
    assert run is not None
    return run


async def _entry(journal: Journal, run_id: str, key: str) -> Entry:
    return {entry.key: entry for entry in await journal.entries(run_id)}[key]


# --- documents and starting ---


async def check_documents_are_kept_once(journal: Journal, clock: HandClock) -> None:
    await journal.keep_document("d1", "do: []")
    await journal.keep_document("d1", "something else")
    assert await journal.document("d1") == "do: []"
    assert await refused(journal.document("d2")) == "unknown-document"


async def check_a_run_comes_back_as_it_was_started(journal: Journal, clock: HandClock) -> None:
    run = a_run(
        "run-1",
        clock,
        start_key="k",
        batch="b",
        row=7,
        input={"text": "ä\n\u2028", "n": [1, 2.5, None, True]},
        labels={"": ["pii"]},
        decision={"verdict": "allow"},
        cost={"usd_micros": 3},
        versions={"agents": {"a": "1"}},
        subject="User::ana",
        parent_id="p",
        parent_key="/do/0",
        root_id="r",
        copied_from="c",
    )
    assert await journal.start(run) == run
    assert await journal.run("run-1") == run
    assert await journal.run("run-2") is None


async def check_a_repeated_start_key_joins_the_run(journal: Journal, clock: HandClock) -> None:
    first = await journal.start(a_run("run-1", clock, start_key="order-7"))
    again = await journal.start(a_run("run-2", clock, start_key="order-7", input="other"))
    assert again == first
    assert await journal.run("run-2") is None
    await journal.start(a_run("run-3", clock))
    await journal.start(a_run("run-4", clock))
    assert await journal.count() == {RunStatus.PENDING: 3}


async def check_starts_at_the_same_time_agree(journal: Journal, clock: HandClock) -> None:
    starts = [journal.start(a_run(f"run-{i}", clock, start_key=f"key-{i % 3}")) for i in range(30)]
    runs = await asyncio.gather(*starts)
    assert len({run.id for run in runs}) == 3
    assert all(run.start_key == f"key-{i % 3}" for i, run in enumerate(runs))


async def check_a_copy_has_its_history(journal: Journal, clock: HandClock) -> None:
    entries = [a_leaf("/do/1/b#1", {"b": 1}), a_leaf("/do/0/a#1", {"a": 1})]
    await journal.copy(a_run("run-2", clock, copied_from="run-1"), entries)
    assert await journal.entries("run-2") == entries
    history = await journal.claim("run-2")
    assert history is not None
    assert dict(history.entries) == {entry.key: entry for entry in entries}
    assert history.run.copied_from == "run-1"


# --- claiming, writing, fencing ---


async def check_a_claim_takes_the_run_once(journal: Journal, clock: HandClock) -> None:
    await journal.start(a_run("run-1", clock))
    history = await journal.claim("run-1")
    assert history is not None
    assert (history.run.epoch, history.run.status) == (1, RunStatus.RUNNING)
    assert not history.entries
    assert not history.messages
    assert await journal.claim("run-1") is None
    assert await journal.claim("unknown") is None
    assert await journal.runnable(clock.now(), 10) == []


async def check_a_released_run_is_claimed_with_the_next_epoch(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/do/0/a#1", {"x": 1}))])
    assert await journal.release() == ["run-1"]
    assert await journal.runnable(clock.now(), 10) == ["run-1"]
    history = await journal.claim("run-1")
    assert history is not None
    assert history.run.epoch == 2
    assert history.entries["/do/0/a#1"] == replace(a_leaf("/do/0/a#1", {"x": 1}), epoch=1)
    assert list(history.entries) == ["/do/0/a#1"]
    assert "/do/9" not in history.entries


async def check_an_older_epoch_is_fenced(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    await journal.release()
    assert await journal.claim("run-1")
    stale = journal.write("run-1", 1, [Put(a_leaf("/do/0/stale#1"))])
    valid = journal.write("run-2", 1, [Put(a_leaf("/do/0/valid#1"))])
    assert await fenced(stale)
    await valid
    assert await journal.entries("run-1") == []
    assert len(await journal.entries("run-2")) == 1
    assert await fenced(journal.rest("run-1", 1, seen_seq=0, wake_at=None))
    assert await refused(journal.write("unknown", 1, [Put(a_leaf("/x"))])) == "unknown-run"


async def check_an_ended_run_is_not_claimed(journal: Journal, clock: HandClock) -> None:
    for i, status in enumerate((RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.CANCELLED, RunStatus.DIVERGED)):
        await begun(journal, clock, f"run-{i}")
        await journal.write(f"run-{i}", 1, [SetRun(status=status, ended_at=clock.now())])
        assert await journal.claim(f"run-{i}") is None
    assert await journal.runnable(clock.now(), 10) == []


async def check_an_entry_comes_back_as_it_was_put(journal: Journal, clock: HandClock) -> None:
    entry = Entry(
        key="/do/0/a#1~2",
        kind=EntryKind.LEAF,
        status=EntryStatus.FAILED,
        task="/do/0/a",
        function="http:1.0.0",
        digest="abc",
        input={"uri": "https://example.com/ü"},
        output=[0, "", False, {}],
        problem={"type": "about:blank", "status": 500},
        labels={"": ["untrusted"], "/0": ["pii"]},
        decision={"verdict": "allow", "policies": ["p"]},
        why={"examples": ["x"]},
        cost={"usd_micros": 12},
        model="openai:gpt",
        versions={"agent": "1"},
        subject="Agent::billing",
        started_at=clock.now(),
        ended_at=clock.now() + 0.25,
        epoch=1,
    )
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(entry)])
    assert await journal.entries("run-1") == [entry]


async def check_entries_keep_the_order_of_their_first_write(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/c", status=EntryStatus.INTENT)), Put(a_leaf("/a"))])
    await journal.write("run-1", 1, [Put(a_leaf("/b"))])
    await journal.write("run-1", 1, [Put(a_leaf("/c", {"done": True}))])
    found = await journal.entries("run-1")
    assert [entry.key for entry in found] == ["/c", "/a", "/b"]
    assert found[0].output == {"done": True}


async def check_a_transaction_is_written_whole_or_not_at_all(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    await begun(journal, clock, "run-2")
    writes: list[Write] = [
        Put(a_leaf("/do/0/a#1")),
        SetRun(status=RunStatus.COMPLETED, output={"x": 1}),
        Put(a_leaf("/do/1/b#1", {"bad": float("nan")})),
    ]
    bad = journal.write("run-1", 1, writes)
    good = journal.write("run-2", 1, [Put(a_leaf("/do/0/a#1"))])
    assert await refused(bad) == "not-json"
    await good
    assert await journal.entries("run-1") == []
    assert (await _run(journal, "run-1")).status is RunStatus.RUNNING
    assert len(await journal.entries("run-2")) == 1


async def check_a_cancelled_wait_does_not_stop_the_write(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    first = journal.write("run-1", 1, [Put(a_leaf("/a"))])
    first.cancel()
    await journal.write("run-1", 1, [Put(a_leaf("/b"))])
    assert [entry.key for entry in await journal.entries("run-1")] == ["/a", "/b"]


async def check_a_moved_entry_becomes_a_note(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Put(a_leaf("/a", 1)), Put(a_leaf("/b", 2)), Put(a_leaf("/c", 3))])
    await journal.write(
        "run-1", 1, [Move("/a", "/a!1"), Put(a_leaf("/a", 4)), Move("/missing", "/b"), Move("/c", "/b")]
    )
    found = [(entry.key, entry.kind, entry.output) for entry in await journal.entries("run-1")]
    assert found == [("/a!1", EntryKind.NOTE, 1), ("/b", EntryKind.NOTE, 3), ("/a", EntryKind.LEAF, 4)]


async def check_changes_of_the_run_leave_the_rest_as_it_is(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [SetRun(started_at=5.0, cost={"usd_micros": 1})])
    await journal.write(
        "run-1", 1, [SetRun(status=RunStatus.FAULTED, problem={"status": 500}, fault_key="/a", ended_at=9.0)]
    )
    run = await _run(journal, "run-1")
    assert (run.started_at, run.ended_at, run.cost, run.fault_key) == (5.0, 9.0, {"usd_micros": 1}, "/a")
    assert (run.status, run.problem, run.output, run.input) == (
        RunStatus.FAULTED,
        {"status": 500},
        None,
        {"message": "hello"},
    )


# --- resting and waking ---


async def check_a_sleeper_is_woken_by_time(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    assert await journal.next_wake() is None
    assert await journal.rest("run-1", 1, seen_seq=0, wake_at=clock.now() + 60)
    run = await _run(journal, "run-1")
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
    assert (await _run(journal, "child")).cancel_requested_by == "ana"
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


# --- children ---


async def check_a_child_begins_once_and_is_cancelled_by_its_parent(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock, "run-1")
    child = a_run("child", clock, parent_id="run-1", parent_key="/do/0", root_id="run-1")
    await journal.write("run-1", 1, [Begin(child), Put(a_leaf("/do/0"))])
    await journal.write("run-1", 1, [Begin(replace(child, input="other")), CancelRun("child", "run-1")])
    assert await _run(journal, "child") == replace(child, cancel_requested_by="run-1")
    assert [run.id for run in await journal.runs(RunFilter(parent_id="run-1"))] == ["child"]


# --- people ---


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


# --- trying again ---


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
    aside = await _entry(journal, "run-1", "/do/1/b#1~3!1")
    assert (aside.kind, aside.status, aside.problem) == (EntryKind.NOTE, EntryStatus.FAILED, {"status": 500})
    note = await _entry(journal, "run-1", "/retry/1")
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
    assert (await _run(journal, "child")).status is RunStatus.PENDING
    assert (await _run(journal, "child")).attempt == 2
    again = await journal.claim("child")
    assert again is not None
    await journal.write("child", again.run.epoch, [end])
    assert [message.id for message in await journal.inbox("run-1", 1)] == ["child"]


# --- reading ---


async def check_runs_are_listed_newest_first(journal: Journal, clock: HandClock) -> None:
    for i in range(5):
        batch = "b1" if i % 2 else None
        await journal.start(a_run(f"run-{i}", clock, batch=batch, workflow="refund" if i == 4 else "triage"))
        clock.pass_s(1)
    assert await journal.claim("run-1")

    async def listed(which: RunFilter) -> str:
        return "".join(run.id[-1] for run in await journal.runs(which))

    assert await listed(RunFilter()) == "43210"
    assert await listed(RunFilter(limit=2)) == "43"
    assert await listed(RunFilter(limit=2, before_id="run-3")) == "21"
    assert await listed(RunFilter(batch="b1")) == "31"
    assert await listed(RunFilter(status=[RunStatus.RUNNING])) == "1"
    assert await listed(RunFilter(status=[RunStatus.RUNNING, RunStatus.PENDING], limit=3)) == "432"
    assert await listed(RunFilter(workflow="refund")) == "4"
    assert await listed(RunFilter(workflow="support/triage", batch="b1")) == "31"
    assert await listed(RunFilter(workflow="other/triage")) == ""
    assert await journal.count() == {RunStatus.PENDING: 4, RunStatus.RUNNING: 1}
    assert await journal.count(batch="b1") == {RunStatus.PENDING: 1, RunStatus.RUNNING: 1}


async def check_runs_are_found_by_a_fragment(journal: Journal, clock: HandClock) -> None:
    for i in range(12):
        await journal.start(a_run(f"abc-{i:02}", clock))
        clock.pass_s(1)
    assert await journal.find("c-03") == ["abc-03"]
    assert await journal.find("abc") == [f"abc-{i:02}" for i in range(11, 1, -1)]
    assert await journal.find("%") == []


async def check_open_semantics_are_named(journal: Journal, clock: HandClock) -> None:
    for i in range(7):
        await journal.start(a_run(f"run-{i}", clock, semantics=1 if i < 6 else 2))
        clock.pass_s(1)
    await begun(journal, clock, "run-9", semantics=3)
    await journal.write("run-9", 1, [SetRun(status=RunStatus.COMPLETED)])
    found = await journal.open_semantics()
    assert {number: list(ids) for number, ids in found.items()} == {1: [f"run-{i}" for i in range(5)], 2: ["run-6"]}


async def check_quarantined_rows_are_kept_by_row(journal: Journal, clock: HandClock) -> None:
    def row(number: int, reason: str) -> Quarantined:
        value: Json = {"text": "\ufffd"}
        return Quarantined(batch="b1", row=number, value=value, reasons=[reason, "x"], created_at=clock.now())

    await journal.quarantine([row(10, "late"), row(9, "bad")])
    await journal.quarantine([row(10, "again")])
    assert await journal.quarantined("b1") == [row(9, "bad"), row(10, "again")]
    assert await journal.quarantined("b2") == []


async def check_late_outcomes_are_evidence_only(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.release()
    assert await journal.claim("run-1")
    outcomes = [replace(a_leaf("/a", 1), epoch=1), replace(a_leaf("/a", 2), epoch=1)]
    for outcome in outcomes:
        await journal.late("run-1", outcome)
    assert await journal.late_outcomes("run-1") == outcomes
    assert await journal.entries("run-1") == []
    assert await refused(journal.late("unknown", outcomes[0])) == "unknown-run"


async def check_large_values_come_back(journal: Journal, clock: HandClock) -> None:
    large: Json = {"text": "ü" * 300_000, "n": 1}
    other: Json = ["blob:" + "0" * 64] * 5000
    history = await begun(journal, clock, input=large)
    assert history.run.input == large
    await journal.write("run-1", 1, [Put(replace(a_leaf("/a", large), input=other)), SetRun(output=other)])
    await journal.write("run-1", 1, [Put(a_leaf("/b", "blob:" + "0" * 64))])
    question = replace(a_request("q1", "run-1", "/c", clock).question, show=Datum(large))
    await journal.write("run-1", 1, [Ask(a_request("q1", "run-1", "/c", clock, question=question))])
    await journal.answer("q1", replace(approved(clock), value=Datum(large)))
    await journal.release()
    again = await journal.claim("run-1")
    assert again is not None
    assert (again.run.input, again.run.output) == (large, other)
    assert (again.entries["/a"].output, again.entries["/a"].input) == (large, other)
    assert again.entries["/b"].output == "blob:" + "0" * 64
    assert Answer.from_json(again.messages[0].body).value.value == large
    request = await journal.request("q1")
    assert request is not None
    assert request.question.show.value == large


async def check_own_writes_are_not_foreign(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    assert not await journal.foreign_change()
    await journal.write("run-1", 1, [Put(a_leaf("/a"))])
    assert not await journal.foreign_change()


async def check_many_writes_at_once_are_all_kept(journal: Journal, clock: HandClock) -> None:
    for i in range(20):
        await begun(journal, clock, f"run-{i}")
    await asyncio.gather(
        *(journal.write(f"run-{i}", 1, [Put(a_leaf(f"/do/{n}", n))]) for n in range(50) for i in range(20))
    )
    for i in range(20):
        assert [entry.output for entry in await journal.entries(f"run-{i}")] == list(range(50))


CHECKS: tuple[Check, ...] = tuple(check for name, check in list(globals().items()) if name.startswith("check_"))
"""Every check, in the order of this file."""
