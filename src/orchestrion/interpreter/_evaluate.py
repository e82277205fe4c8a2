"""Expressions of a task: the variables they see, and the labels their results carry."""

from collections.abc import Mapping, Sequence
from typing import cast

from orchestrion import __version__
from orchestrion.core import Datum, Json, UserError, iso, merge_labels, move_labels
from orchestrion.expressions import mentions_now, read_by, variables_of
from orchestrion.spec import Schema, Task, Template

from ._labels import labels_of_result
from ._state import Evaluator, Strand

RUNTIME: Mapping[str, Json] = {"name": "orchestrion", "version": __version__, "metadata": {}}
DRY_RUNTIME: Mapping[str, Json] = {**RUNTIME, "metadata": {"dryRun": True}}


class Evaluation:
    """Evaluates what one task says, over what is known at this point of it."""

    def __init__(self, evaluator: Evaluator, strand: Strand, task: Task | None, key: str) -> None:
        self._evaluator = evaluator
        self._strand = strand
        self._task = task
        self._key = key
        self._started_at: float | None = None
        self.raw_input: Datum = Datum()
        self.input: Datum = Datum()
        self.output: Datum | None = None

    async def template(self, template: Template, dot: Datum, extra: Mapping[str, Datum] | None = None) -> Datum:
        """The template's value over `.` = `dot`, with the labels of what its expressions mention."""
        if not template.programs:
            return self._said(Datum(template.fill()))
        results = await self.programs(template.programs, dot, extra)
        labels = merge_labels(
            move_labels(result.labels, place) for result, place in zip(results, template.places, strict=True)
        )
        return self._said(Datum(template.fill([result.value for result in results]), labels))

    def _said(self, datum: Datum) -> Datum:
        """What a function from elsewhere says carries the labels of its definition."""
        foreign = self._strand.foreign
        return datum.labelled(*foreign[-1].labels) if foreign and foreign[-1].labels else datum

    async def program(self, program: str, dot: Datum, extra: Mapping[str, Datum] | None = None) -> Datum:
        return (await self.programs([program], dot, extra))[0]

    async def holds(self, program: str, dot: Datum, extra: Mapping[str, Datum] | None = None) -> bool:
        """Whether the result is neither false nor null."""
        value = (await self.program(program, dot, extra)).value
        return value is not None and value is not False

    async def programs(
        self, programs: Sequence[str], dot: Datum, extra: Mapping[str, Datum] | None = None
    ) -> list[Datum]:
        known = await self._variables(programs, dot, extra or {})
        values = await self._evaluator.evaluate(programs, {name: datum.value for name, datum in known.items()})
        return [
            Datum(value, labels_of_result(program, known, value))
            for program, value in zip(programs, values, strict=True)
        ]

    async def read_by(self, program: str) -> dict[str, Json]:
        """The values of the variables a program mentions, as far as it reads them; without `.`."""
        known = await self._variables([program], Datum(), {})
        return {name: read_by(program, name, datum.value) for name, datum in known.items() if name != "."}

    async def _variables(self, programs: Sequence[str], dot: Datum, extra: Mapping[str, Datum]) -> dict[str, Datum]:
        """`.` and those variables that a program mentions."""
        mentioned = frozenset[str]().union(*(variables_of(program) for program in programs))
        known: dict[str, Datum] = {".": dot}
        offered = {**self._strand.variables, **extra}
        known |= {name: offered[name] for name in mentioned if name in offered}
        if "context" in mentioned:
            known["context"] = self._strand.context
        if "input" in mentioned:
            known["input"] = self.input
        if "output" in mentioned and self.output is not None:
            known["output"] = self.output
        if "workflow" in mentioned:
            known["workflow"] = self._workflow(programs)
        if "runtime" in mentioned:
            known["runtime"] = Datum(DRY_RUNTIME if self._strand.effects.run.dry else RUNTIME)
        if "task" in mentioned:
            extended = self._strand.extending
            known["task"] = await (extended.described(programs) if extended else self._describe_task(programs))
        if any(mentions_now(program) for program in programs):
            known["__now"] = Datum(await self._started())
        return known

    def _workflow(self, programs: Sequence[str]) -> Datum:
        strand, run = self._strand, self._strand.effects.run
        value: dict[str, Json] = {
            "id": run.id,
            "input": strand.input.value,
            "startedAt": _moment(run.started_at),
        }
        if _speaks_of("definition", programs):
            value["definition"] = strand.document.json
        return Datum(value, move_labels(strand.input.labels, "/input"))

    async def _describe_task(self, programs: Sequence[str]) -> Datum:
        task = self._task
        value: dict[str, Json] = {"input": self.raw_input.value, "output": self.output.value if self.output else None}
        labels = [move_labels(self.raw_input.labels, "/input")]
        if self.output is not None:
            labels.append(move_labels(self.output.labels, "/output"))
        if task is not None:
            value |= {"name": task.name, "reference": task.pointer}
            if _speaks_of("definition", programs):
                value["definition"] = self._strand.definition(task.pointer)
        if _speaks_of("startedAt", programs):
            value["startedAt"] = _moment(await self._started())
        return Datum(value, merge_labels(labels))

    async def described(self, programs: Sequence[str]) -> Datum:
        """`$task` for the extensions of this task: what it always is, and the members of its definition as they are written.

        The standard's own examples ask for `$task.with` there. `input` and `output` are the data, not the definition's.
        """
        known = await self._describe_task(programs)
        definition = self._strand.definition(self._task.pointer) if self._task else None
        if not isinstance(definition, Mapping):
            return known
        return Datum({**definition, **cast("Mapping[str, Json]", known.value)}, known.labels)

    async def _started(self) -> float:
        """When the task started, as recorded: an awaited entry, written only for tasks that mention it."""
        if self._started_at is None:
            self._started_at = await self._strand.effects.now(
                f"{self._key}/started", self._task.pointer if self._task else ""
            )
        return self._started_at


def require_valid(schema: Schema | None, value: Json, what: str) -> None:
    """Raises: UserError `schema-mismatch` that says where, never with the value."""
    if schema is None or schema.accepts(value):
        return
    places = "; ".join(f"{v.pointer or '/'}: {v.message}" for v in schema.violations(value, limit=3))
    raise UserError("schema-mismatch", f"{what} does not fit its schema: {places}.")


def _speaks_of(word: str, programs: Sequence[str]) -> bool:
    return any(word in program for program in programs)


def _moment(at: float) -> dict[str, Json]:
    milliseconds = round(at * 1000)
    return {"iso8601": iso(at), "epoch": {"seconds": milliseconds // 1000, "milliseconds": milliseconds}}
