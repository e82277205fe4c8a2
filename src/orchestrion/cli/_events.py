"""`orchestrion events`: send, list, show."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchestrion.core import (
    Event,
    EventQuery,
    Journal,
    Json,
    Reached,
    UserError,
    event_of,
    iso,
    parse,
)

from ._phrases import counted
from ._runs import journal_of
from ._terminal import SYMBOLS, err, execute, out, print_json, read_value

if TYPE_CHECKING:
    from orchestrion.app import App

FROM_OUTSIDE: Mapping[str, Sequence[str]] = {"": ["untrusted"]}
SOURCE = "/cli"
PATIENCE_S = 5.0
"""How long another process is waited for until it has routed an event."""
LOOK_S = 0.05
AT_ONCE = 500
MOST_SHOWN = 20


def send(
    type_: str | None,
    *,
    source: str | None,
    event_id: str | None,
    subject: str | None,
    content: str | None,
    attributes: Sequence[str],
    whole: str | None,
    lines: str | None,
    project: Path,
    as_json: bool,
) -> None:
    async def work() -> int:
        if lines is not None:
            given = _lines(lines)
        elif whole is not None:
            given = iter([read_value(whole, "The event")])
        else:
            given = iter([_composed(type_, source, event_id, subject, content, attributes)])
        async with AsyncExitStack() as stack:
            app, here = await _app(stack, project)
            return await _send_all(app, given, here=here, as_json=as_json)

    execute(work, as_json=as_json)


def _composed(
    type_: str | None,
    source: str | None,
    event_id: str | None,
    subject: str | None,
    content: str | None,
    attributes: Sequence[str],
) -> Json:
    """The CloudEvent that options describe."""
    if type_ is None:
        raise UserError(
            "event-missing",
            "There is no event to send.",
            hint="Name its type: orchestrion events send TYPE --data '{…}'. Or give a whole one: --event @FILE.",
        )
    event: dict[str, Json] = {"source": source or SOURCE, "type": type_}
    if event_id is not None:
        event["id"] = event_id
    if subject is not None:
        event["subject"] = subject
    if content is not None:
        event["data"] = read_value(content, "The data")
    for each in attributes:
        name, separator, value = each.partition("=")
        if not separator:
            raise UserError("bad-event", f"--attribute takes NAME=VALUE, not {each!r}.", hint="--attribute roomid=12")
        event[name] = value
    return event


def _lines(file: str) -> Iterator[Json]:
    """The events of a file, one on each line."""
    try:
        with Path(file).open(encoding="utf-8") if file != "-" else sys.stdin as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _line(line, number)
    except OSError as error:
        raise UserError("unreadable-file", f"{file!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError("unreadable-file", f"{file!r} is not UTF-8 text.") from None


def _line(line: str, number: int) -> Json:
    try:
        return parse(line)
    except UserError as error:
        raise UserError("not-json", f"Line {number} is not JSON. {error.message}") from None


async def _app(stack: AsyncExitStack, project: Path) -> "tuple[App, bool]":
    """The project, and whether this process goes on with its runs."""
    from orchestrion.app import open_app

    try:
        return await stack.enter_async_context(open_app(project)), True
    except UserError as error:
        if error.code != "store-in-use":
            raise
    return await stack.enter_async_context(open_app(project, mode="join")), False


async def _send_all(app: "App", given: Iterator[Json], *, here: bool, as_json: bool) -> int:
    sent: list[Sent] = []
    while batch := [event_of(each, now=app.clock.now(), labels=FROM_OUTSIDE) for each in islice(given, AT_ONCE)]:
        new = await asyncio.gather(*(app.receive(event) for event in batch))
        await _routed(app, batch, here=here)
        for event, is_new in zip(batch, new, strict=True):
            sent.append(await _came_of(app.journal, event, new=is_new))
    if here:
        await app.engine.calm()
    if as_json:
        print_json([each.to_json() for each in sent] if len(sent) != 1 else sent[0].to_json())
    elif len(sent) == 1:
        await _say(app.journal, sent[0])
    else:
        _sum_up(sent)
    return 0


async def _routed(app: "App", batch: Sequence[Event], *, here: bool) -> None:
    """Wait until it is known who hears of the events: decided here, or by the process that has the store."""
    if here:
        await app.engine.routed()
        return
    until = app.clock.monotonic() + PATIENCE_S
    while app.clock.monotonic() < until:
        last = await app.journal.event(batch[-1].source, batch[-1].id)
        if last is None or last.routed_at is not None:
            return
        await asyncio.sleep(LOOK_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An event that was sent, and what came of it."""

    event: Event
    new: bool
    reached: Sequence[Reached]

    @property
    def told(self) -> list[str]:
        return sorted({each.run_id for each in self.reached if each.key})

    @property
    def started(self) -> list[str]:
        return sorted({each.run_id for each in self.reached if not each.key})

    def to_json(self) -> dict[str, Json]:
        return {**event_json(self.event), "new": self.new, "told": self.told, "started": self.started}


