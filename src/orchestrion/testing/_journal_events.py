"""Checks of a journal: events received once, listeners, routing in one transaction, looking back."""

from dataclasses import replace

from orchestrion.core import (
    Event,
    EventFilter,
    EventQuery,
    Gathered,
    Interest,
    Journal,
    Json,
    Publish,
    Reached,
    Route,
    RunStatus,
    SetRun,
    Start,
    Subscribe,
    Took,
    Unsubscribe,
    Woken,
    expectation,
)

from ._journal_materials import HandClock, a_run, begun, refused, the_run

TICKS = EventFilter(type="tick")
ORDERS = EventFilter(type="paid", equal=(("data", "order"),))
ANYTHING = EventFilter(literals=((("source",), "/lab"),))


def an_event(name: str, clock: HandClock, type_: str = "tick", **changes: object) -> Event:
    """An event as the journal receives it; `changes` are fields of `Event`."""
    body: dict[str, Json] = {"specversion": "1.0", "source": "/test", "id": name, "type": type_, "data": {"n": name}}
    event = Event(source="/test", id=name, type=type_, body=body, labels={"": ["untrusted"]}, received_at=clock.now())
    return replace(event, **changes)


async def received(journal: Journal, clock: HandClock, name: str, type_: str = "tick") -> Event:
    """An event that was received."""
    assert await journal.receive(an_event(name, clock, type_))
    found = await journal.event("/test", name)
    assert found is not None
    return found


async def listening(journal: Journal, clock: HandClock, name: str, *interests: Interest) -> None:
    """A run asleep that listens at /do/0."""
    await begun(journal, clock, name)
    await journal.write(name, 1, [Subscribe("/do/0", interests)])
    assert await journal.rest(name, 1, seen_seq=0, wake_at=None)


async def check_an_event_is_received_once_by_source_and_id(journal: Journal, clock: HandClock) -> None:
    assert await journal.receive(an_event("e1", clock))
    assert not await journal.receive(an_event("e1", clock, body={"other": True}))
    assert await journal.receive(an_event("e1", clock, source="/elsewhere"))
    event = await journal.event("/test", "e1")
    assert event is not None
    assert event == replace(an_event("e1", clock), seq=event.seq)
    assert await journal.event("/test", "e2") is None
    assert [each.source for each in await journal.unrouted(10)] == ["/test", "/elsewhere"]
    assert await journal.numbered([event.seq, 10_000]) == [event]


async def check_what_a_run_publishes_is_received_with_its_write(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    event = an_event("e1", clock)
    await journal.write("run-1", 1, [Publish(event), Publish(event)])
    assert len(await journal.unrouted(10)) == 1
    assert not await journal.receive(event)


async def check_an_event_that_cannot_be_stored_is_refused(journal: Journal, clock: HandClock) -> None:
    assert await refused(journal.receive(an_event("e1", clock, body={"data": float("nan")}))) == "not-json"
    assert await journal.unrouted(10) == []


async def check_filters_are_known_while_somebody_listens(journal: Journal, clock: HandClock) -> None:
    await listening(journal, clock, "run-1", Interest(filter=TICKS), Interest(filter=ANYTHING))
    await listening(journal, clock, "run-2", Interest(filter=TICKS))
    assert {each.digest for each in await journal.interests("tick")} == {TICKS.digest, ANYTHING.digest}
    assert list(await journal.interests("tock")) == [ANYTHING]
    await journal.claim("run-1")
    await journal.write("run-1", 2, [Unsubscribe("/do/0")])
    assert list(await journal.interests("tick")) == [TICKS]
    await journal.cancel("run-2", "ana")
    await journal.claim("run-2")
    await journal.write("run-2", 2, [Unsubscribe("/do/0"), SetRun(status=RunStatus.CANCELLED)])
    assert list(await journal.interests("tick")) == []


async def check_a_cancelled_diverged_run_listens_no_more(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Subscribe("/do/0", [Interest(filter=TICKS)]), SetRun(status=RunStatus.DIVERGED)])
    await journal.cancel("run-1", "ana")
    assert list(await journal.interests("tick")) == []


async def check_listeners_are_told_and_woken_once(journal: Journal, clock: HandClock) -> None:
    await listening(journal, clock, "run-1", Interest(filter=TICKS), Interest(filter=ANYTHING))
    await listening(journal, clock, "run-2", Interest(filter=TICKS))
    event = await received(journal, clock, "e1")
    clock.pass_s(1)
    route = Route(event=event, matches=[(TICKS.digest, None), (ANYTHING.digest, None)])
    woken = await journal.deliver([route])
    assert sorted(woken, key=lambda each: each.run_id) == [
        Woken(run_id="run-1", root_id="run-1"),
        Woken(run_id="run-2", root_id="run-2"),
    ]
    assert await journal.deliver([route]) == [], "it is routed already"
    assert sorted(await journal.runnable(clock.now(), 10)) == ["run-1", "run-2"]
    (message,) = await journal.inbox("run-1", 0)
    assert (message.key, message.kind, message.seq) == ("/do/0", "event", 1)
    assert message.body == {"source": "/test", "id": "e1", "seq": event.seq}
    assert await journal.unrouted(10) == []
    routed = await journal.event("/test", "e1")
    assert routed is not None
    assert (routed.routed_at, routed.deliveries) == (clock.now(), 2)
    reached = [Reached(run_id="run-1", key="/do/0"), Reached(run_id="run-2", key="/do/0")]
    assert await journal.reached(event.seq) == reached


