"""The fraud example: sound, small, and killed on the way without a card blocked twice or an alert lost."""

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrion.testing import start_command

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fraud-response"
STREAM = ("run", "monitor", "--each", "data/transactions.csv", "--json")
MOST_S = 120


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its models trained and its database built: fewer payments than the demonstration has."""
    folder = tmp_path_factory.mktemp("fraud") / "bank"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "*.skops*", "data/*.csv"))
    command = [
        sys.executable,
        str(folder / "prepare.py"),
        "--reset",
        "--payments",
        "6000",
        "--history",
        "8000",
        "--seed",
        "7",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_S)
    assert done.returncode == 0, done.stderr
    return folder


def copy(prepared: Path, folder: Path) -> Path:
    """A bank of its own, whose stream holds every attack and few other payments."""
    shutil.copytree(prepared, folder)
    with (folder / "data" / "transactions.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    fraud = header.index("fraud")
    kept = [row for number, row in enumerate(rows) if row[fraud] == "1" or number % 50 == 0]
    with (folder / "data" / "transactions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *kept])
    return folder


def told(folder: Path, *arguments: str) -> Any:
    out, complaint = (process := start_command(*arguments, "--json", cwd=folder)).communicate(MOST_S)
    assert process.poll() in (0, 1, 3), complaint
    return json.loads(out)


def asked(folder: Path, question: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "data" / "bank.db", timeout=10)) as bank:
        return bank.execute(question).fetchall()


def finish(folder: Path) -> list[dict[str, Any]]:
    """The same command once more: every alert has been responded to, or waits for a person."""
    process = start_command(*STREAM, cwd=folder)
    _, complaint = process.communicate(MOST_S)
    assert process.poll() in (0, 3), complaint
    store = f"file:{folder}/.orchestrion/orchestrion.db?mode=ro"
    with closing(sqlite3.connect(store, uri=True, timeout=10)) as runs:
        left = runs.execute("select count(*) from runs where status in ('pending', 'running')").fetchone()[0]
    assert left == 0, "responders were left where the kill met them"
    return told(folder, "runs", "list", "--workflow", "respond", "--limit", "1000")


def check(folder: Path, runs: list[dict[str, Any]]) -> None:
    """Against the bank's book: nothing lost, nothing twice, and each answer names who contributed it."""
    monitored = told(folder, "runs", "list", "--workflow", "monitor", "--limit", "10000")
    with (folder / "data" / "transactions.csv").open(newline="", encoding="utf-8") as file:
        payments = {row["id"]: row for row in csv.DictReader(file)}
    assert {run["output"]["payment"] for run in monitored} == set(payments)
    alarmed = [payments[run["output"]["payment"]] for run in monitored if run["output"]["alert"]]
    alerts = {f"{payment['card_id']}/{payment['booked_at'][:10]}" for payment in alarmed}
    assert {case for (case,) in asked(folder, "select id from cases")} == alerts, "an alert was lost or made up"
    assert len(runs) == len(alerts) < len(alarmed), "alerts about one card on one day join one case"
    assert {run["status"] for run in runs} <= {"completed", "waiting"}

    summaries = [run["output"]["summary"] for run in runs if run["output"]]
    kinds = ("transactions (anomaly model)", "identity (rules and SQL)", "device (past cases)")
    assert all(kind in summary for summary in summaries for kind in kinds)

    blocks = asked(folder, "select card_id from blocks where lifted_at is null")
    assert max(Counter(blocks).values()) == 1, "a card is blocked twice"
    notices = asked(folder, "select count(*) from notices")[0][0]
    assert notices == len(blocks) >= 1, "each block is told of once"
    lifted = {case for (case,) in asked(folder, "select case_id from blocks where lifted_at is not null")}
    requests = told(folder, "approvals", "list")
    assert {request["kind"] for request in requests} <= {"human"}
    assert sum("call" in request["title"] for request in requests) == len(lifted)

    told_run = next(run["id"] for run in runs if run["output"] and run["output"]["action"] == "block")
    page = start_command("runs", "show", told_run, "--html", "--output", "case.html", cwd=folder)
    page.communicate(MOST_S)
    text = (folder / "case.html").read_text(encoding="utf-8")
    assert "past_cases" in text
    assert "<script" not in text


def test_killed_on_the_way_no_card_is_blocked_twice_and_no_alert_is_lost(prepared: Path, tmp_path: Path) -> None:
    play(copy(prepared, tmp_path / "bank"), kills=2)


@pytest.mark.soak
@pytest.mark.parametrize("repetition", range(4))
def test_killed_five_times(prepared: Path, tmp_path: Path, repetition: int) -> None:
    play(copy(prepared, tmp_path / "bank"), kills=5, offset=repetition)


def play(folder: Path, *, kills: int, offset: int = 0) -> None:
    """Kill the process when one more thing than before stands in the bank's book: cases and blocks by turns."""
    for number in range(kills):
        process = start_command(*STREAM, cwd=folder)
        question = ("select count(*) from cases", "select count(*) from blocks", "select count(*) from notices")
        before = asked(folder, question[(number + offset) % 3])[0][0]
        while process.poll() is None and asked(folder, question[(number + offset) % 3])[0][0] == before:
            time.sleep(0.01)  # until the bank's book changes
        process.kill()
        process.communicate(MOST_S)
    check(folder, finish(folder))


def test_no_agent_is_longer_than_sixty_lines() -> None:
    lengths = {file.name: len(file.read_text(encoding="utf-8").splitlines()) for file in (EXAMPLE / "agents").iterdir()}

    assert {name for name, lines in lengths.items() if lines > 60} == set()


def test_the_same_seed_invents_the_same_payments(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shutil.copy(EXAMPLE / "generate.py", tmp_path / name)
        sizes = ["--payments", "600", "--history", "800", "--seed", "7"]
        subprocess.run([sys.executable, str(tmp_path / name / "generate.py"), *sizes], check=True, timeout=MOST_S)

    for name in ("customers.csv", "history.csv", "transactions.csv"):
        one, other = (tmp_path / each / "data" / name for each in ("one", "other"))
        assert one.read_bytes() == other.read_bytes(), name
