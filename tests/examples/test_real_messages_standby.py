"""All of BANKING77's test messages through the desk with the journal in PostgreSQL and a standby: the leader killed twenty times.

Data: Casanueva et al., "Efficient Intent Detection with Dual Sentence Encoders", 2020 (CC BY 4.0); read from the test data.
"""

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrion.app import Row, open_app, open_rows
from orchestrion.core import labels_from, new_id

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[2] / "examples" / "customer-service"
MESSAGES = 3080
KILLS = 20
SEED = 7
PATIENCE_S = 900


def ask(url: str, question: str) -> tuple[Any, ...]:
    with psycopg.connect(url) as connection:
        found = connection.execute(question.encode()).fetchone()
    assert found is not None
    return found


def ask_bank(bank: Path, question: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(bank, timeout=30)) as connection:
        return connection.execute(question).fetchone()


def settled(url: str) -> int:
    return int(ask(url, "select count(*) from runs where status not in ('pending', 'running')")[0])


def wait_until_settled(url: str, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while settled(url) < number:
        assert time.monotonic() < deadline, f"stuck at {settled(url)} of {number}"
        time.sleep(0.02)


async def accept(desk: Path, messages: Path) -> None:
    """Every message is a run that waits to begin."""
    async with open_app(desk) as app:
        document = app.checked.shelf.named("customer-triage")
        batch = open_rows(messages, document, app.project.settings.batches[document.name], {"message": "text"})

        async def begin(row: Row) -> None:
            chosen = await app.versions.working(document, None)
            run = await app.workflows.pin(
                document,
                run_id=new_id(),
                value=row.value,
                labels=labels_from(document.metadata.get("labels")),
                versions=chosen.versions,
            )
            await app.journal.start(replace(run, start_key=f"row {row.number}", batch="all", row=row.number))

        await asyncio.gather(*(begin(row) for row in batch.rows()))


def at_work(desk: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "orchestrion", "work"]
    return subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.soak
async def test_the_leader_killed_twenty_times(tmp_path: Path, test_data: Path, postgresql: str) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(EXAMPLE, desk, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    subprocess.run([sys.executable, "prepare.py"], cwd=desk, check=True, capture_output=True)  # noqa: ASYNC221
    with (desk / "orchestrion.yaml").open("a") as settings:
        settings.write(f"store: '{postgresql}'\n")
    bank = desk / "data" / "bank.db"
    await accept(desk, test_data / "data" / "banking77" / "test.csv")

    draw = random.Random(SEED)
    pauses: list[float] = []
    processes = [at_work(desk), at_work(desk)]
    try:
        for moment in sorted(draw.randint(50, MESSAGES - 200) for _ in range(KILLS)):
            wait_until_settled(postgresql, moment)
            holder = str(ask(postgresql, "select holder from leader")[0])
            leader = next(each for each in processes if holder.endswith(f"process {each.pid}"))
            leader.kill()
            leader.wait()
            killed_at, before = time.monotonic(), settled(postgresql)
            processes = [each for each in processes if each is not leader] + [at_work(desk)]
            wait_until_settled(postgresql, before + 1)
            pauses.append(time.monotonic() - killed_at)
        wait_until_settled(postgresql, MESSAGES)
    finally:
        for each in processes:
            each.kill()
            each.wait()

    sys.stderr.write(f"pauses after a kill: {sorted(round(pause, 2) for pause in pauses)}\n")
    assert max(pauses) < 5
    assert ask(postgresql, "select count(*), count(distinct row) from runs") == (MESSAGES, MESSAGES)
    statuses = "select count(*) from runs where status not in ('completed', 'waiting')"
    assert ask(postgresql, statuses) == (0,)
    alone = "select count(*) from runs where status = 'waiting' and 1 != "
    alone += "(select count(*) from requests where run_id = runs.id and status = 'open')"
    assert ask(postgresql, alone) == (0,), "each waiting run has exactly one open request"
    refunded = "(output::json ->> 'refunded_cents')"
    claimed = f"select count(*), coalesce(sum({refunded}::int), 0) from runs where status = 'completed' and {refunded} is not null"
    paid = ask_bank(bank, "select count(*), coalesce(sum(amount_cents), 0) from refunds")
    assert paid == ask(postgresql, claimed), "the bank's book says what the runs say"
    twice = "select count(*) from (select charge_id from refunds group by charge_id having count(*) > 1)"
    assert ask_bank(bank, twice) == (0,)
    interrupted = ask(postgresql, "select count(*) from requests where question::json ->> 'kind' = 'interrupted'")[0]
    sent = "select count(*) from entries where kind = 'leaf' and status = 'completed' and input like '%into letters%'"
    said = ask(postgresql, sent)[0]
    letters = ask_bank(bank, "select count(*) from letters")[0]
    assert said <= letters <= said + interrupted, "a letter is never sent twice; an interrupted one is asked about"