async def check_runs_that_share_a_filter_hear_of_what_they_expect(journal: Journal, clock: HandClock) -> None:
    for name, order in (("run-1", "A"), ("run-2", "B"), ("run-3", "B")):
        await listening(journal, clock, name, Interest(filter=ORDERS, expected=expectation([order])))
    assert list(await journal.interests("paid")) == [ORDERS]
    event = await received(journal, clock, "e1", "paid")
    woken = await journal.deliver([Route(event=event, matches=[(ORDERS.digest, expectation(["B"]))])])
    assert sorted(each.run_id for each in woken) == ["run-2", "run-3"]
    assert await journal.inbox("run-1", 0) == []


async def check_news_of_an_event_keeps_a_run_awake(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    await journal.write("run-1", 1, [Subscribe("/do/0", [Interest(filter=TICKS)])])
    event = await received(journal, clock, "e1")
    await journal.deliver([Route(event=event, matches=[(TICKS.digest, None)])])
    assert not await journal.rest("run-1", 1, seen_seq=0, wake_at=None)
    assert await journal.rest("run-1", 1, seen_seq=1, wake_at=None)


async def check_an_event_nobody_wants_is_found(journal: Journal, clock: HandClock) -> None:
    first, second = await received(journal, clock, "e1"), await received(journal, clock, "e2", "tock")
    third = await received(journal, clock, "e3")
    await listening(journal, clock, "run-1", Interest(filter=EventFilter(type="tock")))
    told = Route(event=second, matches=[(EventFilter(type="tock").digest, None)])
    await journal.deliver([Route(event=first), told, Route(event=third, notes=["a filter failed"])])
    assert [event.id for event in await journal.events(EventQuery(unwanted=True))] == ["e3", "e1"]
    assert [event.notes for event in await journal.events(EventQuery(id="e3"))] == [["a filter failed"]]


async def check_events_are_listed_newest_first(journal: Journal, clock: HandClock) -> None:
    for number in range(4):
        await received(journal, clock, f"e{number}", "tick" if number % 2 else "tock")
        clock.pass_s(1)

    async def ids(which: EventQuery) -> list[str]:
        return [event.id for event in await journal.events(which)]

    assert await ids(EventQuery()) == ["e3", "e2", "e1", "e0"]
    assert await ids(EventQuery(type="tick")) == ["e3", "e1"]
    assert await ids(EventQuery(source="/nowhere")) == []
    assert await ids(EventQuery(since=clock.now() - 2)) == ["e3", "e2"]
    third = await journal.event("/test", "e2")
    assert third is not None
    assert await ids(EventQuery(before_seq=third.seq, limit=1)) == ["e1"]


async def check_a_late_listener_looks_back(journal: Journal, clock: HandClock) -> None:
    for number in range(5):
        await received(journal, clock, f"e{number}", "tick" if number % 2 else "tock")
        clock.pass_s(1)
    since = clock.now() - 4
    found = await journal.earlier(["tick", "tock"], since=since, after_seq=0, limit=3)
    assert [event.id for event in found] == ["e1", "e2", "e3"]
    more = await journal.earlier(["tick", "tock"], since=since, after_seq=found[-1].seq, limit=3)
    assert [event.id for event in more] == ["e4"]
    assert [e.id for e in await journal.earlier(["tick"], since=0, after_seq=0, limit=9)] == ["e1", "e3"]
    assert len(await journal.earlier(None, since=since, after_seq=0, limit=9)) == 4


async def check_what_was_found_by_looking_back_counts_as_wanted(journal: Journal, clock: HandClock) -> None:
    await begun(journal, clock)
    event = await received(journal, clock, "e1")
    await journal.deliver([Route(event=event)])
    await journal.write("run-1", 1, [Took("/do/0", event.seq), Took("/do/0", event.seq)])
    assert await journal.events(EventQuery(unwanted=True)) == []
    assert await journal.reached(event.seq) == [Reached(run_id="run-1", key="/do/0")]
    assert await journal.inbox("run-1", 0) == []


async def check_an_event_starts_a_run_once(journal: Journal, clock: HandClock) -> None:
    first, second = await received(journal, clock, "e1"), await received(journal, clock, "e2")
    run = a_run("run-1", clock, start_key="event:d1:e1", input=[{"n": "e1"}])
    woken = await journal.deliver([Route(event=first, starts=[Start(run=run, seqs=[first.seq])])])
    assert woken == [Woken(run_id="run-1", root_id="run-1", started=True)]
    assert await the_run(journal, "run-1") == run
    again = a_run("run-2", clock, start_key="event:d1:e1")
    assert await journal.deliver([Route(event=second, starts=[Start(run=again, seqs=[second.seq])])]) == []
    assert await journal.run("run-2") is None
    assert await journal.reached(first.seq) == [Reached(run_id="run-1")]


async def check_events_are_gathered_until_they_start_a_run(journal: Journal, clock: HandClock) -> None:
    first, second = await received(journal, clock, "e1"), await received(journal, clock, "e2")
    kept = Gathered(trigger="d1", correlation="c1", place=0, seq=first.seq)
    await journal.deliver([Route(event=first, keep=[kept])])
    assert await journal.gathered("d1", "c1") == [kept]
    assert await journal.gathered("d1", "c2") == []
    waiting = await journal.event("/test", "e1")
    assert waiting is not None
    assert waiting.deliveries == 1
    start = Start(run=a_run("run-1", clock), seqs=[first.seq, second.seq])
    await journal.deliver([Route(event=second, starts=[start], drop=[kept])])
    assert await journal.gathered("d1", "c1") == []
    assert await journal.reached(first.seq) == await journal.reached(second.seq) == [Reached(run_id="run-1")]
