"""Events in a run's story: what it listens for, and what it heard."""

from collections.abc import Sequence

from orchestrion.core import Entry, EntryKind, EntryStatus, EventFilter, Journal, Json, Run
from orchestrion.spec import ListenTask, Strategy, Task, read

from ._phrases import cut, listed, mapping, members, said
from ._step import Reason, Waiting

MOST = 60


def wanted_words(entry: Entry, task: Task | None) -> str:
    """What a listener waits for: `an event order.paid`, `one each of a and b`. Its entry knows the events, the document the rest."""
    filters = [EventFilter.from_json(each) for each in members(mapping(entry.input).get("filters"))]
    if not isinstance(task, ListenTask):
        return _one_of([_named(each) for each in filters])
    mine = max(1, len(task.to.patterns))
    words = _strategy_words(task.to, [_named(each) for each in filters[:mine]])
    match task.to.until:
        case None:
            return words
        case Strategy() as until:
            return f"{words}, until {_strategy_words(until, [_named(each) for each in filters[mine:]])}"
        case "false" | "null":
            return f"{words}, for ever"
        case str() as until:
            return f"{words}, until {cut(until, MOST)}"


def _strategy_words(strategy: Strategy, names: Sequence[str]) -> str:
    return f"one each of {listed(names)}" if strategy.kind == "all" and len(names) > 1 else _one_of(names)


def _one_of(names: Sequence[str]) -> str:
    several = list(dict.fromkeys(names))
    if not several:
        return "an event that cannot come"
    if several == [""]:
        return "any event"
    return "an event " + " or ".join(name or "of any kind" for name in several)


def _named(wanted: EventFilter) -> str:
    if wanted.type is not None:
        return wanted.type
    pattern = next((pattern for place, pattern in wanted.patterns if place == ("type",)), "")
    source = next((str(value) for place, value in wanted.literals if place == ("source",)), "")
    return pattern or (f"from {source}" if source else "")


def heard_words(body: Json) -> str:
    """What an event brought, in a few words."""
    content = mapping(body).get("data")
    return cut(said(content), MOST) if content is not None else ""


def heard_reasons(entry: Entry) -> tuple[Reason, ...]:
    """Where an event came from, and whether it only ended the listening."""
    body = mapping(entry.output)
    came = Reason("record", f"from {body.get('source')}, id {body.get('id')}")
    if mapping(mapping(entry.why).get("note")).get("for") == "until":
        return came, Reason("result", "it ended the listening")
    return (came,)


def listening(entry: Entry, task: Task | None, until: float | None) -> Waiting:
    """What the run waits for at a listener, and what somebody could type."""
    filters = [EventFilter.from_json(each) for each in members(mapping(entry.input).get("filters"))]
    type_ = next((each.type for each in filters if each.type is not None), None)
    command = f"orchestrion events send {type_} --data '{{…}}'" if type_ is not None else None
    return Waiting(what=wanted_words(entry, task), since=entry.started_at, until=until, command=command)


async def listeners(journal: Journal, run: Run) -> list[str]:
    """What a run listens for now, in words."""
    entries = [
        entry
        for entry in await journal.entries(run.id)
        if entry.kind is EntryKind.LISTEN and entry.status is EntryStatus.INTENT
    ]
    document = read(await journal.document(run.digest)).document if entries else None
    tasks = {task.pointer: task for task in document.every_task()} if document else {}
    return [wanted_words(entry, tasks.get(entry.task)) for entry in entries]
