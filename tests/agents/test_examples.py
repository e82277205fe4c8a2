"""Examples in agent files: they fit the schemas, the rules answer them so, and a language model is shown them."""

import json
from collections.abc import Mapping
from typing import Any, cast

import httpx2
import pytest
from inline_snapshot import snapshot

from orchestrion.agents import AgentDefinition, Known, read_agent, run_agent
from orchestrion.core import Datum, Invocation, SystemClock, UserError
from orchestrion.models import Intent, Models, ModelSettings
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets
from orchestrion.testing.openai_server import OpenAIServer, Says

DESK = """\
name: desk
asks: true
input: { type: object, required: [message], properties: { message: { type: string }, customerId: { type: string } } }
output: { type: object, required: [reply], properties: { reply: { type: string }, count: { type: integer } } }
tools:
  - name: look
    query: { connection: bank, statement: select 1 }
claims: { looked: look }
playbook:
  rules:
    - { name: which, when: { says: card }, ask: Which card? }
    - { name: look, when: { says: invoices }, call: look }
    - { name: tell, when: { done: look }, answer: { reply: Here., count: '{tools.look.rows|count}' }, claims: looked }
    - { name: pass on, when: { says: hard }, engage: colleague }
    - { name: passed, when: { done: colleague }, answer: { reply: '{tools.colleague.reply}' } }
    - { name: rest, answer: { reply: Bye. } }
examples:
"""
RIGHT = """\
  - input: { message: My card }
    output: { reply: Which card?, asks: true }
  - input: { message: My invoices, customerId: C-1 }
    tools: { look: { rows: [1, 2] } }
    output: { reply: Here., count: 2, claims: [{ kind: looked, entry: tool/1 }] }
  - input: { message: Something hard }
    tools: { colleague: { reply: Done. } }
    output: { reply: Done., claims: [] }
"""


def findings(examples: str, *, desk: str = DESK, known: Known | None = None) -> list[str]:
    definition, found = read_agent(desk + examples, file="a.yaml", known=known or Known())
    assert (definition is None) == any(one.severity == "error" for one in found)
    return [f"{one.line}:{one.column} {one.severity}: {one.message}" for one in found]


def test_right_examples_are_played_without_a_finding() -> None:
    assert findings(RIGHT) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "Which card?, asks",
            "Which one?, asks",
            "19:13 error: The rule 'which' answers otherwise: 'reply' is \"Which card?\".",
        ),
        ("rows: [1, 2]", "rows: [1]", "22:13 error: The rule 'tell' answers otherwise: 'count' is 1."),
    ],
)
def test_what_the_rules_answer_otherwise_is_found(old: str, new: str, said: str) -> None:
    assert old in RIGHT
    (found,) = findings(RIGHT.replace(old, new))
    assert found == said


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (
            "{ input: { message: 5 }, output: { reply: a, claims: [] } }",
            '18:25 error: The agent does not take this: the value is not of type "string".',
        ),
        (
            "{ input: { message: a, colour: red }, output: { reply: Bye., claims: [] } }",
            "18:28 error: The agent is not given 'colour'.",
        ),
        (
            "{ input: { message: a }, output: { reply: Bye., count: many, claims: [] } }",
            '18:60 error: The agent may not answer this: the value is not of type "integer".',
        ),
        (
            "{ input: { message: my invoices }, output: { reply: Here., claims: [] } }",
            "18:5 error: The rule 'look' calls 'look', and no result of it is given.",
        ),
        ("{ input: { message: a } }", "18:5 error: 'output' is missing."),
        ("{ input: { message: a }, output: { reply: Bye. }, given: 5 }", "18:55 error: 'given' is not known here."),
    ],
)
def test_what_does_not_fit_is_found_at_its_place(example: str, said: str) -> None:
    assert findings(f"  - {example}\n") == [said]


def test_rules_that_only_step_in_give_a_warning() -> None:
    wrong = RIGHT.replace("Which card?", "Which one?")
    (found,) = findings(wrong, desk=DESK.replace("asks: true", "model: ['openai:any', playbook]\nasks: true", 1))
    assert " warning: The rule 'which' answers otherwise" in found


def test_a_router_is_asked_once_it_is_there() -> None:
    desk = """\
name: desk
playbook:
  router: intents
  rules:
    - { name: money, when: { intent: billing }, answer: Money. }
    - { name: rest, answer: Bye. }
examples:
"""
    example = "  - { input: { message: my bill }, output: { reply: Money. } }\n"

    def route(router: str, text: str) -> Intent:
        assert (router, text) == ("intents", "my bill")
        return Intent(label=label, confidence=0.9)

    def broken(router: str, text: str) -> Intent:
        raise UserError("unknown-router", "There is no router 'intents'.")

    assert findings(example, desk=desk) == []
    label = "billing"
    assert findings(example, desk=desk, known=Known(route=route)) == []
    label = "travel"
    (found,) = findings(example, desk=desk, known=Known(route=route))
    assert "The rule 'rest' answers otherwise" in found
    (found,) = findings(example, desk=desk, known=Known(route=broken))
    assert "There is no router 'intents'." in found


def test_an_example_is_part_of_what_an_agent_is() -> None:
    one, _ = read_agent(DESK + RIGHT, file="a.yaml", known=Known())
    other, _ = read_agent(DESK.removesuffix("examples:\n"), file="a.yaml", known=Known())
    assert one is not None
    assert other is not None
    assert one.version != other.version


@pytest.mark.anyio
async def test_a_language_model_is_shown_them_after_its_instructions() -> None:
    example = {"input": {"message": "hi"}, "tools": {"look": [1]}, "output": {"reply": "Hello."}}
    definition = AgentDefinition.model_validate(
        {"name": "desk", "model": ["m"], "instructions": "Be kind.", "examples": [example]}
    )
    at = Invocation(key="/do/0/a#1~1", task="/do/0/a", function="agent:1.0.0", arguments=Datum({}))
    async with OpenAIServer([Says("Hello.")]) as server, httpx2.AsyncClient(timeout=10) as client:
        settings = {"m": ModelSettings(provider="openai:test", base_url=server.base_url)}
        models = Models(settings, http=lambda: client, secrets=NoSecrets(), playbooks={})
        await run_agent(definition, Datum({"message": "hi"}), at, FakeEffects(), models=models, clock=SystemClock())
    (first, *_) = cast("list[Mapping[str, Any]]", server.requests[0]["messages"])
    assert first["role"] in {"system", "developer"}
    assert first["content"] == snapshot("""\
Be kind.

Examples of what to answer:

Input: {"message":"hi"}
Results of tools: {"look":[1]}
Answer: {"reply":"Hello."}\
""")
    assert "examples" not in json.dumps(server.requests[0]["messages"][1:])
