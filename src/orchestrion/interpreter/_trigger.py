"""`schedule.on`: whether an event starts a run, alone or together with others, and what the run is given."""

from collections.abc import Mapping, Sequence

from orchestrion.core import Datum, Event, Json, expectation, labels_from
from orchestrion.spec import Template, Trigger

from ._interests import Wanted, wanted_by
from ._listen import fits, listed, read_datum
from ._state import Evaluator


class Started:
    """What starts runs of one document, ready to be compared with events."""

    def __init__(self, trigger: Trigger, evaluator: Evaluator) -> None:
        self._trigger = trigger
        self._evaluator = evaluator
        self._wanted: Sequence[Wanted] | None = None

    @property
    def places(self) -> int:
        """How many events start a run together."""
        return len(self._trigger.on.patterns) if self._trigger.on.kind == "all" else 1

    async def by(self, event: Event) -> Sequence[tuple[int, str]]:
        """The places the event fits, each with the digest of the values it correlates by. Raises: OrchestrionError."""
        if self._wanted is None:
            self._wanted = await wanted_by(self._trigger.on, _NothingKnown(self._evaluator))
        found: list[tuple[int, str]] = []
        for place, wanted in enumerate(self._wanted):
            values = await fits(wanted, event, self._evaluator)
            if values is not None:
                found.append((place, expectation([values])))
        return found[:1] if self.places == 1 else found

    def input(self, events: Sequence[Event]) -> Datum:
        """The run's input: the events, in the order they were received."""
        return listed([read_datum(event.body, labels_from(event.labels), self._trigger.read) for event in events])


class _NothingKnown:
    """What expressions see before there is a run: nothing."""

    input = Datum()

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator

    async def program(self, program: str, dot: Datum) -> Datum:
        (value,) = await self._evaluator.evaluate([program], {".": dot.value})
        return Datum(value)

    async def template(self, template: Template, dot: Datum) -> Datum:
        if not template.programs:
            return Datum(template.fill())
        return Datum(template.fill(await self._evaluator.evaluate(template.programs, {".": dot.value})))

    async def read_by(self, program: str) -> Mapping[str, Json]:
        return {}
