"""How a rollout goes: which share of runs the candidate gets, and what counts as a loss."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from pydantic import TypeAdapter

from orchestrion.core import Json

from ._comparison import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What whoever begins a rollout decides about it. Lengths are in seconds, money in US dollars."""

    mode: Literal["canary", "shadow"] = "canary"
    """shadow: production keeps all runs, and each that has ended is played again with the candidate."""
    max_runs: int = 500
    """Of a shadow: runs after which it ends."""
    shares: tuple[float, ...] = (0.1,)
    """The candidate's share of new runs; the next one from each `step` pairs on."""
    step: int = 50
    """Pairs after which the share is raised, while there are more."""
    rule: Rule = field(default_factory=Rule)
    sticky: str | None = None
    """JSON pointer into the input: runs that have the same value there stay on one side. Without it, each run is on its own."""
    stratum: str | None = None
    """JSON pointer into the input: runs are compared with those that have the same value there."""
    seconds: float | None = None
    """A run that takes longer is a loss."""
    usd: float | None = None
    """A run that costs more is a loss."""
    hold: float = 0.0
    """How long after a run ended, or first asked a person, it may still be corrected; only then is it judged."""
    loss: str | None = None
    """A jq program over what is known of a run (`Facts`): a number from 0 to 1, or whether it is a loss."""
    violation: str | None = None
    """A jq program as `loss`: where it says true, the candidate is taken back at once."""

    def share(self, pairs: int) -> float:
        """The candidate's share after so many pairs."""
        return self.shares[min(pairs // self.step, len(self.shares) - 1)]

    def to_json(self) -> Json:
        return cast("Json", _ADAPTER.dump_python(self, mode="json"))

    @staticmethod
    def from_json(kept: Json) -> "Plan":
        return _ADAPTER.validate_python(kept)


_ADAPTER = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a run that ended or first asked a person, as `loss` and `violation` see it."""

    status: str
    """How it ended, or `waiting`."""
    input: Json
    output: Json
    problem: Json
    seconds: float
    usd: float
    denied: int
    """Calls that policy refused."""
    asked: int
    """How often a person was asked."""
    calls: tuple[str, ...] = ()
    """Names of the tools that models called, in order; those that policy refused too."""
    corrected: int = 0
    """How often a person said afterwards what would have been right."""

    def to_json(self) -> Mapping[str, Json]:
        return {
            "status": self.status,
            "input": self.input,
            "output": self.output,
            "problem": self.problem,
            "seconds": self.seconds,
            "usd": self.usd,
            "denied": self.denied,
            "asked": self.asked,
            "calls": self.calls,
            "corrected": self.corrected,
        }

    def lost(self, plan: Plan) -> float:
        """1 for a run that faulted, took too long, cost too much or was corrected; else 0, and `loss` of the plan may say more."""
        late = plan.seconds is not None and self.seconds > plan.seconds
        dear = plan.usd is not None and self.usd > plan.usd
        return 1.0 if self.status in {"faulted", "cancelled"} or late or dear or self.corrected else 0.0
