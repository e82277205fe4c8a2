"""What a document listens for, made into filters: what differs from run to run becomes values to be found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from orchestrion.core import Datum, EventFilter, Interest, Json, Place, expectation
from orchestrion.expressions import is_simple_path, needs_input
from orchestrion.spec import Condition, Correlation, EventPattern, Strategy, Template

Variables = Mapping[str, Json]


class Knowledge(Protocol):
    """What expressions of a filter may know when listening begins."""

    @property
    def input(self) -> Datum: ...

    async def program(self, program: str, dot: Datum) -> Datum: ...

    async def template(self, template: Template, dot: Datum) -> Datum: ...

    async def read_by(self, program: str) -> Variables:
        """The values of the variables a program mentions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One kind of event, ready to be compared: `interest` is None for one that no event can be."""

    interest: Interest | None
    first: Sequence[tuple[str, str, Variables]] = ()
    """Correlations by what the first event gives: name, program over the event, and the variables it reads."""


@dataclass(slots=True)
class _Parts:
    """A filter while it is put together."""

    type: str | None = None
    literals: list[tuple[Place, Json]] = field(default_factory=list[tuple[Place, Json]])
    patterns: list[tuple[Place, str]] = field(default_factory=list[tuple[Place, str]])
    programs: list[tuple[Place, str, Variables]] = field(default_factory=list[tuple[Place, str, Variables]])
    equal: list[tuple[Place, Json]] = field(default_factory=list[tuple[Place, Json]])
    keys: list[tuple[str, Variables, Json]] = field(default_factory=list[tuple[str, Variables, Json]])
    impossible: bool = False

    def interest(self) -> Interest | None:
        if self.impossible:
            return None
        wanted = EventFilter(
            type=self.type,
            literals=tuple(self.literals),
            patterns=tuple(self.patterns),
            programs=tuple(self.programs),
            equal=tuple(place for place, _ in self.equal),
            keys=tuple((program, variables) for program, variables, _ in self.keys),
        )
        values = [*(value for _, value in self.equal), *(value for _, _, value in self.keys)]
        return Interest(filter=wanted, expected=expectation(values) if wanted.discerns else None)


async def wanted_by(strategy: Strategy, known: Knowledge) -> list[Wanted]:
    """One for each kind of event, in order; `any` without patterns wants everything."""
    if not strategy.patterns:
        return [Wanted(interest=Interest(filter=EventFilter()))]
    return [await _wanted(pattern, known) for pattern in strategy.patterns]


async def _wanted(pattern: EventPattern, known: Knowledge) -> Wanted:
    parts = _Parts()
    for condition in pattern.conditions:
        await _add(parts, condition, known)
    first: list[tuple[str, str, Variables]] = []
    for correlation in pattern.correlate:
        variables = await known.read_by(correlation.from_)
        if correlation.expect is None:
            first.append((correlation.name, correlation.from_, variables))
        else:
            parts.keys.append((correlation.from_, variables, await _expected(correlation, known)))
    return Wanted(interest=parts.interest(), first=first)


async def _expected(correlation: Correlation, known: Knowledge) -> Json:
    assert correlation.expect is not None
    return (await known.template(correlation.expect, known.input)).value


async def _add(parts: _Parts, condition: Condition, known: Knowledge) -> None:
    if condition.program is not None:
        await _add_program(parts, condition.at, condition.program, known)
    elif condition.template is not None:
        value = (await known.template(condition.template, known.input)).value
        parts.equal.append((condition.at, value))
    elif condition.pattern is not None:
        parts.patterns.append((condition.at, condition.pattern))
    elif condition.at == ("type",) and isinstance(condition.literal, str):
        parts.type = condition.literal
    else:
        parts.literals.append((condition.at, condition.literal))


async def _add_program(parts: _Parts, place: Place, program: str, known: Knowledge) -> None:
    if not needs_input(program):
        value = (await known.program(program, known.input)).value
        if isinstance(value, bool):
            parts.impossible = parts.impossible or not value
        else:
            parts.equal.append((place, value))
    elif (sides := _equation(program)) is not None:
        inner, variable = sides
        value = (await known.program(variable, known.input)).value
        parts.equal.append(((*place, *inner), value))
    else:
        parts.programs.append((place, program, await known.read_by(program)))


def _equation(program: str) -> tuple[Place, str] | None:
    """Both sides of `.a.b == $variable.c`, whichever way round: the commonest way to wait for one's own order."""
    left, equals, right = program.partition("==")
    if not equals:
        return None
    for own, other in ((left.strip(), right.strip()), (right.strip(), left.strip())):
        path, known = is_simple_path(own), is_simple_path(other)
        if path is not None and known is not None and path[0] == "." and known[0] != ".":
            steps = path[1].split("/")[1:]
            if not any(step.isdigit() for step in steps):
                return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps), other
    return None
