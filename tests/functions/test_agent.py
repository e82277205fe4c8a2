"""`agent`: with the project's agents, under bounds of the call."""

from collections.abc import Mapping
from typing import cast

import pytest

from orchestrion.agents import AgentDefinition, Known, parse_agent
from orchestrion.core import Datum, Faulted, Invocation, Json, Outcome, SystemClock, UserError
from orchestrion.functions import Agent
from orchestrion.models import Models
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets

pytestmark = pytest.mark.anyio


def never() -> None:
    raise AssertionError("nothing here may go outside")


MODELS = Models({}, http=never, secrets=NoSecrets(), playbooks={})  # pyright: ignore[reportArgumentType]  never called
AT = Invocation(key="/do/0/help#1~1", task="/do/0/help", function="agent:1.0.0", arguments=Datum())


def helper() -> AgentDefinition:
    definition, flaws = parse_agent(
        {
            "name": "helper",
            "limits": {"turns": 5, "usd": 1.0},
            "input": {"type": "object", "properties": {"message": {"type": "string"}}},
            "tools": [{"name": "look", "query": {"connection": "bank", "statement": "select 1"}}],
            "playbook": {
                "rules": [{"name": "look", "call": "look"}, {"name": "bye", "answer": "Seen: {input.message}"}]
            },
        },
        known=Known(),
    )
    assert definition is not None, flaws
    return definition


async def looked(invocation: Invocation, context: object) -> Outcome:
    return Outcome(output=Datum({"rows": []}))


async def engaged(arguments: Mapping[str, Json], labels: Mapping[str, frozenset[str]] | None = None) -> Outcome:
    function = Agent({"helper": helper()}, MODELS, SystemClock())
    invocation = Invocation(key=AT.key, task=AT.task, function=AT.function, arguments=Datum(arguments, labels or {}))
    return await function.run(invocation, FakeEffects(leaves={"query:1.0.0": looked}))


async def test_it_gives_the_agents_answer() -> None:
    outcome = await engaged({"agent": "helper", "input": {"message": "hi", "extra": 1}})
    assert outcome.output.value == {"reply": "Seen: hi"}
    assert outcome.model == "playbook"
    assert cast("Mapping[str, Json]", outcome.why)["dropped_fields"] == ["extra"]


async def test_labels_of_the_input_reach_the_answer() -> None:
    arguments: dict[str, Json] = {"agent": "helper", "input": {"message": "hi", "extra": 1}}
    outcome = await engaged(arguments, {"/input/message": frozenset({"untrusted"}), "/input/extra": frozenset({"pii"})})
    assert outcome.output.labels == {"": {"untrusted"}}


async def test_a_call_may_tighten_limits_and_never_loosen_them() -> None:
    with pytest.raises(Faulted) as caught:
        await engaged({"agent": "helper", "input": {}, "limits": {"turns": 1}})
    assert caught.value.code == "limit-turns"
    outcome = await engaged({"agent": "helper", "input": {}, "limits": {"turns": 100}})
    assert outcome.output.value == {"reply": "Seen: "}


async def test_an_unknown_agent_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="no agent 'helpr'") as caught:
        await engaged({"agent": "helpr", "input": {}})
    assert caught.value.hint == "Did you mean 'helper'?"


async def test_the_call_may_ask_for_another_form_of_answer() -> None:
    form: Json = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    with pytest.raises(Faulted) as caught:  # its rules give `reply`, which is another form
        await engaged({"agent": "helper", "input": {}, "output": form})
    assert caught.value.code == "agent-gave-up"
