"""The people of a simulation: they answer late, twice or never, cancel, and try again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from orchestrion.core import (
    Answer,
    Datum,
    Event,
    Journal,
    Json,
    Request,
    RequestStatus,
    Run,
    RunStatus,
    TransientError,
    UserError,
    Verdict,
    event_of,
)
from orchestrion.engine import Engine

from ._generate import EVENTS
from ._journal import SimulatedJournal, at_once
from ._loop import SimulatedTime
from ._world import World

_VERDICTS: Mapping[str, Sequence[str]] = {
    "human": ("answered",) * 6 + ("rejected",),
    "approval": ("approved", "approved", "rejected"),
    "interrupted": ("truth", "truth", "failed"),
}


@dataclass(slots=True)
class Plan:
    """What somebody will do about one request."""

    at: float
    verdict: str
    twice: bool
    tries: int = 0
    refused: bool = False
    accepted: int = 0

    @property
    def done(self) -> bool:
        return self.refused or self.accepted > self.twice


@dataclass(slots=True)
class People:
    """Everybody outside, over all processes of a simulation."""

    random: Random
    time: SimulatedTime
    unit_s: float
    disk: Journal
    world: World
    root: str
    wrong: Callable[[str], None]
    tell: Callable[[str], None]
    listening: Callable[[], bool]
    """Whether any run waits for events."""
    unprompted: list[float] = field(default_factory=list[float])
    """When events are sent that perhaps nobody waits for."""
    next_event_at: float = 0.0
    sent: list[Event] = field(default_factory=list[Event])
    cancel_at: float | None = None
    retries: int = 0
    cancelled_at: float | None = None
    """When a cancel was accepted."""
    cancelled_from_outside: bool = False
    """Whether the process that walks the run must look for it."""
    retried: int = 0
    said: list[tuple[Request, Answer]] = field(default_factory=list[tuple[Request, Answer]])
    """Every answer anybody tried to give."""
    plans: dict[tuple[str, float], Plan] = field(default_factory=dict[tuple[str, float], Plan])

    def __post_init__(self) -> None:
        if self.random.random() < 0.25:
            self.cancel_at = self.unit_s * 10 ** self.random.uniform(-2, 1)
        self.retries = self.random.choice((0, 0, 1, 2))
        self.unprompted = [self._soon() - self.time.now() for _ in range(self.random.randint(0, 3))]

    def _soon(self) -> float:
        return self.time.now() + self.unit_s * 10 ** self.random.uniform(-2.5, 0.7)

    def content(self, *, all_ended: bool) -> bool:
        """Whether nobody wants anything any more."""
        return all_ended and not self._wants_retry(all_ended=all_ended)

    def _wants_retry(self, *, all_ended: bool) -> bool:
        return bool(self.retries) and all_ended and self._root().status is RunStatus.FAULTED

    def _root(self) -> Run:
        run = at_once(self.disk.run(self.root))
        assert run is not None
        return run

    async def act(self, engine: Engine, journal: SimulatedJournal, *, all_ended: bool) -> bool:
        """Do one thing that is due; False when nothing is."""
        if self.cancel_at is not None and self.time.elapsed_s > self.cancel_at:
            self.cancel_at = None
            await self._cancel(engine, journal)
            return True
        if self._wants_retry(all_ended=all_ended):
            await self._retry(engine)
            return True
        for request in at_once(self.disk.requests(status=RequestStatus.OPEN)):
            plan = self.plans.setdefault((request.id, request.created_at), self._plan(request))
            if self.time.now() >= plan.at and not plan.done:
                await self._answer(request, plan, engine, journal)
                return True
        return await self._answer_again(engine, journal) or await self._send(engine, journal)

    async def _cancel(self, engine: Engine, journal: SimulatedJournal) -> None:
        self.tell("somebody cancels the run")
        try:
            if self.random.random() < 0.5:
                self.cancelled_from_outside = journal.changed_by_others = True
                at_once(self.disk.cancel(self.root, "ana"))
            else:
                await engine.cancel(self.root, "ana")
        except TransientError:
            self.cancel_at = self.time.elapsed_s
        except UserError as error:
            if not self._root().status.ended:
                self.wrong(f"a run could not be cancelled: {error}")
        else:
            self.cancelled_at = self.time.now()

    async def _retry(self, engine: Engine) -> None:
        self.tell("somebody tries the run again")
        self.retries -= 1
        self.retried += 1
        try:
            await engine.retry(self.root, "ana")
        except TransientError:
            self.retries += 1

    # --- events ---

    async def _send(self, engine: Engine, journal: SimulatedJournal) -> bool:
        """Events are sent as long as somebody waits for them; some of them twice."""
        if self.unprompted and self.time.elapsed_s >= min(self.unprompted):
            self.unprompted.remove(min(self.unprompted))
        elif self.time.now() < self.next_event_at or not self.listening():
            return False
        self.next_event_at = self._soon()
        event = self.random.choice(self.sent) if self.sent and self.random.random() < 0.2 else self._new_event()
        self.tell(f"somebody sends {event.type} {event.id}")
        try:
            if self.random.random() < 0.3:
                journal.changed_by_others = True
                new = at_once(self.disk.receive(event))
            else:
                new = await engine.receive(event)
        except TransientError:
            return True
        if new and event in self.sent:
            self.wrong(f"the event {event.id} was received twice")
        self.sent.append(event)
        return True

    def _new_event(self) -> Event:
        data: Json = {"kind": self.random.randint(0, 1), "n": len(self.sent)}
        kind = self.random.choice(EVENTS)
        return event_of(
            {"source": "/people", "id": f"event-{self.time.elapsed_s}", "type": kind, "data": data}, now=self.time.now()
        )

    # --- answers ---

    def _plan(self, request: Request) -> Plan:
        at = self.time.now() + self.unit_s * 10 ** self.random.uniform(-2.5, 0.9)
        if self.random.random() < 0.1:
            at += 20 * self.unit_s
        return Plan(at, self.random.choice(_VERDICTS[request.question.kind]), self.random.random() < 0.15)

    async def _answer_again(self, engine: Engine, journal: SimulatedJournal) -> bool:
        """Some answer a second time, which nobody must take."""
        for (request_id, created_at), plan in self.plans.items():
            if plan.accepted and not plan.done:
                request = at_once(self.disk.request(request_id))
                if request is not None and request.created_at == created_at:
                    await self._answer(request, plan, engine, journal)
                    return True
        return False

    async def _answer(self, request: Request, plan: Plan, engine: Engine, journal: SimulatedJournal) -> None:
        plan.tries += 1
        answer = self._words(request, plan.verdict)
        self.said.append((request, answer))
        self.tell(f"somebody answers {request.key}: {answer.verdict}")
        try:
            if self.random.random() < 0.3:
                journal.changed_by_others = True
                at_once(self.disk.answer(request.id, answer))
            else:
                await engine.answer(request.id, answer)
        except TransientError:
            return
        except UserError as error:
            plan.refused = True
            self._refused(request, error, plan)
        else:
            plan.accepted += 1
            if plan.accepted > 1:
                self.wrong(f"the request at {request.key} was answered twice")

    def _words(self, request: Request, verdict: str) -> Answer:
        """What is said. No two answers are the same."""
        value: Json = {"n": len(self.said)} if verdict == "answered" else None
        if verdict == "truth":
            key = request.key.partition("/interrupted/")[0]
            happened = self.world.happened(request.run_id, key)
            verdict, value = ("performed", {"settled": len(self.said)}) if happened else ("again", None)
        spoken: Verdict = verdict  # pyright: ignore[reportAssignmentType] the plan's words are verdicts
        return Answer(verdict=spoken, by="ana", at=self.time.now(), value=Datum(value))

    def _refused(self, request: Request, error: UserError, plan: Plan) -> None:
        now = at_once(self.disk.request(request.id))
        due = {
            "already-decided": plan.tries > 1,
            "request-expired": request.expires_at is not None and request.expires_at <= self.time.now(),
            "request-withdrawn": now is not None and now.status is RequestStatus.WITHDRAWN,
            "unknown-request": self.retried > 0,
        }
        if not due.get(error.code, False):
            self.wrong(f"an answer to {request.key} was refused: {error}")