async def _came_of(journal: Journal, sent: Event, *, new: bool) -> Sent:
    event = await journal.event(sent.source, sent.id) or sent
    return Sent(event=event, new=new, reached=await journal.reached(event.seq))


def event_json(event: Event) -> dict[str, Json]:
    """An event as scripts see it in lists."""
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "received_at": iso(event.received_at),
        "routed": event.routed_at is not None,
        "deliveries": event.deliveries,
        "notes": event.notes,
    }


async def _say(journal: Journal, sent: Sent) -> None:
    err.print(_words(sent), markup=False)
    for name, ids in (("told", sent.told), ("started", sent.started)):
        for run_id in ids[:MOST_SHOWN]:
            run = await journal.run(run_id)
            if run is not None:
                err.print(f"  {name:<7} {SYMBOLS[run.status]}  {run.namespace}/{run.workflow}  [dim]{run.id}[/]")


def _words(sent: Sent) -> str:
    """What came of one event."""
    event = sent.event
    name = f"{event.type} {event.id}"
    if not sent.new:
        return f"{name} was known already: {event.source} and {event.id} count once."
    if event.routed_at is None:
        return f"{name} is kept. Who hears of it is decided by the process that has the store."
    reached = [counted(len(sent.told), "run hears", "runs hear") + " of it"] if sent.told else []
    reached += [counted(len(sent.started), "run was", "runs were") + " started by it"] if sent.started else []
    if reached:
        return f"{name}: {' and '.join(reached)}."
    if event.deliveries:
        return f"{name} waits for the events that start a run together with it."
    return f"{name} is kept; nobody wants it now. A run that began before and listens later still finds it."


def _sum_up(sent: Sequence[Sent]) -> None:
    new = [each for each in sent if each.new]
    unwanted = [each for each in new if each.event.routed_at is not None and not each.event.deliveries]
    err.print(f"{counted(len(new), 'event')} received, {counted(len(sent) - len(new), 'duplicate')} dropped.")
    if unwanted:
        err.print(f"Nobody wants {len(unwanted):,} of them: orchestrion events list --unwanted")


def list_events(
    type_: str | None, source: str | None, *, unwanted: bool, limit: int, project: Path, as_json: bool
) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            which = EventQuery(type=type_, source=source, unwanted=unwanted, limit=limit)
            found = await journal.events(which) if journal else ()
        if as_json:
            print_json([event_json(event) for event in found])
        elif found:
            out.print(_table(found))
        else:
            err.print("No such events." if type_ or source or unwanted else "No events yet.")
        return 0

    execute(work, as_json=as_json)


def _table(found: Sequence[Event]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("received", no_wrap=True)
    for name in ("type", "source", "id"):
        table.add_column(name, overflow="fold")
    table.add_column("reached", overflow="fold")
    for event in found:
        received = iso(event.received_at)[:19].replace("T", " ")
        table.add_row(received, Text(event.type), Text(event.source), Text(event.id), _reach(event))
    return table


def _reach(event: Event) -> str:
    if event.routed_at is None:
        return "to be decided"
    reached = counted(event.deliveries, "run") if event.deliveries else "nobody"
    return f"{reached} (a filter failed)" if event.notes else reached


def show_event(event_id: str, source: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            event = await _required(journal, event_id, source)
            assert journal is not None
            reached = await journal.reached(event.seq)
            if as_json:
                found = Sent(event=event, new=False, reached=reached).to_json()
                print_json({**found, "event": event.body, "labels": event.labels})
                return 0
            out.print_json(data=event.body)
            out.print(f"received {iso(event.received_at)}; reached {_reach(event)}", markup=False)
            for each in reached[:MOST_SHOWN]:
                run = await journal.run(each.run_id)
                if run is not None:
                    how = f"listened at {escape(each.key)}" if each.key else "was started by it"
                    name = f"{SYMBOLS[run.status]}  {run.namespace}/{run.workflow}  [dim]{run.id}[/]"
                    out.print(f"  {name}  {how}")
            if event.notes is not None:
                out.print("A filter could not be evaluated:")
                out.print_json(data=event.notes)
        return 0

    execute(work, as_json=as_json)


async def _required(journal: Journal | None, event_id: str, source: str | None) -> Event:
    """Raises: UserError `unknown-event`, `ambiguous-event`."""
    if journal is not None and source is not None:
        found = [event for event in [await journal.event(source, event_id)] if event is not None]
    else:
        found = list(await journal.events(EventQuery(id=event_id, limit=2))) if journal else []
    if len(found) > 1:
        sources = ", ".join(event.source for event in found)
        raise UserError(
            "ambiguous-event", f"Several events have the id {event_id!r}: of {sources}.", hint="Say which: --source."
        )
    if not found:
        raise UserError(
            "unknown-event", f"There is no event {event_id!r}.", hint="`orchestrion events list` shows them."
        )
    return found[0]
