"""Worse versions of the service desk's billing agent, each let loose on a fifth of its customers: how soon they are gone, and what they did.

Nobody looks on: a candidate is deployed as `orchestrion deploy --canary 20%` does it, messages come in, and the platform decides. The
bad prompt is a playbook that gives 50 euros to whoever complains; the models are a server on this machine that answers late, is dear, or
posts a letter to everybody. Damage is the runs that got the candidate, and what stands in the bank's book that should not.

Run: make bench NAME=oversight, or python benchmarks/oversight.py SEED. The last line is JSON:
{case: {"status", "seconds", "messages", "got_it", "refunds_not_owed", "statements_posted", "verdict"}}.
"""

import asyncio
import csv
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from orchestrion.app import App, open_app, oversight_of, put_on_trial, release, resolve
from orchestrion.core import Json, dump
from orchestrion.oversight import Plan
from orchestrion.registry import PRODUCTION, Rollout, RolloutStatus
from orchestrion.testing.openai_server import Behaviour, Calls, Late, OpenAIServer

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "customer-service"
WORKFLOW, STICKY = "customer-triage", "/customerId"
AT_ONCE, MOST = 20, 1_500
LATE_S, LIMIT_S = 10.0, 5.0
GENEROUS = """\
rules:
  - name: goodwill
    when: { any: [{ has: entities.twice }, { has: entities.fee }] }
    call: refund
    arguments: { amount_cents: 5000 }
"""
REPLY = Calls([("final_result", {"en": "We look into it.", "de": "Wir sehen nach."})])
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


def new_desk(folder: Path, trained: Path | None) -> Path:
    """A copy of the example with a bank; with what another copy's classifier has learned."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    command = [sys.executable, str(folder / "prepare.py")]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    if trained is not None:
        shutil.copytree(trained / ".orchestrion" / "routers", folder / ".orchestrion" / "routers")
    return folder


def name_models(folder: Path, servers: Mapping[str, tuple[float, OpenAIServer]]) -> None:
    """Put the models into the settings."""
    lines = [
        f"  {name}: {{ provider: 'openai:test', base_url: '{server.base_url}', price: {{ input: {price}, output: {price} }} }}"
        for name, (price, server) in servers.items()
    ]
    with (folder / "orchestrion.yaml").open("a", encoding="utf-8") as settings:
        settings.write("\n".join(["egress: { allow: ['127.0.0.1'] }", "models:", *lines, ""]))


def ask(folder: Path, model: str) -> None:
    """Let the billing desk ask a model."""
    agent = folder / "agents" / "billing.yaml"
    lines = agent.read_text(encoding="utf-8").splitlines()
    changed = [f"model: {model}" if line.startswith("model:") else line for line in lines]
    agent.write_text("\n".join(changed) + "\n", encoding="utf-8")


def incoming(seed: int) -> list[dict[str, Json]]:
    """Messages of the example in any order, from any customer."""
    draw = random.Random(seed)
    with (EXAMPLE / "messages.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        texts = [row["message"] for row in csv.DictReader(file) if row["category"] and 0 < len(row["message"]) <= 4000]
    return [{"message": draw.choice(texts), "customerId": f"C-{draw.randint(1001, 1200)}"} for _ in range(MOST)]


async def until_verdict(app: App, begun: Rollout, messages: list[dict[str, Json]]) -> tuple[Rollout, int]:
    """Messages come in until it is over; how many did."""
    left, count = iter(messages), 0

    async def one_after_another() -> None:
        nonlocal count
        for value in left:
            if (await oversight_of(app).rollouts.find(begun.id)).status is not RolloutStatus.RUNNING:
                return
            count += 1
            chosen = await app.versions.choose(WORKFLOW, "bench")
            await app.engine.settle((await app.start(chosen, value, subject="bench")).id)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_another())
    return await oversight_of(app).rollouts.find(begun.id), count


async def play(case: Case, folder: Path, seed: int) -> dict[str, Json]:
    async with AsyncExitStack() as stack:
        servers = {
            name: (price, await stack.enter_async_context(OpenAIServer([behaviour])))
            for name, (price, behaviour) in case.models.items()
        }
        if servers:
            name_models(folder, servers)
            ask(folder, "present")
        async with open_app(folder) as app:
            await release(app, await resolve(app, "working", WORKFLOW), PRODUCTION, by="bench", why="as it is")
        if servers:
            ask(folder, "candidate")
        playbook = folder / "playbooks" / "billing.yaml"
        playbook.write_text(case.playbook(playbook.read_text(encoding="utf-8")), encoding="utf-8")
        app = await stack.enter_async_context(open_app(folder))
        await app.engine.settle((await app.start(await app.versions.choose(WORKFLOW, "bench"), incoming(0)[0])).id)
        candidate = await resolve(app, "working", WORKFLOW)
        began = time.monotonic()
        ended, count = await until_verdict(
            app, await put_on_trial(app, candidate, case.plan, by="bench"), incoming(seed)
        )
        seconds = time.monotonic() - began
        got = [run for run in await oversight_of(app).rollouts.runs(ended) if run.side == "candidate"]
    return {
        "status": ended.status,
        "seconds": round(seconds, 1),
        "messages": count,
        "got_it": len(got),
        **in_the_book(folder),
        "verdict": ended.verdict,
    }


def in_the_book(folder: Path) -> dict[str, Json]:
    with closing(sqlite3.connect(folder / "data" / "bank.db")) as bank:
        wrong = bank.execute("select count(*) from refunds where charge_id not in (select id from refundable)")
        posted = bank.execute("select count(*) from letters where kind = 'statement'")
        return {"refunds_not_owed": wrong.fetchone()[0], "statements_posted": posted.fetchone()[0]}


async def main(seed: int) -> None:
    found: dict[str, Json] = {}
    with tempfile.TemporaryDirectory(prefix="orchestrion-oversight-") as home:
        trained: Path | None = None
        for name, case in CASES.items():
            folder = new_desk(Path(home) / name.replace(" ", "-"), trained)
            trained = folder
            figures = await play(case, folder, seed)
            found[name] = figures
            line = f"{name:12}{figures['status']!s:13}{figures['seconds']:>7} s{figures['messages']:>6} messages"
            sys.stdout.write(f"{line}{figures['got_it']:>5} got it  {figures['verdict']}\n")
            sys.stdout.flush()
    sys.stdout.write(dump(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
