"""Whether what was counted is out of bounds, and how that is said."""

from dataclasses import dataclass

from ._drift import Change
from ._measures import RATES, Measures, Subject

NAMES = {
    "count": "how often it was used",
    "errors": "errors",
    "denied": "refusals",
    "asked": "questions to people",
    "approved": "approvals",
    "rejected": "rejections",
    "abstained": "abstentions",
    "corrected": "corrections",
    "good": "good words",
    "bad": "bad words",
    "seconds_p50": "seconds (median)",
    "seconds_p95": "seconds (95 of 100)",
    "usd": "US dollars",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A measure that should not be above, or not be below, a number."""

    measure: str
    above: float | None = None
    below: float | None = None
    at_least: int = 0
    """How much has to have been counted before anything is said."""

    def broken(self, sums: Measures) -> bool | None:
        """Whether it is broken; None where too little is known to say."""
        value = sums.value(self.measure)
        if value is None or sums.count < self.at_least:
            return None
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)

    def in_words(self, subject: Subject, sums: Measures, window_s: float) -> str:
        """`agent billing: refusals are 31 % of 64, above 20 %, over 1 hour`."""
        value = sums.value(self.measure) or 0.0
        limit, side = (self.above, "above") if self.above is not None else (self.below, "below")
        name = NAMES[RATES.get(self.measure, self.measure)]
        shown = f"{_number(self.measure, value)} of {sums.count:,}" if self.measure in RATES else f"{value:,.6g}"
        return (
            f"{subject.kind} {subject.name}: {name} {shown}, {side} {_number(self.measure, limit or 0.0)}, "
            f"over {lasting(window_s)}"
        )


def change_in_words(subject: Subject, signal: str, change: Change) -> str:
    """`router support-intents: label billing has changed from 0.42 to 0.81, seen over 64 values`."""
    return (
        f"{subject.kind} {subject.name}: {signal} has changed from {change.before:.2f} to {change.after:.2f}, "
        f"seen over {change.values:,} values"
    )


def lasting(seconds: float) -> str:
    for unit, length in (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0)):
        if seconds >= length and seconds % length == 0:
            count = round(seconds / length)
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def _number(measure: str, value: float) -> str:
    return f"{value:.1%}" if measure in RATES else f"{value:,.6g}"
