"""Alerts, as settings say them."""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from ._setting import Setting

Watched: TypeAlias = Literal["agent", "model", "tool", "router", "workflow"]
Measure: TypeAlias = Literal[
    "count", "errors", "denied", "asked", "approved", "rejected", "abstained", "corrected", "good", "bad",
    "errors_rate", "denied_rate", "asked_rate", "approved_rate", "rejected_rate", "abstained_rate", "corrected_rate",
    "good_rate", "bad_rate", "seconds_p50", "seconds_p95", "usd",
]  # fmt: skip
_LENGTH = re.compile(r"(\d{1,5})\s*([mhd])")
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
LEAST_S, MOST_S = 300.0, 30 * 86_400.0


def _seconds(value: object) -> object:
    found = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not LEAST_S <= seconds <= MOST_S:
        raise PydanticCustomError(
            "bad-window", "This is not a window of time", {"hint": "Write 5m to 30d: minutes, hours or days."}
        )
    return seconds


class AlertRule(Setting):
    """What is out of bounds, and the workflow that then tells somebody."""

    of: Watched = Field(description="What is watched: each by itself.")
    name: str | None = Field(default=None, min_length=1, description="Only this one.")
    measure: Measure | None = Field(default=None, description="What of it is measured.")
    above: float | None = Field(default=None, description="It should not be above this.")
    below: float | None = Field(default=None, description="It should not be below this.")
    drift: bool = Field(
        default=False, description="In place of a measure: that what it does, or what it is given, lastingly changes."
    )
    window_s: Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str)] = Field(
        default=3600.0, alias="window", description="Over how long: 5m to 30d. Of drift, how long it is shown."
    )
    at_least: int = Field(
        default=20, ge=0, description="Not before it has been seen so often in this time: few say nothing."
    )
    run: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="The workflow to run, once for each alert, with the alert as its input."
    )

    @model_validator(mode="after")
    def _one_condition(self) -> "AlertRule":
        bounds = (self.above is not None) + (self.below is not None)
        if self.drift == (self.measure is not None) or bounds != (0 if self.drift else 1):
            raise PydanticCustomError(
                "alert-condition",
                "An alert has a `measure` with either `above` or `below`, or else `drift: true`",
                {"hint": "For example: {of: agent, measure: denied_rate, above: 0.2, run: notify}."},
            )
        return self
