"""`listen`: events taken one by one, in the order they were received, until there are enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from orchestrion.core import (
    Consumed,
    Datum,
    Event,
    Finished,
    Interest,
    Json,
    OrchestrionError,
    expectation,
    labels_from,
    merge_labels,
    move_labels,
)
from orchestrion.spec import Foreach, ListenTask, Strategy

from ._evaluate import Evaluation, require_valid
from ._filters import read_event, values_of
from ._interests import Wanted, wanted_by
from ._state import Evaluator, Passed, Strand, datum_from, datum_json

if TYPE_CHECKING:
    from ._interpreter import Interpreter


@dataclass(slots=True)
class Side:
    """What is listened for, or what ends it: a strategy, and the events taken for it so far."""

    strategy: Strategy
    wanted: Sequence[Wanted]
    taken: list[Sequence[int]] = field(default_factory=list[Sequence[int]])
    """For each event the places it fits; only `all` must remember them."""

    def has_room(self, places: Sequence[int]) -> bool:
        """Whether an event that fits these places still helps."""
        if not places:
            return False
        return self.strategy.kind != "all" or _placed([*self.taken, places]) is not None

    @property
    def complete(self) -> bool:
        return len(self.taken) >= (len(self.wanted) if self.strategy.kind == "all" else 1)


def _placed(events: Sequence[Sequence[int]]) -> dict[int, int] | None:
    """Place → event, with a place for each event; None when there are not enough. An earlier event may move to another place."""
    found: dict[int, int] = {}

    def place(event: int, tried: set[int]) -> bool:
        for at in events[event]:
            if at not in tried:
                tried.add(at)
                if at not in found or place(found[at], tried):
                    found[at] = event
                    return True
        return False

    return found if all(place(event, set()) for event in range(len(events))) else None


@dataclass(slots=True)
class Progress:
    """How far a listen has come."""

    main: Side
    until: Side | None
    cursor: int = 0
    """The number of the next event, those that end it included."""
    items: int = 0
    correlation: dict[str, Json] = field(default_factory=dict[str, Json])
    """Name → what the first event gave."""

    def take(self, note: Json) -> bool:
        """Note an event that was taken; whether it is one of those listened for."""
        body = cast("Mapping[str, Json]", note)
        self.cursor += 1
        self.correlation.update(cast("Mapping[str, Json]", body["correlation"]))
        mine = body["for"] == "listen"
        side = self.main if mine or self.until is None else self.until
        if side.strategy.kind == "all" or not side.taken:
            side.taken.append(cast("Sequence[int]", body["places"]))
        self.items += mine
        return mine

    def to_json(self) -> dict[str, Json]:
        return {
            "cursor": self.cursor,
            "items": self.items,
            "correlation": self.correlation,
            "taken": [list(places) for places in self.main.taken],
            "until": [list(places) for places in self.until.taken] if self.until is not None else None,
        }

    def resume(self, saved: Mapping[str, Json]) -> None:
        self.cursor, self.items = cast("int", saved["cursor"]), cast("int", saved["items"])
        self.correlation = dict(cast("Mapping[str, Json]", saved["correlation"]))
        self.main.taken = list(cast("Sequence[Sequence[int]]", saved["taken"]))
        if self.until is not None:
            self.until.taken = list(cast("Sequence[Sequence[int]]", saved["until"]))


async def perform_listen(
    interpreter: "Interpreter", strand: Strand, task: ListenTask, key: str, evaluation: Evaluation
) -> Passed:
    """Listen as the task says; the output is the list of its events, or of what `foreach` made of them."""
    until = task.to.until
    # evaluated before `foreach`, on an earlier walk, changed `$context`
    main = Side(task.to, await wanted_by(task.to, evaluation))
    ending = Side(until, await wanted_by(until, evaluation)) if isinstance(until, Strategy) else None
    wanted = [*main.wanted, *(ending.wanted if ending is not None else ())]
    interests = [each.interest for each in wanted if each.interest is not None]
    await strand.effects.subscribe(key, task.pointer, interests)
    listening = Listening(interpreter, strand, task, key, evaluation, Progress(main, ending))
    listening.resume()
    passed = await listening.perform()
    await strand.effects.unsubscribe(key)
    return passed


class Listening:
    """One visit of a listen task."""

    def __init__(
        self,
        interpreter: "Interpreter",
        strand: Strand,
        task: ListenTask,
        key: str,
        evaluation: Evaluation,
        progress: Progress,
    ) -> None:
        self._interpreter = interpreter
        self._strand = strand
        self._task = task
        self._key = key
        self._evaluation = evaluation
        self._progress = progress
        self._matching = Matching(interpreter.evaluator, progress)
        self._endless = isinstance(task.to.until, str) and task.to.until in {"false", "null"}
        self._outputs: list[Datum] = []

    async def perform(self) -> Passed:
        progress, effects = self._progress, self._strand.effects
        if progress.cursor and await self._done():
            return Passed(listed(self._outputs))
        while True:
            number = progress.cursor
            event_key = f"{self._key}/event/{number}"
            consumed = await effects.receive(event_key, self._task.pointer, self._key, self._matching.note)
            if progress.take(consumed.note):
                passed = await self._item(event_key, self._read(consumed))
                if passed.end:
                    return passed
            # also after the last event: a later walk must not enter `foreach` again, whose entries it may not have
            state: dict[str, Json] = {**progress.to_json(), "context": datum_json(self._strand.context)}
            effects.save(f"{self._key}/listening", state, Finished(under=[]))
            if await self._done():
                return Passed(listed(self._outputs))

    async def _done(self) -> bool:
        until = self._task.to.until
        if self._progress.until is not None:
            return self._progress.until.complete
        if self._endless:
            return False
        if isinstance(until, str):
            return await self._evaluation.holds(until, listed(self._outputs))
        return self._progress.main.complete

    def _read(self, consumed: Consumed) -> Datum:
        return read_datum(consumed.body, labels_from(cast("Json", consumed.labels)), self._task.read)

    async def _item(self, event_key: str, item: Datum) -> Passed:
        """What `foreach` does with one event, before the next is taken."""
        foreach, strand = self._task.foreach, self._strand
        if foreach is None:
            self._keep(item)
            return Passed(item)
        variables = {foreach.item: item, foreach.at: Datum(self._progress.items - 1)}
        inner = strand.inside(variables=variables)
        try:
            passed = await self._interpreter.list(inner, foreach.do, f"{event_key}/do", item)
        finally:
            strand.leave(inner)
        if passed.end:
            return passed
        output = await self._finished(foreach, passed.output, variables)
        self._keep(output)
        if not self._endless:
            strand.effects.save(f"{event_key}/done", datum_json(output), Finished(under=[f"{event_key}/do"]))
        return Passed(output)

    def _keep(self, output: Datum) -> None:
        """What listens for ever never gives its events back."""
        if not self._endless:
            self._outputs.append(output)

    async def _finished(self, foreach: Foreach, output: Datum, variables: Mapping[str, Datum]) -> Datum:
        name = self._task.name
        if foreach.output.as_ is not None:
            output = await self._evaluation.template(foreach.output.as_, output, variables)
        require_valid(foreach.output.schema, output.value, f"An output of {name!r}")
        if foreach.export.as_ is not None:
            context = await self._evaluation.template(foreach.export.as_, output, variables)
            require_valid(foreach.export.schema, context.value, f"The export of {name!r}")
            self._strand.context = context
        return output

    def resume(self) -> None:
        """Go on after the last event that was done with."""
        saved = cast("Mapping[str, Json] | None", self._strand.effects.saved(f"{self._key}/listening"))
        if saved is None:
            return
        self._progress.resume(saved)
        self._strand.context = datum_from(saved["context"])
        if not self._endless:
            outputs = (self._output(f"{self._key}/event/{number}") for number in range(self._progress.cursor))
            self._outputs += [output for output in outputs if output is not None]

    def _output(self, event_key: str) -> Datum | None:
        """What became of an event on an earlier walk; None for one that was only to end the listening."""
        effects = self._strand.effects
        if self._task.foreach is not None:
            done = effects.saved(f"{event_key}/done")
            return None if done is None else datum_from(done)
        consumed = effects.consumed(event_key)
        mine = consumed is not None and cast("Mapping[str, Json]", consumed.note)["for"] == "listen"
        return self._read(consumed) if consumed is not None and mine else None


class Matching:
    """Says what an event is good for, given what was taken before."""

    def __init__(self, evaluator: Evaluator, progress: Progress) -> None:
        self._evaluator = evaluator
        self._progress = progress

    async def note(self, event: Event) -> Json:
        """What to remember of the event when it is taken. None if it fits no filter, False if it fits and does not help any more.

        What ends a listen goes first.
        """
        progress = self._progress
        refusal: Json = None
        for name, side in (("until", progress.until), ("listen", progress.main)):
            found: dict[int, Mapping[str, Json]] = {}
            for at, wanted in enumerate(side.wanted if side is not None else ()):
                if await self._is_for(wanted, event):
                    refusal = False
                    values = await self._correlated(wanted, event)
                    if values is not None:
                        found[at] = values
            places = list(found)
            if side is not None and side.has_room(places):
                return {"for": name, "places": places, "correlation": dict(found[places[0]])}
        return refusal

    async def _is_for(self, wanted: Wanted, event: Event) -> bool:
        """An event that a filter cannot be evaluated for is not what is wanted; routing tells of the error."""
        try:
            return wanted.interest is not None and await _is_for(wanted.interest, event, self._evaluator)
        except OrchestrionError:
            return False

    async def _correlated(self, wanted: Wanted, event: Event) -> Mapping[str, Json] | None:
        try:
            return await correlated(wanted, event, self._progress.correlation, self._evaluator)
        except OrchestrionError:
            return None


async def fits(wanted: Wanted, event: Event, evaluator: Evaluator) -> Mapping[str, Json] | None:
    """The values the event correlates by, if it is what is wanted. Raises: OrchestrionError."""
    if wanted.interest is None or not await _is_for(wanted.interest, event, evaluator):
        return None
    return await correlated(wanted, event, {}, evaluator)


async def correlated(
    wanted: Wanted, event: Event, known: Mapping[str, Json], evaluator: Evaluator
) -> Mapping[str, Json] | None:
    """The values the event correlates by; None if one is missing, or differs from what is known. Raises: OrchestrionError."""
    found: dict[str, Json] = {}
    for name, program, variables in wanted.first:
        (value,) = await evaluator.evaluate([program], {**variables, ".": event.body})
        if value is None or known.get(name, value) != value:
            return None
        found[name] = value
    return found


async def _is_for(interest: Interest, event: Event, evaluator: Evaluator) -> bool:
    values = await values_of(interest.filter, event, evaluator)
    return values is not None and (interest.expected is None or expectation(values) == interest.expected)


def read_datum(body: Mapping[str, Json], labels: Mapping[str, frozenset[str]], read: str) -> Datum:
    """An event as a document reads it, with the labels of what it was taken from."""
    value, place = read_event(body, read)
    whole = Datum(body, labels)
    if place is None:
        every = whole.every_label()
        return Datum(value, {"": every} if every else {})
    return Datum(value, whole.part(place))


def listed(items: Sequence[Datum]) -> Datum:
    """A list of values, each with its labels."""
    labels = merge_labels(move_labels(item.labels, f"/{at}") for at, item in enumerate(items))
    return Datum([item.value for item in items], labels)
