"""Our agents on the turn of the peers: the real engine, policies, journal and agents, without a jq process, for no step has an expression."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import httpx2
from _noop_model import Noop
from _our_store import durability, open_store
from _turns import DESCRIPTION, INSTRUCTIONS, QUESTION, TOOL, Noted, answer_turns
from _workload import place

from orchestrion.agents import AgentDefinition
from orchestrion.app import run_process
from orchestrion.core import Clock, Datum, Json, LeafContext, Outcome, SystemClock
from orchestrion.engine import Limits
from orchestrion.functions import Agent
from orchestrion.governance import ActionDeclaration, Catalogued, CedarGate, PolicyFile
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.models import Candidate, Models, ModelSettings, Playbook
from orchestrion.testing import NoExpressions, NoSecrets, Scripted, Stage, interpreting, read_document, run_of

DOCUMENT = read_document(
    "document: { dsl: '1.0.3', namespace: bench, name: turn, version: '1.0.0' }\ndo:\n"
    f"  - note: {{ call: 'agent:1.0.0@default', with: {{ agent: clerk, input: {{ message: {QUESTION} }} }} }}\n"
)
PARAMETERS: Mapping[str, Json] = {
    "type": "object",
    "required": ["number"],
    "properties": {"number": {"type": "integer"}},
}
CLERK = AgentDefinition.model_validate(
    {
        "name": "clerk",
        "model": ["noop"],
        "instructions": INSTRUCTIONS,
        "input": {"type": "object", "properties": {"message": {"type": "string"}}},
        "tools": [
            {"name": TOOL, "description": DESCRIPTION, "parameters": PARAMETERS, "function": {"name": f"{TOOL}:1.0.0"}}
        ],
    }
)
POLICY = """
@id("engages") permit (principal is Workflow, action == Action::"agent", resource);
@id("asks") permit (principal == Agent::"clerk", action == Action::"model", resource == Model::"noop");
@id("notes") permit (principal == Agent::"clerk", action == Action::"note", resource);
"""


ACTIONS = [
    ActionDeclaration(name="agent", input_schema={"type": "object"}),
    ActionDeclaration(
        name="model",
        input_schema={"type": "object", "properties": {"model": {"type": "string"}}},
        resource_types=("Model",),
    ),
    ActionDeclaration(name=TOOL, input_schema=PARAMETERS),
]


class NoopModels(Models):
    """One model, the one that costs nothing; to the engine it is one that is asked outside."""

    def __init__(self, clock: Clock) -> None:
        settings = ModelSettings(provider="openai:noop", base_url="http://localhost")
        super().__init__({"noop": settings}, http=httpx2.AsyncClient, secrets=NoSecrets(), playbooks={}, clock=clock)
        self._noop = [replace(candidate, model=Noop()) for candidate in super().candidates(["noop"])]

    def candidates(self, names: Sequence[str], playbook: Playbook | None = None) -> list[Candidate]:
        del names, playbook
        return self._noop


async def _perform(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
    number = arguments["number"]
    assert isinstance(number, int)
    return Outcome(output=Datum(Noted.note(number)))


async def main() -> None:
    where, clock = place(), SystemClock()
    gate, findings = CedarGate.load(
        [PolicyFile(file="bench.cedar", text=POLICY)],
        Catalogued(actions=ACTIONS, agents=["clerk"], workflows=["bench/turn"]),
    )
    if gate is None:
        raise SystemExit("\n".join(map(str, findings)))
    note = Scripted(name=TOOL, act=_perform, effect=where["declared"])
    agent = Agent({"clerk": CLERK}, NoopModels(clock), clock)
    stage = Stage(functions=(agent, note), gate=gate, limits=Limits(concurrency=10))
    store = None if where["memory"] else open_store(where, clock)
    journal = DurableJournal(store, clock) if store else MemoryJournal(clock)
    async with stage.engine(journal, interpreting({DOCUMENT.digest: DOCUMENT}, NoExpressions())) as engine:

        async def run_turn(_: str) -> str:
            ended = await engine.settle((await engine.start(run_of(DOCUMENT, None))).id)
            if not isinstance(ended.output, Mapping):
                raise SystemExit(f"the run ended otherwise: {ended.problem}")
            return str(ended.output["reply"])

        await answer_turns(run_turn, {"durability": durability(store, on_file=True) if store else "none"})
    await journal.close()
    if store:
        store.close()


run_process(main)
