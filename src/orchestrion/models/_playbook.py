"""The document of a playbook: its types, and what can be wrong with it."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from orchestrion.core import Json, UserError

from ._entities import compiled
from ._template import template


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


OneOrMore: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str])]
Test: TypeAlias = Literal["is", "is_not", "above", "below", "at_least", "at_most", "one_of", "contains"]
Kind: TypeAlias = Literal["money", "date", "number", "email"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Pattern(_Part):
    """An entity given by a regular expression."""

    pattern: str


class Sum(_Part):
    """Add one field of all items up."""

    sum: str


class Fact(_Part):
    """Something picked out of a list in a tool's result."""

    from_: str = Field(alias="from")
    where: Mapping[str, JsonValue] = Field(default_factory=dict)
    same: OneOrMore = ()
    take: Literal["first", "last", "all", "count"] | Sum = "first"


class When(_Part):
    """Conditions, all of which must hold."""

    says: OneOrMore = ()
    says_all: OneOrMore = ()
    matches: str | None = None
    has: OneOrMore = ()
    compare: Mapping[str, Mapping[Test, JsonValue]] = Field(default_factory=dict)
    called: OneOrMore = ()
    done: OneOrMore = ()
    refused: OneOrMore = ()
    failed: OneOrMore = ()
    not_: "When | None" = Field(default=None, alias="not")
    any_: "tuple[When, ...]" = Field(default=(), alias="any")


class Rule(_Part):
    """When it holds, a tool is called, a member of the team engaged, or an answer given."""

    name: str = Field(min_length=1)
    when: When | None = None
    call: str | None = None
    engage: str | None = None
    """An agent or a team, where the agent leads one: whoever of the offered members it is or is below of."""
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    answer: str | Mapping[str, JsonValue] | None = None
    why: str | None = None


class Playbook(_Part):
    """A deterministic agent: ordered rules that choose tools and fill answers in."""

    name: str = ""
    description: str = ""
    message: str = "message"
    """Which input field holds the message."""
    entities: Mapping[str, Kind | Pattern] = Field(default_factory=dict)
    facts: Mapping[str, Fact] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong in a document, at a JSON pointer."""

    pointer: str
    message: str
    hint: str | None = None
    key: bool = False
    """It is the name that is wrong, not the value under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a playbook's agent has: the arguments of each tool that rules may give, and its schemas."""

    tools: Mapping[str, Sequence[str] | None]
    """None for a tool of which only another system knows what it takes."""
    input_fields: Sequence[str]
    output_schema: Mapping[str, Json] | None
    members: Collection[str] | None = None
    """Agents and teams of the project that may be engaged. None: not known."""


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def pointer_of(steps: Sequence[str | int]) -> str:
    """A JSON pointer of path steps."""
    return "".join(f"/{_escaped(step)}" for step in steps)


def flaws_of(error: ValidationError, value: Json, *, at: str = "") -> list[Flaw]:
    """What pydantic found wrong, at places that exist in the document."""
    found: dict[str, Flaw] = {}
    for one in error.errors(include_url=False, include_input=False):
        steps, here = list[str | int](), value
        for step in one["loc"]:
            if isinstance(here, Mapping) and step in here:
                here = here[str(step)]
            elif (
                isinstance(here, Sequence) and not isinstance(here, str) and isinstance(step, int) and step < len(here)
            ):
                here = here[step]
            elif one["type"] == "missing" or isinstance(step, int):
                break
            else:
                continue  # pydantic names the branch of a union, which is no part of the document
            steps.append(step)
        pointer = at + pointer_of(steps)
        missing = f"{one['loc'][-1]!r} is missing." if one["type"] == "missing" else None
        unknown = f"{one['loc'][-1]!r} is not known here." if one["type"] == "extra_forbidden" else None
        found.setdefault(
            pointer + (missing or unknown or ""),
            Flaw(pointer, missing or unknown or f"{one['msg']}.", key=unknown is not None),
        )
    return list(found.values())


