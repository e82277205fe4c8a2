"""What answers about whom one may talk to look like."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from ._shapes import Shape


class PartnerShape(Shape):
    """An agent, a team or a workflow that takes what somebody says and answers."""

    name: str = Field(
        description="The workflow to start: `agents/NAME` and `teams/NAME` take `{input, session, history}`."
    )
    kind: Literal["agent", "team", "workflow"]
    description: str
    input: Any = Field(description="JSON Schema of what it is given.")
    output: Any = Field(description="JSON Schema of what it gives; null where that depends.")
    text: str | None = Field(description="The field of the input that takes what a person says.")


class PartnerList(Shape):
    partners: list[PartnerShape]


class V1Model(Shape):
    """A partner, as OpenAI's clients know models."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str


class V1ModelList(Shape):
    object: Literal["list"]
    data: list[V1Model]


class Completion(Shape):
    """An answer, as OpenAI's clients know it; `orchestrion` names the run, its status, its output and what waits for a person."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Any]
    usage: Any
    orchestrion: Any


class AgentCard(Shape):
    """What other agents are offered, as the Agent2Agent protocol tells it."""

    model_config = ConfigDict(extra="allow")

    name: str
    description: str
    skills: list[Any]
