"""The document of a playbook: its types, and what its form can be."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from orchestrion.core import Json


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

    intent: OneOrMore = ()
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


class PlanStep(_Part):
    """One call of a plan."""

    call: str | None = None
    engage: str | None = None
    """An agent or a team, where the agent leads one: whoever of the offered members it is or is below of."""
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)


class Rule(PlanStep):
    """When it holds, tools are called, a member of the team is engaged, a question asked or an answer given."""

    name: str = Field(min_length=1)
    when: When | None = None
    plan: tuple[PlanStep, ...] = ()
    answer: str | Mapping[str, JsonValue] | None = None
    ask: str | None = None
    claims: OneOrMore = ()
    """Kinds of claims that the answer makes."""
    why: str | None = None

    @property
    def steps(self) -> tuple[PlanStep, ...]:
        """Its calls, one after another."""
        return self.plan or ((self,) if self.call is not None or self.engage is not None else ())

    @property
    def ends(self) -> bool:
        """Whether it ends the turn."""
        return self.answer is not None or self.ask is not None


class Playbook(_Part):
    """A deterministic agent: ordered rules that choose tools and fill answers in."""

    name: str = ""
    description: str = ""
    message: str = "message"
    """Which input field holds the message."""
    router: str | None = None
    """The router of the settings that tells the message's intent."""
    format: Literal["text", "html"] = "text"
    """What answers and questions are written in: in HTML, values are escaped."""
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
    intents: Callable[[str], Collection[str]] | None = None
    """The labels of a router. Raises: UserError."""
    claims: Collection[str] = ()
    """Kinds of claims that answers may make."""
    asks: bool = False
    """Whether the agent may ask back."""


def escaped(step: str | int) -> str:
    """A step of a JSON pointer."""
    return str(step).replace("~", "~0").replace("/", "~1")


def pointer_of(steps: Sequence[str | int]) -> str:
    """A JSON pointer of path steps."""
    return "".join(f"/{escaped(step)}" for step in steps)


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
