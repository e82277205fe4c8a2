"""What requests and answers about workflows and their versions look like."""

from typing import Annotated, Any

from pydantic import Field

from ._shapes import Given, Shape, Text


class WorkflowShape(Shape):
    name: str = Field(description="`namespace/name`")
    version: str
    title: str | None
    digest: str
    schedule: str | None = Field(description="In words.")


class WorkflowWhole(WorkflowShape):
    text: str
    file: str | None = Field(description="Where it stands, if the project's files have exactly this.")


class WorkflowList(Shape):
    workflows: list[WorkflowShape]


class ChangeShape(Shape):
    piece: str
    words: str


class Comparison(Shape):
    before: str
    after: str
    changes: list[ChangeShape]


class ReleasedShape(Shape):
    workflow: str
    alias: str
    version: str
    before: str | None
    changes: list[ChangeShape]
    in_flight: dict[str, int] = Field(description="Version → runs that are under way with it, and stay with it.")


class DeployGiven(Given):
    version: Annotated[str, Field(min_length=1, max_length=100)] = "working"
    alias: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "production"
    why: Text = ""


class RollBackGiven(Given):
    to: Annotated[str | None, Field(min_length=1, max_length=100)] = Field(
        default=None, description="Another version than the last one."
    )
    why: Text = ""


class VersionShape(Shape):
    digest: str
    workflow: str
    version: str
    aliases: list[str]
    created_at: str
    created_by: str
    source: str | None


class VersionList(Shape):
    versions: list[VersionShape]


class RolloutShape(Shape):
    id: str
    workflow: str
    candidate: str
    control: str
    status: str
    plan: Any
    created_at: str
    created_by: str
    ended_at: str | None
    runs: Any = Field(description="How many runs each side had.")
    verdict: str | None = Field(description="How it stands or ended, in a sentence.")
    evidence: Any = None


class RolloutList(Shape):
    rollouts: list[RolloutShape]
