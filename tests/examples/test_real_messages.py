"""All of BANKING77's test messages through the customer-service desk, killed with -9 at twenty moments: nothing lost, nothing repeated.

Data: Casanueva et al., "Efficient Intent Detection with Dual Sentence Encoders", 2020 (CC BY 4.0); read from the test data.
"""

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "customer-service"
MESSAGES = 3080
KILLS = 20
SEED = 7


def ask(database: Path, question: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute(question).fetchone()


def settled(store: Path) -> int:
    try:
        return ask(store, "select count(*) from runs where status not in ('pending', 'running')")[0]
    except sqlite3.OperationalError:
        return 0


@pytest.mark.soak
def test_killed_twenty_times(tmp_path: Path, test_data: Path) -> None:
    desk = tmp_path / "desk"
    shutil.copytree(EXAMPLE, desk, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    subprocess.run([sys.executable, "prepare.py"], cwd=desk, check=True, capture_output=True)
    store, bank = desk / ".orchestrion" / "orchestrion.db", desk / "data" / "bank.db"
    messages = test_data / "data" / "banking77" / "test.csv"
    command = [sys.executable, "-m", "orchestrion", "run", "customer-triage", "--each", str(messages)]
    command += ["--map", "message=text", "--json"]
    draw = random.Random(SEED)
    for moment in sorted(draw.randint(50, MESSAGES - 200) for _ in range(KILLS)):
        process = subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while settled(store) < moment:
            try:
                pytest.fail(f"the batch ended by itself with {process.wait(timeout=0.05)}")
            except subprocess.TimeoutExpired:
                continue
        process.kill()
        process.wait()
    done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)
    statuses = json.loads(done.stdout)["statuses"]

    assert (set(statuses), sum(statuses.values())) == ({"completed", "waiting"}, MESSAGES)
    assert ask(store, "select count(*), count(distinct row) from runs") == (MESSAGES, MESSAGES)
    alone = "select count(*) from runs where status = 'waiting' and 1 != "
    alone += "(select count(*) from requests where run_id = runs.id and status = 'open')"
    assert ask(store, alone) == (0,), "each waiting run has exactly one open request"
    claimed = "select count(*), coalesce(sum(json_extract(output, '$.refunded_cents')), 0) from runs where "
    claimed += "status = 'completed' and json_extract(output, '$.refunded_cents') is not null"
    paid = ask(bank, "select count(*), coalesce(sum(amount_cents), 0) from refunds")
    assert paid == ask(store, claimed), "the bank's book says what the runs say"
    assert ask(bank, "select count(*) from (select charge_id from refunds group by charge_id having count(*) > 1)") == (
        0,
    )
    interrupted = ask(store, "select count(*) from requests where json_extract(question, '$.kind') = 'interrupted'")[0]
    sent = "select count(*) from entries where kind = 'leaf' and status = 'completed' and input like '%into letters%'"
    said = ask(store, sent)[0]
    letters = ask(bank, "select count(*) from letters")[0]
    assert said <= letters <= said + interrupted, "a letter is never sent twice; an interrupted one is asked about"
