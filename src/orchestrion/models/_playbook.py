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
    """Path of the list, such as `tools.find_invoices.rows`."""
    where: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Fields that must equal these values."""
    same: OneOrMore = ()
    """Fields in which an item must agree with an earlier one."""
    take: Literal["first", "last", "all", "count"] | Sum = "first"


class When(_Part):
    """Conditions, all of which must hold."""

    intent: OneOrMore = ()
    """The router says that the message is about one of these."""
    says: OneOrMore = ()
    """The message contains one of these words or phrases; `refund*` also matches what begins with it."""
    says_all: OneOrMore = ()
    """It contains all of them."""
    matches: str | None = None
    """This regular expression is found in it."""
    has: OneOrMore = ()
    """There is something at each of these paths."""
    compare: Mapping[str, Mapping[Test, JsonValue]] = Field(default_factory=dict)
    """Path → test → value, which may be a template."""
    called: OneOrMore = ()
    """Each of these tools was called, however it ended."""
    done: OneOrMore = ()
    """The last call of each succeeded."""
    refused: OneOrMore = ()
    """The last call of each was refused, by policy or by a person."""
    failed: OneOrMore = ()
    """The last call of each failed."""
    not_: "When | None" = Field(default=None, alias="not")
    any_: "tuple[When, ...]" = Field(default=(), alias="any")


class PlanStep(_Part):
    """One call of a plan."""

    call: str | None = None
    """A tool of the agent."""
    engage: str | None = None
    """An agent or a team, where the agent leads one: whoever of the offered members it is or is below of."""
    arguments: Mapping[str, JsonValue] = Field(default_factory=dict)
    """What it is called with; templates such as `{entities.day}` are filled in."""


class Rule(PlanStep):
    """When it holds, tools are called, a member of the team is engaged, a question asked or an answer given."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [name]} for name in ("call", "engage", "plan", "answer", "ask")]}
    )

    name: str = Field(min_length=1)
    """Shown to people as the reason."""
    when: When | None = None
    """Conditions that must all hold; without them the rule always holds."""
    plan: tuple[PlanStep, ...] = ()
    """Several calls, one after another, each when the one before it succeeded."""
    answer: str | Mapping[str, JsonValue] | None = None
    """Text, or an object with the fields of the agent's output; ends the turn."""
    ask: str | None = None
    """A question back, asked once; it needs `asks: true` in the agent's file."""
    claims: OneOrMore = ()
    """Kinds of claims that the answer makes."""
    why: str | None = None
    """The reason in words, kept with the answer and shown wherever the run is."""

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
    """Looked for in the message; `{entities.NAME}` in templates."""
    facts: Mapping[str, Fact] = Field(default_factory=dict)
    """Picked out of results of tools; `{facts.NAME}` in templates."""
    rules: tuple[Rule, ...] = Field(min_length=1)
    """Read from the top; the first that holds is taken."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something wrong in a document, at a JSON pointer."""

    pointer: str
    message: str
    hint: str | None = None
    key: bool = False
    """It is the name that is wrong, not the value under it."""
    severity: Literal["error", "warning"] = "error"


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
