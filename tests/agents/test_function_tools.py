"""Functions of the catalog as tools."""

from collections.abc import Callable, Mapping
from typing import cast

import pytest

from orchestrion.agents import AgentDefinition, Known, read_agent, run_agent
from orchestrion.core import Datum, Declaration, Effects, Invocation, Json, LeafContext, Nature, Outcome, SystemClock
from orchestrion.functions import DefaultCatalog
from orchestrion.models import Models
from orchestrion.testing.fake_effects import FakeEffects, NoSecrets

pytestmark = pytest.mark.anyio

LOOKUP = Declaration(
    name="lookup",
    version="1.0.0",
    title="Look up",
    description="Finds passages.",
    input_schema={
        "type": "object",
        "required": ["base", "query"],
        "additionalProperties": False,
        "properties": {"base": {"type": "string"}, "query": {"type": "string"}, "k": {"type": "integer"}},
    },
    output_schema={"type": "object"},
    effect="read",
    idempotent=True,
)
WAIT = Declaration(
    name="wait-for-it",
    version="2.0.0",
    title="Wait",
    description="Waits.",
    input_schema={"type": "object", "properties": {"query": {"type": "string"}}},
    output_schema={"type": "object"},
    effect="write",
    idempotent=True,
)
AGENT = """\
name: helper
input: { type: object, properties: { message: { type: string } } }
tools:
  - name: search
    parameters: { type: object, properties: { query: { type: string }, most: { type: integer } } }
    function: { name: lookup, with: { base: handbook, query: '{query}', k: '{most}' } }
playbook:
  rules:
    - name: search
      call: search
      arguments: { query: '{input.message}' }
    - name: bye
      answer: 'Found {tools.search.text}.'
"""


class Lookup:
    declaration = LOOKUP

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="read", idempotent=True, resource=("Function", "lookup"))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        arguments = cast("Mapping[str, Json]", invocation.arguments.value)
        return Outcome(output=Datum({"text": dict(arguments)}, {"": frozenset({"untrusted"})}))


class Wait:
    declaration = WAIT

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        return Outcome(output=Datum({"text": invocation.arguments.value}))


KNOWN = Known(functions=DefaultCatalog([Lookup(), Wait()]).resolve)


def findings(text: str) -> list[str]:
    _, found = read_agent(text, file="a.yaml", known=KNOWN)
    return [f"{one.line}:{one.column} {one.message}" for one in found]


def agent(text: str) -> AgentDefinition:
    definition, found = read_agent(text, file="a.yaml", known=KNOWN)
    assert definition is not None, [str(one) for one in found]
    return definition


async def engage(definition: AgentDefinition, life: FakeEffects) -> Outcome:
    models = Models(
        {},
        http=cast("Callable[[], object]", None),  # pyright: ignore[reportArgumentType]  rules need no network
        secrets=NoSecrets(),
        playbooks={},
    )
    at = Invocation(key="/do/0/a#1~1", task="/do/0/a", function="agent:1.0.0", arguments=Datum({}))
    given = Datum({"message": "cats"}, {"/message": frozenset({"pii"})})
    return await run_agent(definition, given, at, life, models=models, clock=SystemClock())


async def test_a_function_is_called_with_constants_and_what_the_model_chose() -> None:
    seen: list[Invocation] = []

    async def lookup(invocation: Invocation, context: LeafContext) -> Outcome:
        seen.append(invocation)
        return await Lookup().perform(invocation, context)

    outcome = await engage(agent(AGENT), FakeEffects(leaves={"lookup:1.0.0": lookup}))
    assert seen[0].arguments == Datum({"base": "handbook", "query": "cats"}, {"/query": frozenset({"pii"})})
    assert seen[0].acting is not None
    assert (seen[0].acting.action, seen[0].acting.arguments) == ("search", {"query": "cats"})
    assert outcome.output.value == {"reply": 'Found {"base":"handbook","query":"cats"}.'}
    assert outcome.output.labels == {"": {"pii", "untrusted"}}


async def test_without_with_the_function_says_what_it_takes_and_a_composite_ends_the_turn() -> None:
    text = (
        AGENT.partition("    parameters")[0]
        + "    function: { name: wait-for-it }\n"
        + AGENT[AGENT.index("playbook:") :]
    )
    definition = agent(text)
    tool = definition.tool("search")
    assert (tool.chosen, tool.description, tool.write, tool.waits) == (["query"], "Waits.", True, True)
    life = FakeEffects(composites={"wait-for-it:2.0.0": Wait()})
    assert (await engage(definition, life)).output.value == {"reply": 'Found {"query":"cats"}.'}


async def test_arguments_that_do_not_fit_the_function_are_a_failure_the_model_sees() -> None:
    text = AGENT.replace("k: '{most}'", "k: '{query}'").replace(", most: { type: integer }", "")
    text = text.replace("answer: 'Found {tools.search.text}.'", "answer: '{failures.search.code}'")
    outcome = await engage(agent(text), FakeEffects(leaves={"lookup:1.0.0": Lookup().perform}))
    assert outcome.output.value == {"reply": "bad-argument"}


def test_the_version_of_the_function_is_part_of_the_agents() -> None:
    assert (
        agent(AGENT).tool("search").function
        == agent(AGENT.replace("name: lookup", "name: 'lookup:1.0.0'")).tool("search").function
    )
    assert findings(AGENT) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: lookup", "name: lokup", "6:23 There is no function 'lokup'."),
        ("base: handbook", "base: 7", "6:45 The function 'lookup' does not take this: "),
        ("base: handbook, ", "", "6:15 The function 'lookup' needs 'base'."),
        ("k: '{most}'", "m: '{most}'", "6:76 The function 'lookup' takes no 'm'."),
        (", k: '{most}'", "", "6:37 The argument 'most' of the tool 'search' goes nowhere."),
        ("'{most}'", "'{least}'", "6:37 The tool 'search' has no argument 'least'."),
        ("name: lookup", "name: agent", "6:23 An agent cannot call 'agent' as a tool."),
        ("name: lookup,", "name: lookup, shape: 1,", "6:38 Input"),
        (
            "    function:",
            "    write: true\n    function:",
            "6:12 The tool 'search' says that it writes; 'lookup:1.0.0' changes nothing.",
        ),
    ],
)
def test_what_cannot_work_is_found_at_its_place(old: str, new: str, expected: str) -> None:
    assert old in AGENT
    found = findings(AGENT.replace(old, new, 1))
    assert any(one.startswith(expected) for one in found), found
