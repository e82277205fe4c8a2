"""Effects about events: emitting, subscribing, taking. Taking is one commit, before anything is done with the event."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orchestrion.core import (
    Consumed,
    Datum,
    Diverged,
    Entry,
    EntryKind,
    EntryStatus,
    Event,
    Interest,
    Json,
    Publish,
    Put,
    Subscribe,
    Took,
    Unsubscribe,
    UserError,
    derived_id,
    event_of,
    fingerprint,
    iso,
)

from ._attention import Attention, ListenState, state_of
from ._rows import stored_labels

if TYPE_CHECKING:
    from ._effects import WalkEffects


async def emit(effects: "WalkEffects", key: str, task: str, event: Datum) -> Datum:
    """The event with an id and a time of its own where it names none, recorded and published in one commit."""
    effects.require_open()
    walk = effects.walk
    entry = walk.entries.get(key)
    if entry is None:
        now = walk.clock.now()
        defaults: dict[str, Json] = {
            "specversion": "1.0",
            "id": derived_id(walk.run.id, key),
            "source": f"/workflows/{walk.run_name}",
            "time": iso(now),
        }
        given = cast("Mapping[str, Json]", event.value)
        published = event_of({**defaults, **given}, now=now, labels=stored_labels(event.labels))
        entry = Entry(
            key=key,
            kind=EntryKind.VALUE,
            status=EntryStatus.COMPLETED,
            task=task,
            function="emit",
            output=published.body,
            labels=published.labels,
            started_at=now,
            ended_at=now,
            epoch=walk.run.epoch,
        )
        await walk.commit(Put(entry), Publish(published))
    effects.require_kind(entry, EntryKind.VALUE)
    return Datum(entry.output, event.labels)


async def subscribe(effects: "WalkEffects", key: str, task: str, interests: Sequence[Interest]) -> None:
    """Listen, unless the run does already. A run that was tried again had stopped listening when it failed."""
    effects.require_open()
    walk = effects.walk
    digest = fingerprint([[interest.filter.digest, interest.expected] for interest in interests])
    entry = walk.entries.get(key)
    if entry is None:
        if effects.express:
            raise UserError("express-wait", f"{task} would wait for events.", hint="Run it without --express.")
        entry = Entry(
            key=key,
            kind=EntryKind.LISTEN,
            status=EntryStatus.INTENT,
            task=task,
            digest=digest,
            input={"filters": [interest.filter.to_json() for interest in interests]},
            output=ListenState(attempt=walk.run.attempt, types=_types(interests)).to_json(),
            started_at=walk.clock.now(),
            epoch=walk.run.epoch,
        )
        await walk.commit(Put(entry), Subscribe(key, interests))
    effects.require_kind(entry, EntryKind.LISTEN)
    if entry.digest != digest:
        raise walk.stop(Diverged(key, "it listened for something else"))
    state = state_of(entry)
    if entry.status is EntryStatus.INTENT and state.attempt != walk.run.attempt:
        again = replace(state, attempt=walk.run.attempt, looked=False)
        await walk.commit(Put(replace(entry, output=again.to_json())), Subscribe(key, interests))


def _types(interests: Sequence[Interest]) -> Sequence[str] | None:
    """The types that can be wanted; None for any."""
    found = {interest.filter.type for interest in interests}
    return None if None in found else sorted(name for name in found if name is not None)


async def receive(
    effects: "WalkEffects", key: str, task: str, listening: str, accepts: Callable[[Event], Awaitable[Json]]
) -> Consumed:
    effects.require_open()
    walk = effects.walk
    if (known := consumed(effects, key)) is not None:
        return known
    attention = walk.attentions.get(listening)
    if attention is None:
        attention = walk.attentions[listening] = Attention(walk, listening, task)
    while True:
        offered = await attention.next()
        effects.require_open()
        if offered is None:
            attention.keep()
            await walk.park(listening, None)
            effects.require_open()
            continue
        event, early = offered
        note = await accepts(event)
        effects.require_open()
        if note is None or note is False:
            attention.refuse(event, for_ever=note is None)
            continue
        attention.take(event)
        entry = _taken(effects, key, task, event, {"note": note, "seq": event.seq, "inbox": attention.inbox})
        walk.memories.took(entry)
        await walk.commit(Put(entry), *([Took(listening, event.seq)] if early else []))
        return _consumed(entry)


def _taken(effects: "WalkEffects", key: str, task: str, event: Event, why: Json) -> Entry:
    now = effects.walk.clock.now()
    return Entry(
        key=key,
        kind=EntryKind.EVENT,
        status=EntryStatus.COMPLETED,
        task=task,
        output=event.body,
        labels=event.labels,
        why=why,
        started_at=now,
        ended_at=now,
        epoch=effects.walk.run.epoch,
    )


def consumed(effects: "WalkEffects", key: str) -> Consumed | None:
    entry = effects.walk.entries.get(key)
    if entry is None:
        return None
    effects.require_kind(entry, EntryKind.EVENT)
    return _consumed(entry)


def _consumed(entry: Entry) -> Consumed:
    return Consumed(
        body=cast("Mapping[str, Json]", entry.output),
        labels=entry.labels,
        note=cast("Mapping[str, Json]", entry.why)["note"],
    )


async def unsubscribe(effects: "WalkEffects", key: str) -> None:
    effects.require_open()
    walk = effects.walk
    entry = walk.entries[key]
    effects.require_kind(entry, EntryKind.LISTEN)
    if entry.status is not EntryStatus.INTENT:
        return
    attention = walk.attentions.pop(key, None)
    state = attention.state(entry) if attention is not None else state_of(entry)
    ended = replace(entry, status=EntryStatus.COMPLETED, output=state.to_json(), ended_at=walk.clock.now())
    walk.memories.listened(ended)
    walk.attach(Put(ended), Unsubscribe(key))
