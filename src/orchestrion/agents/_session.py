"""An engagement in a session: its beginning and its end are entries, so a later walk sees the same history and adds nothing twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic_ai.messages import ModelMessage

from orchestrion.core import Acting, Datum, Invocation, Json, Nature, Outcome, move_labels

from ._engagement import Engagement
from ._history import declared, kept, loaded, question_and_answer, trimmed
from ._sessions import Place, Sessions, Turn
from ._summary import summed_up

SESSION_FUNCTION = "session:1.0.0"
_RESOURCE = ("Function", "session")


def handed_on(session: "Session | None", history: Datum | None) -> Datum:
    """A team's conversation as arguments of a call, for whoever takes the task over."""
    if session is not None:
        return Datum({"session": session.name, "session_of": {"team": session.team, "key": session.held_at}})
    if history is not None:
        return Datum({"history": history.value}, move_labels(history.labels, "/history"))
    return Datum({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session by its name, for one engagement of an agent, or of a team whose members share it."""

    name: str
    sessions: Sessions
    team: str | None = None
    """Whose it is, when not the agent's own."""
    held_at: str | None = None
    """The key of the team's call, which has the session until somebody of the team has answered."""

    async def begin(self, engagement: Engagement) -> None:
        """Take the session, and give the engagement what was said before. Raises: Faulted with `session-busy`, or a refusal."""
        if engagement.effects.run.dry:
            return

        async def perform() -> Outcome:
            turns = await self.sessions.begin(self._place(engagement))
            labels = frozenset[str]().union(*(turn.labels for turn in turns))
            said = [turn.messages for turn in turns]
            messages = trimmed([declared(one, engagement.definition) for one in said] if self.team else said)
            return Outcome(
                output=Datum({"messages": messages}, {"": labels} if labels else {}),
                why={"session": self.name, "turns": len(turns)},
            )

        nature = Nature(effect="read", idempotent=True, resource=_RESOURCE)
        outcome = await engagement.effects.record(self._invocation(engagement, "begin"), nature, perform)
        found = cast("Mapping[str, Sequence[Json]]", outcome.output.value)
        engagement.past = loaded(found["messages"])
        engagement.heard |= outcome.output.every_label()

    async def end(self, engagement: Engagement, messages: Sequence[ModelMessage], answer: Json) -> None:
        """Add what was said, and let the session go. In a team, whoever answers does."""
        if engagement.effects.run.dry or engagement.taken is not None:
            return
        said = question_and_answer(messages, engagement.given.value, answer) if self.team else messages
        labels = engagement.heard | engagement.definition.labels
        turn = Turn(messages=kept(said, answer), labels=labels)
        # of a team each member may see something else, so nobody sums up for the others
        before = await summed_up(engagement, turn.messages) if self.team is None else None
        await self._ended(engagement, "end", turn, Turn(messages=before, labels=labels) if before else None)

    async def give_up(self, engagement: Engagement) -> None:
        """Let the session go as it was: an engagement that failed leaves nothing in it. A team goes on without a member."""
        took_over = self.team is not None and (engagement.seat is None or bool(engagement.seat.came))
        if not engagement.effects.run.dry and not took_over:
            await self._ended(engagement, "give-up", None)

    async def _ended(self, engagement: Engagement, step: str, turn: Turn | None, summary: Turn | None = None) -> None:
        async def perform() -> Outcome:
            await self.sessions.end(self._place(engagement), turn, summary)
            why: dict[str, Json] = {"session": self.name, "kept": turn is not None}
            return Outcome(output=Datum(), why={**why, "summed_up": True} if summary else why)

        nature = Nature(effect="write", idempotent=True, resource=_RESOURCE)
        await engagement.effects.record(self._invocation(engagement, step), nature, perform)

    def _place(self, engagement: Engagement) -> Place:
        invocation = engagement.invocation
        return Place(
            name=self.name,
            agent=self.team or engagement.definition.name,
            run_id=engagement.effects.run.id,
            key=self.held_at or invocation.key,
        )

    def _invocation(self, engagement: Engagement, step: str) -> Invocation:
        arguments: dict[str, Json] = {"session": self.name, "step": step}
        acting = Acting(
            principal=("Agent", engagement.definition.name),
            action="session",
            arguments=arguments,
            version=engagement.definition.version,
        )
        return Invocation(
            key=f"{engagement.base}/session/{step}",
            task=engagement.invocation.task,
            function=SESSION_FUNCTION,
            arguments=Datum(arguments),
            acting=acting,
        )