def parse_playbook(value: Json, *, name: str, at: str = "") -> Playbook | list[Flaw]:
    """Read a playbook; its flaws if its form is wrong. `check_playbook` looks at what it means."""
    if not isinstance(value, Mapping):
        return [Flaw(at, "A playbook is an object with `rules`.")]
    try:
        return Playbook.model_validate({"name": name, **value})
    except ValidationError as error:
        return flaws_of(error, value, at=at)


def check_playbook(playbook: Playbook, around: Surroundings | None, *, at: str = "") -> list[Flaw]:
    """Everything in a playbook that cannot work. Without `around`, what depends on the agent is not looked at."""
    return list(_Check(playbook, around, at).flaws())


@dataclass(frozen=True)
class _Check:
    playbook: Playbook
    around: Surroundings | None
    at: str

    def flaws(self) -> Iterator[Flaw]:
        for name, entity in self.playbook.entities.items():
            if isinstance(entity, Pattern):
                yield from self._regex(entity.pattern, f"{self.at}/entities/{_escaped(name)}/pattern")
        for name, fact in self.playbook.facts.items():
            here = f"{self.at}/facts/{_escaped(name)}"
            yield from self._path(fact.from_, f"{here}/from")
            yield from self._templates(dict(fact.where), f"{here}/where")
        for index, rule in enumerate(self.playbook.rules):
            yield from self._rule(rule, f"{self.at}/rules/{index}")
        yield from self._order()

    def _order(self) -> Iterator[Flaw]:
        seen: set[str] = set()
        *before, last = self.playbook.rules
        for index, rule in enumerate(self.playbook.rules):
            if rule.name in seen:
                yield Flaw(f"{self.at}/rules/{index}/name", f"There is a rule {rule.name!r} already.")
            seen.add(rule.name)
        for index, rule in enumerate(before):
            if rule.when is None and rule.answer is not None:
                yield Flaw(
                    f"{self.at}/rules/{index}",
                    f"Rule {rule.name!r} always answers, so no rule after it is ever reached.",
                    "Give it a `when`, or put it last.",
                )
        if last.when is not None or last.answer is None:
            yield Flaw(
                f"{self.at}/rules/{len(before)}",
                "The last rule does not always answer, so some messages would get no answer.",
                "End with a rule that has an `answer` and no `when`.",
            )

    def _rule(self, rule: Rule, here: str) -> Iterator[Flaw]:
        if sum(each is not None for each in (rule.call, rule.engage, rule.answer)) != 1:
            yield Flaw(here, f"Rule {rule.name!r} needs one of `call`, `engage`, `answer`.")
        if rule.arguments and rule.answer is not None:
            yield Flaw(f"{here}/arguments", "`arguments` belong to a `call` or to `engage`.")
        if rule.engage is not None:
            yield from self._member(rule.engage, f"{here}/engage")
        if rule.when is not None:
            yield from self._when(rule.when, f"{here}/when")
        if rule.call is not None:
            yield from self._tool(rule.call, f"{here}/call")
            yield from self._arguments(rule, here)
        yield from self._templates(dict(rule.arguments), f"{here}/arguments")
        if rule.answer is not None:
            yield from self._templates(rule.answer, f"{here}/answer")
            yield from self._answer(rule.answer, f"{here}/answer")

    def _when(self, when: When, here: str) -> Iterator[Flaw]:
        if when.matches is not None:
            yield from self._regex(when.matches, f"{here}/matches")
        for path in when.has:
            yield from self._path(path, f"{here}/has")
        for path, tests in when.compare.items():
            yield from self._path(path, f"{here}/compare/{_escaped(path)}")
            yield from self._templates(list(tests.values()), f"{here}/compare/{_escaped(path)}")
        for field, tools in (
            ("called", when.called),
            ("done", when.done),
            ("refused", when.refused),
            ("failed", when.failed),
        ):
            for tool in tools:
                yield from self._known(tool, f"{here}/{field}")
        if when.not_ is not None:
            yield from self._when(when.not_, f"{here}/not")
        for index, group in enumerate(when.any_):
            yield from self._when(group, f"{here}/any/{index}")

    def _regex(self, pattern: str, here: str) -> Iterator[Flaw]:
        try:
            compiled(pattern)
        except re.error as error:
            yield Flaw(here, f"{pattern!r} is not a regular expression: {error}.")

    def _member(self, name: str, here: str) -> Iterator[Flaw]:
        known = self.around.members if self.around else None
        if known is not None and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            yield Flaw(here, f"There is no agent or team {name!r}.", f"Known: {listed}.")

    def _known(self, tool: str, here: str) -> Iterator[Flaw]:
        """A tool, or a member that a rule engages."""
        if tool not in self._engaged():
            yield from self._tool(tool, here)

    def _engaged(self) -> list[str]:
        return [rule.engage for rule in self.playbook.rules if rule.engage is not None]

    def _tool(self, tool: str, here: str) -> Iterator[Flaw]:
        if self.around is not None and tool not in self.around.tools:
            known = ", ".join(self.around.tools) or "none"
            yield Flaw(here, f"The agent has no tool {tool!r}.", f"Its tools: {known}.")

    def _arguments(self, rule: Rule, here: str) -> Iterator[Flaw]:
        known = self.around.tools.get(rule.call or "") if self.around else None
        for name in rule.arguments:
            if known is not None and name not in known:
                yield Flaw(
                    f"{here}/arguments/{_escaped(name)}",
                    f"The tool {rule.call!r} takes no argument {name!r}.",
                    f"It takes: {', '.join(known) or 'none'}. Arguments under `bind` are filled in by themselves.",
                )

    def _answer(self, answer: str | Mapping[str, JsonValue], here: str) -> Iterator[Flaw]:
        schema = self.around.output_schema if self.around else None
        replies: Mapping[str, Json] = {"reply": {}}
        properties = (schema.get("properties") if schema else replies) if self.around else None
        if not isinstance(properties, Mapping):
            return
        if isinstance(answer, str):
            if schema is not None and set(properties) != {"reply"}:
                yield Flaw(
                    here, "The agent's output has fields, so the answer must give them.", f"{', '.join(properties)}"
                )
            return
        required = schema.get("required") if schema else ["reply"]
        for name in required if isinstance(required, Sequence) else ():
            if name not in answer:
                yield Flaw(here, f"The answer lacks the field {name!r}, which the agent's output requires.")
        for name in answer:
            if name not in properties:
                yield Flaw(f"{here}/{_escaped(name)}", f"The agent's output has no field {name!r}.")

    def _templates(self, value: Json, here: str) -> Iterator[Flaw]:
        match value:
            case str():
                try:
                    slots = template(value).slots
                except UserError as error:
                    yield Flaw(here, error.message, error.hint)
                    return
                for slot in slots:
                    yield from self._path(slot.path, here)
            case Mapping():
                for name, member in value.items():
                    yield from self._templates(member, f"{here}/{_escaped(name)}")
            case Sequence():
                for index, member in enumerate(value):
                    yield from self._templates(member, f"{here}/{index}")
            case _:
                pass

    def _path(self, path: str, here: str) -> Iterator[Flaw]:
        root, _, rest = path.partition(".")
        first = rest.partition(".")[0]
        known = self._roots().get(root)
        if root not in self._roots():
            yield Flaw(
                here, f"The path {path!r} begins with {root!r}.", f"Paths begin with {', '.join(self._roots())}."
            )
        elif not first:
            yield Flaw(here, f"The path {path!r} names nothing.", f"Write {root}.NAME.")
        elif known is not None and first not in known:
            yield Flaw(here, f"There is no {first!r} in `{root}`.", f"There: {', '.join(known) or 'nothing'}.")

    def _roots(self) -> Mapping[str, Sequence[str] | None]:
        tools = [*self.around.tools, *self._engaged()] if self.around else None
        return {
            "input": self.around.input_fields if self.around else None,
            "entities": list(self.playbook.entities),
            "facts": list(self.playbook.facts),
            "tools": tools,
            "refusals": tools,
            "failures": tools,
        }
