"""Calls of functions that are defined outside the document: in a catalog, or at an address."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from orchestrion.core import Datum, Finished, Invocation, Json, UserError, digest, dump
from orchestrion.spec import CallTask, Task, pointer_step, read_function

from ._evaluate import Evaluation
from ._state import Foreign, Passed, Strand, datum_from, datum_json

if TYPE_CHECKING:
    from ._interpreter import Interpreter

MOST_NESTED = 8
"""How deep functions from elsewhere may call each other."""
_MOST_READ = 64


class Definitions:
    """Definitions that were read, by digest and what the call says: the same ones are called over and over."""

    def __init__(self) -> None:
        self._read: dict[str, Task] = {}

    def task(self, called: str, found: Mapping[str, Json]) -> Task:
        """Raises: UserError `unreadable-function` when this release cannot read what an earlier one recorded."""
        place = f"{found['digest']} {called}"
        task = self._read.get(place)
        if task is None:
            name = called.partition(":")[0] if "@" in called and "://" not in called else "function"
            reading = read_function(
                dump(described(called, found)), name=name, file=called, at=f"/functions{pointer_step(called)}"
            )
            if reading.task is None:
                raise UserError(
                    "unreadable-function",
                    f"The definition of {called!r} that the run began with cannot be read: {reading.findings[0].message}",
                    hint="Cancel the run, or finish it with the release that began it.",
                )
            if len(self._read) >= _MOST_READ:
                self._read.pop(next(iter(self._read)))
            task = self._read[place] = reading.task
        return task


def described(called: str, found: Mapping[str, Json]) -> Json:
    """The document that pointers of the function's tasks lead into."""
    return {"functions": {called: found["definition"]}}


async def perform_elsewhere(
    interpreter: "Interpreter", strand: Strand, task: CallTask, key: str, evaluation: Evaluation, arguments: Datum
) -> Passed:
    """The function's task on the arguments. It acts for the workflow; what it says by itself is as untrusted as its definition.

    Raises: UserError `recursive-function`, `functions-too-deep`, `unreadable-function`, `description-not-asked`; Faulted
    with what reading the definition met.
    """
    assert task.definition is not None
    wanted = await evaluation.template(task.definition, evaluation.input)
    place = digest(wanted.value)
    path = [*(each.called for each in strand.foreign), task.function]
    if any(each.place == place for each in strand.foreign):
        raise UserError(
            "recursive-function", f"The function {task.function!r} calls itself: {' → '.join(path)}.", hint="Use `for`."
        )
    if len(strand.foreign) >= MOST_NESTED:
        raise UserError(
            "functions-too-deep",
            f"More than {MOST_NESTED} functions call each other: {' → '.join(path)}.",
            hint="Call fewer from each other.",
        )
    pin = f"/functions/{place}"
    saved = strand.effects.saved(pin)
    if saved is None:
        outcome = await strand.effects.invoke(
            Invocation(key=f"{key}/definition", task=task.pointer, function="definition:1.0.0", arguments=wanted)
        )
        if strand.effects.run.dry and (answer := _simulated(outcome.output, outcome.why, task)) is not None:
            return Passed(answer)
        saved = strand.effects.saved(pin)
        if saved is None:  # no other branch was first: from here on the run knows no other text
            saved = datum_json(outcome.output)
            strand.effects.save(pin, saved, Finished(under=[]))
    found = datum_from(saved)
    described_as = cast("Mapping[str, Json]", found.value)
    defined = interpreter.definitions.task(task.function, described_as)
    inner = strand.within_function(
        Foreign(
            called=task.function,
            place=place,
            document=described(task.function, described_as),
            labels=found.every_label(),
        ),
        arguments,
    )
    passed, _ = await interpreter.task(inner, defined, f"{key}/call/{defined.name}#1", arguments)
    return passed


def _simulated(output: Datum, why: Json, task: CallTask) -> Datum | None:
    """What a dry run gives in place of the call; None where it read the definition. Raises: UserError `description-not-asked`."""
    how = str(why.get("simulated", "")) if isinstance(why, Mapping) else ""
    if not how:
        return None
    if how.startswith("mock "):
        return output
    raise UserError(
        "description-not-asked",
        f"A dry run does not read the definition of {task.function!r}.",
        hint="Mock what the task gives, or keep the catalog as a folder of the project.",
    )
