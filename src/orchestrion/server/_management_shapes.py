"""What requests and answers about the looking-after look like."""

from typing import Annotated, Any

from pydantic import Field

from ._shapes import Given, Shape, Text


class EvaluationShape(Shape):
    name: str
    title: str | None
    workflow: str
    scorers: list[str]


class EvaluationList(Shape):
    evaluations: list[EvaluationShape]


class EvaluateGiven(Given):
    version: Annotated[str, Field(max_length=100)] = Field(
        default="working", description="A digest, an alias, or `working`."
    )
    against: Annotated[str | None, Field(max_length=100)] = Field(
        default=None, description="Another version, to compare with."
    )
    fresh: bool = Field(default=False, description="Try every case again, also those of which the result is known.")


class EvaluatedShape(Shape):
    evaluation: str
    version: str
    against: str | None
    passed: bool
    rows: list[Any] = Field(description="One for each scorer: value, interval, gate, difference.")
    set_aside: list[Any]
    known_before: int
    cases: list[Any]


class AlertShape(Shape):
    id: str
    rule: str
    of: str
    name: str
    opened_at: str
    cleared_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    run: str | None
    alert: Any = Field(description="The sentence, the runs behind it, and the numbers.")


class AlertList(Shape):
    alerts: list[AlertShape]


class IncidentShape(Shape):
    id: str
    kind: str
    subject: str
    target: str
    opened_at: str
    closed_at: str | None
    failed: int = Field(description="Requests that it failed.")
    followed: int = Field(description="Requests that another model answered in its place.")
    unanswered: int


class IncidentWhole(IncidentShape):
    steps: list[Any] = Field(description="The timeline.")


class IncidentList(Shape):
    incidents: list[IncidentShape]


class TrialGiven(Given):
    """A version gets a part of the new runs beside the one in production, until its verdict."""

    version: Annotated[str, Field(max_length=100)] = Field(
        default="working", description="A digest, an alias, or `working`."
    )
    shares: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[0.1],
        min_length=1,
        max_length=20,
        description="Its part of new runs; the next one from each `step` pairs on.",
    )
    step: Annotated[int, Field(ge=1)] = 50
    sticky: Text | None = Field(
        default=None, description="JSON pointer into the input: the same value stays on one side."
    )
    seconds: Annotated[float | None, Field(gt=0)] = Field(
        default=None, description="A run that takes longer is a loss."
    )
    usd: Annotated[float | None, Field(gt=0)] = Field(default=None, description="A run that costs more is a loss.")
    loss: Text | None = Field(
        default=None, description="jq over what is known of a run: 0 to 1, or whether it is a loss."
    )
    violation: Text | None = Field(
        default=None, description="jq: where it says true, the version is taken back at once."
    )
    shadow: bool = Field(default=False, description="Production keeps all runs; each is played again with the version.")


class UserGiven(Given):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    roles: list[Annotated[str, Field(max_length=50)]] = Field(default=["viewer"], max_length=10)


class TokenGiven(Given):
    label: Annotated[str, Field(max_length=100)] = ""
    days: Annotated[float | None, Field(gt=0, le=3650)] = Field(default=None, description="Until it ends by itself.")


class TokenShape(Shape):
    token: str = Field(description="Shown once: the store keeps only its digest.")


class LinkShape(Shape):
    link: str = Field(description="Signs the user in, once, within a day.")
