"""What goes wrong at the service desk with nobody looking on: how soon it is over, and what it did.

Worse versions of the billing agent get a fifth of the customers, deployed as `orchestrion deploy --canary 20%` does it; messages come
in, and the platform decides. The bad prompt is a playbook that gives 50 euros to whoever complains; the models are a server on this
machine that answers late, is dear, or posts a letter to everybody. Then its model has 14 days left, and in the last case it is gone
from one request to the next. Damage is the runs that got the candidate, requests that went to a dead model, messages that nobody
answered, and what stands in the bank's book that should not.

Run: make bench NAME=oversight, or python benchmarks/oversight.py SEED. The last line is JSON:
{case: {"status", "seconds", "messages", "refunds_not_owed", "statements_posted", "verdict", ...}}, with "got_it" for each that is a
trial, "unanswered" for models that go, "on_trial_after" and "asked_the_retiring_afterwards" for the one that retires, and
"reached_the_dead", "followed" and "asked_against_policy" for the one that is gone.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from oversight_parts.desk import REPLY, WORKFLOW, ask, deploy, in_the_book, incoming, model, name_models, new_desk, send
from oversight_parts.gone import sudden_404
from oversight_parts.retirement import retirement

from orchestrion.app import open_app, oversight_of, put_on_trial, resolve
from orchestrion.core import Json, dump
from orchestrion.oversight import Plan
from orchestrion.registry import RolloutStatus
from orchestrion.testing.openai_server import Behaviour, Calls, Late, OpenAIServer

STICKY = "/customerId"
LATE_S, LIMIT_S = 10.0, 5.0
GENEROUS = """\
rules:
  - name: goodwill
    when: { any: [{ has: entities.twice }, { has: entities.fee }] }
    call: refund
    arguments: { amount_cents: 5000 }
"""
UNASKED = '(.calls | index("send_letter") != null) and (.input.message | test("statement|auszug"; "i") | not)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is worse about a candidate, and how whoever deploys it says what a loss is."""

    plan: Plan
    playbook: Callable[[str], str] = lambda text: text
    models: Mapping[str, tuple[float, Behaviour]] = field(default_factory=dict[str, tuple[float, Behaviour]])
    """`present` and `candidate`: US dollars for a million tokens, and what is answered."""


STEADY = (0.1, REPLY)
CASES: Mapping[str, Case] = {
    "bad prompt": Case(
        plan=Plan(shares=(0.2,), sticky=STICKY, loss=".denied > 0"),
        playbook=lambda text: text.replace("rules:\n", GENEROUS, 1),
    ),
    "slow model": Case(
        plan=Plan(shares=(0.2,), sticky=STICKY, seconds=LIMIT_S),
        models={"present": STEADY, "candidate": (0.1, Late(LATE_S, REPLY))},
    ),
    "dear model": Case(
        plan=Plan(shares=(0.2,), sticky=STICKY, usd=0.001),
        models={"present": STEADY, "candidate": (30.0, REPLY)},
    ),
    "wrong tool": Case(
        plan=Plan(shares=(0.2,), sticky=STICKY, violation=UNASKED),
        models={"present": STEADY, "candidate": (0.1, Calls([("send_letter", {})]))},
    ),
}


_TOLD = ("status", "seconds", "messages", "verdict")
EMERGENCIES = {"retirement": retirement, "sudden 404": sudden_404}


async def play(case: Case, folder: Path, seed: int) -> dict[str, Json]:
    async with AsyncExitStack() as stack:
        servers = {
            name: (price, await stack.enter_async_context(OpenAIServer([behaviour])))
            for name, (price, behaviour) in case.models.items()
        }
        if servers:
            name_models(folder, [model(name, server, price) for name, (price, server) in servers.items()])
            ask(folder, "present")
        await deploy(folder)
        if servers:
            ask(folder, "candidate")
        playbook = folder / "playbooks" / "billing.yaml"
        playbook.write_text(case.playbook(playbook.read_text(encoding="utf-8")), encoding="utf-8")
        app = await stack.enter_async_context(open_app(folder))
        await app.engine.settle((await app.start(await app.versions.choose(WORKFLOW, "bench"), incoming(0)[0])).id)
        candidate = await resolve(app, "working", WORKFLOW)
        rollouts = oversight_of(app).rollouts
        began = time.monotonic()
        begun = await put_on_trial(app, candidate, case.plan, by="bench")

        async def over() -> bool:
            return (await rollouts.find(begun.id)).status is not RolloutStatus.RUNNING

        count = len(await send(app, incoming(seed), over))
        seconds = time.monotonic() - began
        ended = await rollouts.find(begun.id)
        got = [run for run in await rollouts.runs(ended) if run.side == "candidate"]
    return {
        "status": ended.status,
        "seconds": round(seconds, 1),
        "messages": count,
        "got_it": len(got),
        **in_the_book(folder),
        "verdict": ended.verdict,
    }


async def main(seed: int) -> None:
    found: dict[str, Json] = {}
    with tempfile.TemporaryDirectory(prefix="orchestrion-oversight-") as home:
        trained: Path | None = None
        for name in (*CASES, *EMERGENCIES):
            folder = new_desk(Path(home) / name.replace(" ", "-"), trained)
            trained = folder
            emergency = EMERGENCIES.get(name)
            figures = await (emergency(folder, incoming(seed)) if emergency else play(CASES[name], folder, seed))
            found[name] = figures
            tell(name, figures)
    sys.stdout.write(dump(found) + "\n")


def tell(name: str, figures: Mapping[str, Json]) -> None:
    line = f"{name:12}{figures['status']!s:13}{figures['seconds']:>7} s{figures['messages']:>6} messages"
    more = ", ".join(
        f"{value} {what.replace('_', ' ')}" for what, value in figures.items() if what not in _TOLD and value
    )
    sys.stdout.write(f"{line}, {more}  {figures['verdict']}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
