"""Which conversation of the control a conversation of the candidate is compared with."""

from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from orchestrion.core import BugError, Json

from ._assign import Side
from ._comparison import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One that may still be matched."""

    id: str
    side: Side
    stratum: str
    number: int
    """As which of all conversations it began."""
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Two of the same stratum; a loss is None until it is known."""

    candidate: str
    control: str
    candidate_loss: float | None
    control_loss: float | None

    def settled(self, conversation: str, loss: float) -> "Matched":
        """With the loss of one of its conversations; the first that is told counts."""
        if conversation == self.candidate and self.candidate_loss is None:
            return replace(self, candidate_loss=loss)
        if conversation == self.control and self.control_loss is None:
            return replace(self, control_loss=loss)
        return self

    @property
    def pair(self) -> Pair | None:
        if self.candidate_loss is None or self.control_loss is None:
            return None
        return Pair(candidate=self.candidate_loss, control=self.control_loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Conversations of candidate and control in pairs: a small value, kept as JSON, followed by another with each event.

    Whoever begins is matched with the latest one of the other side that has the same stratum and is not matched yet. So every conversation
    counts at most once, a candidate with a tenth of the traffic finds a control that has just begun, and a change in what the
    traffic consists of meets both sides alike. Matching looks at nothing that tells how a conversation goes, and pairs are given out in the
    order in which they were made; otherwise those that fail early would be counted first, and the comparison's error rates would not hold.

    Every conversation has to be settled in the end, because later pairs wait for it: when its time is over, silence is a loss too,
    or none, as the rollout has it.
    """

    reach: int = 200
    """Two conversations are not matched if so many or more began from the one to the other."""
    spare: int = 4
    """How many of a stratum are kept unmatched; the latest ones."""
    most_open: int = 500
    """How many pairs may wait for losses; while they do, no more are made."""
    begun_count: int = 0
    unmatched: tuple[Conversation, ...] = ()
    """In the order in which they began. Those of a stratum are all of one side."""
    matched: tuple[Matched, ...] = ()
    """Not given out yet, in the order in which they were made."""

    def begun(self, conversation: str, *, side: Side, stratum: str) -> "Matching":
        """With one more conversation. Told again while it is known here, it changes nothing."""
        if self._knows(conversation):
            return self
        number = self.begun_count + 1
        near = tuple(each for each in self.unmatched if number - each.number < self.reach)
        alike = [each for each in near if each.stratum == stratum]
        new = Conversation(id=conversation, side=side, stratum=stratum, number=number)
        matched = self.matched
        if not alike or alike[-1].side == side:
            crowded_out = alike[: max(0, len(alike) + 1 - self.spare)]
            near = (*(each for each in near if each not in crowded_out), new)
        elif len(matched) < self.most_open:
            near = tuple(each for each in near if each is not alike[-1])
            matched = (*matched, _match(new, alike[-1]))
        return replace(self, begun_count=number, unmatched=near, matched=matched)

    def settled(self, conversation: str, loss: float) -> tuple["Matching", tuple[Pair, ...]]:
        """With the loss of a conversation, in [0, 1], and the pairs that are complete now and were not before.

        What is told of conversations that are not matched any more, or were settled before, changes nothing.

        Raises: UserError `loss-out-of-range`.
        """
        Pair(candidate=loss, control=loss)
        unmatched = tuple(
            replace(each, loss=loss) if each.id == conversation and each.loss is None else each
            for each in self.unmatched
        )
        matched = tuple(each.settled(conversation, loss) for each in self.matched)
        complete: list[Pair] = []
        for each in matched:
            pair = each.pair
            if pair is None:
                break
            complete.append(pair)
        return replace(self, unmatched=unmatched, matched=matched[len(complete) :]), tuple(complete)

    def _knows(self, conversation: str) -> bool:
        return any(each.id == conversation for each in self.unmatched) or any(
            conversation in (each.candidate, each.control) for each in self.matched
        )

    def to_json(self) -> Json:
        return cast("Json", _ADAPTER.dump_python(self, mode="json"))

    @staticmethod
    def from_json(kept: Json) -> "Matching":
        """The matching that `to_json` gave. Raises: BugError `rollout-state-unreadable`."""
        try:
            found = cast("Matching", _ADAPTER.validate_python(kept))
        except ValidationError as error:
            raise BugError("rollout-state-unreadable", f"What is kept of a rollout's matching: {error}") from None
        if found.to_json() != kept:
            raise BugError("rollout-state-unreadable", "What is kept of a rollout's matching has other fields.")
        return found


def _match(one: Conversation, other: Conversation) -> Matched:
    candidate, control = (one, other) if one.side == "candidate" else (other, one)
    return Matched(
        candidate=candidate.id,
        control=control.id,
        candidate_loss=candidate.loss,
        control_loss=control.loss,
    )


_ADAPTER: TypeAdapter[Any] = TypeAdapter(Matching)
