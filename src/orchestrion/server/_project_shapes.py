"""What answers about what a project has look like."""

from typing import Any, Literal

from pydantic import Field

from ._shapes import Shape


class AgentShape(Shape):
    name: str
    kind: Literal["agent", "team"]
    description: str | None


class AgentList(Shape):
    agents: list[AgentShape]


class WatchedShape(Shape):
    """What was counted, and what drifted."""

    measures: list[Any] = Field(
        description="One for each agent, model, tool, router and workflow, with runs behind them."
    )
    drift: list[Any]


class ModelShape(Shape):
    name: str
    provider: str


class ModelList(Shape):
    models: list[ModelShape]


class SessionShape(Shape):
    name: str
    agent: str
    turns: int
    created_at: str
    updated_at: str


class SessionList(Shape):
    sessions: list[SessionShape]


class TurnShape(Shape):
    agent: str
    number: int
    run: str
    at: str
    labels: list[str]
    messages: list[Any]


class SessionWhole(Shape):
    name: str
    turns: list[TurnShape]


class ScheduleShape(Shape):
    workflow: str
    words: str
    timezone: str
    paused_by: str | None
    last_at: str | None
    last_run: str | None
    next: list[str]


class ScheduleList(Shape):
    schedules: list[ScheduleShape]


class Received(Shape):
    source: str
    id: str
    new: bool = Field(description="False where an event of this source and id was known already.")


class EventShape(Shape):
    source: str
    id: str
    type: str
    received_at: str
    routed: bool
    deliveries: int


class EventList(Shape):
    events: list[EventShape]
