"""Our engine on the work of the peers: the real interpreter, engine and journal, without a jq process, for no step has an expression."""

from collections.abc import Mapping

from _our_store import durability, open_store
from _workload import PAYLOAD, STEPS, Settings, answer, effect, place

from orchestrion.app import run_process
from orchestrion.core import Datum, Effect, Json, LeafContext, Outcome, SystemClock
from orchestrion.engine import Limits
from orchestrion.governance import ActionDeclaration, Catalogued, CedarGate
from orchestrion.journal import DurableJournal
from orchestrion.testing import NoExpressions, Scripted, Stage, interpreting, read_document, run_of

DOCUMENT = read_document(
    "document: { dsl: '1.0.3', namespace: bench, name: steps, version: '1.0.0' }\ndo:\n"
    + "".join(f"  - step{i}: {{ call: 'effect:1.0.0@default', with: {{ number: {i} }} }}\n" for i in range(STEPS))
)
AT_ONCE = 1000


async def _perform(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
    number = arguments["number"]
    assert isinstance(number, int)
    return Outcome(output=Datum(effect(number)))


def _stage(declared: Effect) -> Stage:
    action = ActionDeclaration(
        name="effect", input_schema={"type": "object", "properties": {"number": {"type": "integer"}}}
    )
    gate, findings = CedarGate.load([], Catalogued(actions=[action], workflows=["bench/steps"]))
    if gate is None:
        raise SystemExit("\n".join(map(str, findings)))
    function = Scripted(name="effect", act=_perform, effect=declared)
    return Stage(functions=(function,), gate=gate, limits=Limits(concurrency=AT_ONCE))


async def main() -> None:
    where, clock = place(), SystemClock()
    store = open_store(where, clock)
    journal = DurableJournal(store, clock)
    async with _stage(where["declared"]).engine(
        journal, interpreting({DOCUMENT.digest: DOCUMENT}, NoExpressions())
    ) as engine:

        async def run_one(name: str, _: Settings) -> None:
            del name
            run = await engine.start(run_of(DOCUMENT, None))
            ended = await engine.settle(run.id)
            assert ended.output == PAYLOAD, ended

        await answer(run_one, {"durability": durability(store, on_file=where["database"] is None)})
    await journal.close()
    store.close()


run_process(main)
