"""The service desk of the example, with a bank of its own, asking models on this machine, and the messages that come in."""

import asyncio
import csv
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from orchestrion.app import App, open_app, release, resolve
from orchestrion.core import Json, Run
from orchestrion.registry import PRODUCTION
from orchestrion.testing.openai_server import Calls, OpenAIServer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"
WORKFLOW = "customer-triage"
AT_ONCE, MOST = 20, 3_000
REPLY = Calls([("final_result", {"en": "We look into it.", "de": "Wir sehen nach."})])


def new_desk(folder: Path, trained: Path | None) -> Path:
    """A copy of the example with a bank; with what another copy's classifier has learned."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    command = [sys.executable, str(folder / "prepare.py")]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    if trained is not None:
        shutil.copytree(trained / ".orchestrion" / "routers", folder / ".orchestrion" / "routers")
    return folder


def model(name: str, server: OpenAIServer, price: float, more: str = "") -> str:
    """A line of the settings; `price` is US dollars for a million tokens."""
    priced = f"price: {{ input: {price}, output: {price} }}"
    return f"  {name}: {{ provider: 'openai:{name}', base_url: '{server.base_url}', {priced}{more} }}"


def name_models(folder: Path, models: Iterable[str]) -> None:
    """Put models into the settings."""
    with (folder / "orchestrion.yaml").open("a", encoding="utf-8") as settings:
        settings.write("\n".join(["egress: { allow: ['127.0.0.1'] }", "models:", *models, ""]))


def ask(folder: Path, model: str) -> None:
    """Let the billing desk ask a model."""
    agent = folder / "agents" / "billing.yaml"
    lines = agent.read_text(encoding="utf-8").splitlines()
    changed = [f"model: {model}" if line.startswith("model:") else line for line in lines]
    agent.write_text("\n".join(changed) + "\n", encoding="utf-8")


async def deploy(folder: Path) -> None:
    """Let new runs get what the files say now, whatever the files say later."""
    async with open_app(folder) as app:
        await release(app, await resolve(app, "working", WORKFLOW), PRODUCTION, by="bench", why="as it is")


def incoming(seed: int) -> list[dict[str, Json]]:
    """Messages of the example in any order, from any customer."""
    draw = random.Random(seed)
    with (EXAMPLE / "messages.csv").open(encoding="utf-8", errors="replace", newline="") as file:
        texts = [row["message"] for row in csv.DictReader(file) if row["category"] and 0 < len(row["message"]) <= 4000]
    return [{"message": draw.choice(texts), "customerId": f"C-{draw.randint(1001, 1200)}"} for _ in range(MOST)]


async def send(
    app: App, messages: Sequence[dict[str, Json]], over: Callable[[], Awaitable[bool]] | None = None
) -> list[Run]:
    """Messages come in, some at once, until it is over or there are no more; what became of each."""
    left, ended = iter(messages), list[Run]()

    async def one_after_another() -> None:
        for value in left:
            if over is not None and await over():
                return
            chosen = await app.versions.choose(WORKFLOW, "bench")
            ended.append(await app.engine.settle((await app.start(chosen, value, subject="bench")).id))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_another())
    return ended


def in_the_book(folder: Path) -> dict[str, Json]:
    """What stands in the bank's book that should not."""
    with closing(sqlite3.connect(folder / "data" / "bank.db")) as bank:
        wrong = bank.execute("select count(*) from refunds where charge_id not in (select id from refundable)")
        posted = bank.execute("select count(*) from letters where kind = 'statement'")
        return {"refunds_not_owed": wrong.fetchone()[0], "statements_posted": posted.fetchone()[0]}
