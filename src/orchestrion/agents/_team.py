"""What a team is: the contents of its file, `teams/NAME.yaml`, and the tree that its members form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrion.core import Datum, Json, UserError, digest
from orchestrion.models import Flaw, findings_of, flaws_of
from orchestrion.spec import Finding, Source, editor_schema, parse_yaml, to_json

from ._definition import AgentDefinition

if TYPE_CHECKING:
    from ._session import Session

Pattern: TypeAlias = Literal["supervisor", "hierarchy", "handoff", "panel", "debate"]
_Name: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]

BAD_TEAM = "bad-team"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TeamLimits(_Part):
    """Bounds on one engagement of a team, all its agents together."""

    turns: int = Field(default=40, ge=1, le=10_000)
    """How often models may be asked."""
    usd: float | None = Field(default=None, ge=0)
    """What the models may cost, where prices are known."""
    seconds: float | None = Field(default=None, gt=0)
    """Wall-clock time, waiting for people included."""
    depth: int = Field(default=5, ge=0, le=20)
    """How many agents deep it may go: each delegation and each hand-over is one deeper."""
    rounds: int = Field(default=3, ge=1, le=20)
    """How often the members of a debate speak."""


class Group(_Part):
    """Members who have a lead of their own."""

    name: _Name
    description: str = ""
    lead: _Name
    members: "tuple[_Name | Group, ...]" = Field(min_length=1)


class TeamDefinition(_Part):
    """A team, as its file says."""

    name: _Name
    description: str = ""
    pattern: Pattern = "supervisor"
    lead: _Name
    members: tuple[_Name | Group, ...] = Field(min_length=1)
    """Names of agents or of other teams, or groups written in place."""
    limits: TeamLimits = TeamLimits()

    @cached_property
    def version(self) -> str:
        """Digest of who works together how; what its agents do is in their own versions."""
        return digest(self.model_dump(mode="json", exclude_defaults=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An agent, or a group with the agent that leads it."""

    name: str
    description: str
    agent: AgentDefinition
    """Itself, or the lead."""
    members: "tuple[Member, ...]" = ()

    def leaves(self) -> "Iterator[Member]":
        """The agents below, without those that only lead."""
        if not self.members:
            yield self
        for member in self.members:
            yield from member.leaves()

    def inside(self) -> list[str]:
        """The name of everyone below."""
        return [name for member in self.members for name in (member.name, *member.inside())]

    def to_json(self) -> Json:
        """As `members` of a call says it."""
        if not self.members:
            return self.name
        return {
            "name": self.name,
            "description": self.description,
            "lead": self.agent.name,
            "members": [member.to_json() for member in self.members],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamCall:
    """One engagement of a team."""

    tree: Member
    """The lead, and everyone below."""
    pattern: Pattern
    limits: TeamLimits
    input: Datum
    came: tuple[str, ...] = ()
    """Who had the task before and handed it over."""
    output: Mapping[str, Json] | None = None
    """JSON Schema of the answer, in place of that of whoever answers."""
    session: "Session | None" = None
    """The conversation it belongs to: the lead, and whoever it hands over to, are shown it."""
    history: Datum | None = None
    """The same, where whoever calls keeps the conversation: a list of `{ role, content }`."""


def team_tree(
    team: TeamDefinition, agents: Mapping[str, AgentDefinition], teams: Mapping[str, TeamDefinition]
) -> Member:
    """The lead with everyone below.

    Raises: UserError `unknown-agent` for a name that is neither an agent's nor a team's, `circular-team`, `repeated-member`.
    """
    tree = _Growing(agents, teams).group(team, ())
    names = [leaf.name for leaf in tree.leaves()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError("repeated-member", f"{twice!r} is a member of the team {team.name!r} twice.")
    return tree


@dataclass(frozen=True, slots=True)
class _Growing:
    agents: Mapping[str, AgentDefinition]
    teams: Mapping[str, TeamDefinition]

    def group(self, group: "TeamDefinition | Group", above: tuple[str, ...]) -> Member:
        lead = self._agent(group.lead)
        path = (*above, group.name, lead.name)
        return Member(
            name=group.name,
            description=group.description or lead.description,
            agent=lead,
            members=tuple(self._member(each, path) for each in group.members),
        )

    def _member(self, member: "str | Group", above: tuple[str, ...]) -> Member:
        name = member if isinstance(member, str) else member.name
        if name in above or (isinstance(member, Group) and member.lead in above):
            raise UserError(
                "circular-team",
                f"{name!r} stands below itself: {' → '.join([*above, name])}.",
                hint="Nobody can delegate to whoever delegates to them. Take one of them out.",
            )
        if isinstance(member, Group):
            return self.group(member, above)
        if member in self.teams:
            return self.group(self.teams[member], above)
        agent = self._agent(member)
        return Member(name=agent.name, description=agent.description, agent=agent)

    def _agent(self, name: str) -> AgentDefinition:
        if name not in self.agents:
            listed = ", ".join(sorted([*self.agents, *self.teams])) or "none"
            raise UserError("unknown-agent", f"There is no agent {name!r}.", hint=f"Known: {listed}.")
        return self.agents[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFile:
    """A team and the text it was read from, so that what does not fit the project can be shown at its place."""

    team: TeamDefinition
    source: Source

    def check(self, agents: Mapping[str, AgentDefinition], teams: Mapping[str, TeamDefinition]) -> list[Finding]:
        """Everything that is wrong with it among these agents and teams."""
        return findings_of(self.source, list(team_flaws(self.team, agents, teams)), BAD_TEAM)


def read_team(text: str | bytes, *, file: str, name: str) -> tuple[TeamFile | None, list[Finding]]:
    """The team of a file called `name`, and everything wrong with its form at once."""
    source, findings = parse_yaml(text, file=file)
    if source is None or findings:
        return None, findings
    value = to_json(source.root)
    try:
        team = TeamDefinition.model_validate(value)
    except ValidationError as error:
        return None, findings_of(source, flaws_of(error, value), BAD_TEAM)
    if team.name != name:
        flaw = Flaw("/name", f"The team is called {team.name!r} and its file {name!r}.", "Give both the same name.")
        return None, findings_of(source, [flaw], BAD_TEAM)
    return TeamFile(team=team, source=source), []


def team_flaws(
    team: TeamDefinition, agents: Mapping[str, AgentDefinition], teams: Mapping[str, TeamDefinition]
) -> Iterator[Flaw]:
    """What is wrong with a team among the agents and teams of its project, at JSON pointers."""
    if team.name in agents:
        yield Flaw("/name", f"There is an agent {team.name!r} too.", "Members are named: one name, one member.")
    try:
        tree = team_tree(team, agents, teams)
    except UserError as error:
        yield Flaw("/members", error.message, error.hint)
        return
    for member in (tree, *_groups(tree)):
        yield from _clashes(member)


def _groups(member: Member) -> Iterator[Member]:
    for each in member.members:
        if each.members:
            yield each
            yield from _groups(each)


def _clashes(group: Member) -> Iterator[Flaw]:
    tools = {tool.name for tool in group.agent.tools}
    for name in group.inside():
        if name in tools:
            yield Flaw("/members", f"{group.agent.name!r} has a tool {name!r}, which is also a member's name.")


def team_schema() -> dict[str, Json]:
    """JSON Schema of a team file, for editors."""
    return editor_schema(TeamDefinition)
