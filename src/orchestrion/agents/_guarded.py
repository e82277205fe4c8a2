"""An agent's guard: what every answer must pass before anybody hears of it."""

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic_ai import ModelRetry

from orchestrion.core import ERROR_TYPES, Datum, Faulted, Invocation, Json, Problem, dump

from ._engagement import Engagement

GUARD_TRIES = 3
"""How often an answer may be blocked before the agent fails: it is told why in between."""


async def guarded(engagement: Engagement, answer: Json) -> None:
    """Have the agent's guard check its answer; only then is it spoken.

    Raises: ModelRetry with the guard's reasons; Faulted `agent-guard` when it was blocked too often.
    """
    guard, number = engagement.definition.guard, engagement.requests - 1
    if guard is None:
        return
    labels = {"/content": engagement.heard} if engagement.heard else {}
    checked = await engagement.effects.invoke(
        Invocation(
            key=f"{engagement.base}/model/{number}/guard",
            task=engagement.invocation.task,
            function="guard:1.0.0",
            arguments=Datum({"policy": guard, "content": answer}, labels),
        )
    )
    verdict = cast("Mapping[str, Json]", checked.output.value)
    if verdict["verdict"] != "allow":
        engagement.blocked += 1
        found = cast("Sequence[Mapping[str, Json]]", verdict["findings"])
        said = "; ".join(f"{one['kind']} at {one['where'] or 'the whole'}: {one['why']}" for one in found)
        if engagement.blocked >= GUARD_TRIES:
            raise _refused(engagement, guard, said)
        raise ModelRetry(f"The answer may not leave: {said}. Answer without it.")
    voice = engagement.voice(number) if engagement.fresh == number else None
    if voice is not None and (speech := voice.begin()) is not None:
        speech.say(answer) if isinstance(answer, str) else speech.say(dump(answer), "json")


def _refused(engagement: Engagement, guard: str, said: str) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["authorization"],
            status=403,
            title="Guard refused the answer",
            detail=f"The guard {guard!r} let none of {engagement.blocked} answers of the agent {engagement.definition.name!r} pass: {said}.",
            instance=engagement.invocation.task,
            code="agent-guard",
            hint="The answers are in the record. Change the agent's instructions, or what the guard allows.",
        )
    )
