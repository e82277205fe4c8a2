"""`infer`: an object of the wanted form from a model over HTTP, corrected or replaced where needed."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import httpx2
import pytest

from orchestrion.core import Datum, Faulted, Invocation, Json, Outcome, SystemClock, UserError
from orchestrion.functions import Infer
from orchestrion.models import Models, ModelSettings, Patience, Playbook, parse_playbook
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets
from orchestrion.testing.openai_server import Behaviour, Calls, OpenAIServer, Says, Status

pytestmark = pytest.mark.anyio

FORM: Json = {"type": "object", "required": ["mood"], "properties": {"mood": {"enum": ["good", "bad"]}}}
RULES = cast("Playbook", parse_playbook({"rules": [{"name": "a", "answer": {"mood": "bad"}}]}, name="rules"))


def mood(value: str) -> Calls:
    return Calls([("final_result", {"mood": value})])


async def inferred(
    script: Sequence[Behaviour], effects: FakeEffects | None = None, **more: Json
) -> tuple[Outcome, OpenAIServer]:
    arguments: dict[str, Json] = {"model": "m", "prompt": "Which mood?", "input": "what a day", "output": FORM, **more}
    async with OpenAIServer(script) as server, httpx2.AsyncClient() as client:
        models = Models(
            {"m": ModelSettings(provider="gpt-4o-mini", base_url=server.base_url)},
            http=lambda: client,
            secrets=NoSecrets(),
            playbooks={"rules": RULES},
            patience=Patience(attempts=1),
        )
        invocation = Invocation(
            key="/do/0/i#1~1",
            task="/do/0/i",
            function="infer:1.0.0",
            arguments=Datum({name: value for name, value in arguments.items() if value is not None}),
        )
        return await Infer(models, SystemClock()).run(invocation, effects or FakeEffects()), server


async def test_an_object_of_the_wanted_form() -> None:
    outcome, server = await inferred([mood("good")])
    assert outcome.output.value == {"mood": "good"}
    assert outcome.cost is not None
    assert outcome.cost.usd_micros > 0
    (request,) = server.requests
    assert "Which mood?" in str(request["messages"])
    assert "what a day" in str(request["messages"])


async def test_another_form_is_sent_back() -> None:
    outcome, server = await inferred([mood("excellent"), mood("good")])
    assert outcome.output.value == {"mood": "good"}
    assert "mood" in str(server.requests[1]["messages"][-1])


async def test_it_gives_up_after_two_corrections() -> None:
    with pytest.raises(Faulted) as caught:
        await inferred([mood("excellent")])
    assert caught.value.code == "agent-gave-up"


async def test_the_fallback_answers_and_is_named() -> None:
    outcome, _ = await inferred([Status(500)], fallback=["playbook:rules"])
    assert outcome.output.value == {"mood": "bad"}
    assert outcome.model == "playbook:rules"
    assert cast("Mapping[str, Any]", outcome.why)["answered_by"] == "rules"


async def test_without_a_form_the_answer_is_a_reply() -> None:
    outcome, _ = await inferred([Says("A good one.")], output=None)
    assert outcome.output.value == {"reply": "A good one."}


async def test_policies_see_the_workflow_and_the_model() -> None:
    seen: list[Invocation] = []
    effects = FakeEffects()
    allow = effects.policy
    effects.policy = lambda invocation: (seen.append(invocation), allow(invocation))[1]
    await inferred([mood("good")], effects)
    (request,) = seen
    assert request.function == "model:1.0.0"
    assert request.acting is None
    assert cast("Mapping[str, Json]", request.arguments.value)["model"] == "m"


async def test_a_form_that_is_no_schema_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        await inferred([mood("good")], output={"type": "mood"})
    assert caught.value.code == "bad-schema"
