"""What a candidate would have done in the place of the version in production, run by run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from orchestrion.core import Json

from ._difference import Difference, Likeness, likeness

EXAMPLES = 3
"""Runs of each kind that are kept with what is otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What is known so far. As JSON it is the evidence of a rollout."""

    runs: Mapping[str, Likeness] = field(default_factory=dict[str, Likeness])
    """Run → how the candidate compares in it."""
    examples: Mapping[str, Sequence[Difference]] = field(default_factory=dict[str, Sequence[Difference]])
    """Run → its differences: of each kind the first ones."""

    def after(self, run: str, differences: Sequence[Difference]) -> "Shadow":
        """With one run more."""
        kind = likeness(differences)
        known = sum(self.runs[each] is kind for each in self.examples)
        shown = bool(differences) and known < EXAMPLES
        examples = {**self.examples, run: differences} if shown else self.examples
        return replace(self, runs={**self.runs, run: kind}, examples=examples)

    def group(self, kind: Likeness) -> list[str]:
        """The runs of a kind, the first that ended first."""
        return [run for run, each in self.runs.items() if each is kind]

    @property
    def words(self) -> str:
        """All in a sentence."""
        if not self.runs:
            return "in the shadow of production: no run has ended yet"
        counted = [f"{len(group)} {kind}" for kind in Likeness if (group := self.group(kind))]
        return f"in the shadow of {len(self.runs)} run{'s' if len(self.runs) > 1 else ''}: {', '.join(counted)}"

    def to_json(self) -> Json:
        examples: dict[str, Json] = {
            run: [{"kind": each.kind, "words": each.words} for each in differences]
            for run, differences in self.examples.items()
        }
        return {"runs": dict(self.runs), "examples": examples}

    @staticmethod
    def from_json(kept: Json) -> "Shadow":
        """What `to_json` gave; nothing is known yet for None."""
        if kept is None:
            return Shadow()
        said = cast("Mapping[str, Mapping[str, Sequence[Mapping[str, str]]]]", kept)  # only to_json wrote it
        runs = cast("Mapping[str, str]", said["runs"])
        return Shadow(
            runs={run: Likeness(kind) for run, kind in runs.items()},
            examples={
                run: [Difference(kind=Likeness(each["kind"]), words=each["words"]) for each in differences]
                for run, differences in said["examples"].items()
            },
        )
