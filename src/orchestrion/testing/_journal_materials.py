"""What checks of journals are made of."""

from collections.abc import Awaitable
from dataclasses import replace

from orchestrion.core import (
    Answer,
    Datum,
    Entry,
    EntryKind,
    EntryStatus,
    Fenced,
    History,
    Journal,
    Json,
    Question,
    Request,
    Run,
    UserError,
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


async def the_run(journal: Journal, name: str) -> Run:
    run = await journal.run(name)
    assert run is not None
    return run


async def the_entry(journal: Journal, run_id: str, key: str) -> Entry:
    return {entry.key: entry for entry in await journal.entries(run_id)}[key]
