"""The customer-service example evaluated: nothing is paid, an interrupted evaluation goes on, a worse version is below the gate."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from orchestrion.testing import Result, run_command

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    folder = tmp_path / "desk"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, check=True, capture_output=True)
    return folder


def evaluate(desk: Path, *arguments: str) -> tuple[Result, dict[str, Any]]:
    result = run_command("evaluate", "desk", "--project", str(desk), "--json", *arguments)
    return result, cast("dict[str, Any]", result.json)


def known(desk: Path) -> int:
    try:
        with closing(sqlite3.connect(desk / ".orchestrion" / "orchestrion.db", timeout=30)) as store:
            return store.execute("select count(*) from results").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_killed_in_the_middle_it_goes_on_and_gives_the_same(desk: Path) -> None:
    command = [sys.executable, "-m", "orchestrion", "evaluate", "desk", "--json"]
    process = subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while known(desk) < 20:
        try:
            pytest.fail(f"the evaluation ended by itself with {process.wait(timeout=0.05)}")
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()
    before = known(desk)
    assert before < 192

    result, told = evaluate(desk)

    rows = {row["scorer"]: row for row in told["rows"]}
    assert (result.code, told["known_before"], len(told["set_aside"])) == (0, before, 8)
    assert (rows["routing"]["value"], rows["routing"]["cases"]) == (0.979167, 192)
    assert rows["hand-over"]["value"] == 0.916667
    again, same = evaluate(desk)
    assert (again.code, same["known_before"]) == (0, 192)
    assert same["rows"] == told["rows"]
    with closing(sqlite3.connect(desk / "data" / "bank.db")) as bank:
        done = bank.execute("select (select count(*) from refunds) + (select count(*) from letters)").fetchone()
    assert done == (0,), "nothing was paid or posted"


def kept_in(url: str) -> int:
    try:
        with psycopg.connect(url) as store:
            row = store.execute("select count(*) from results").fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return cast("int", row[0]) if row else 0


def test_killed_in_the_middle_it_goes_on_with_what_postgresql_keeps(desk: Path, postgresql: str) -> None:
    settings, file = desk / "orchestrion.yaml", desk / "evaluations" / "desk.yaml"
    settings.write_text(f"{settings.read_text()}\nstore: {postgresql}\n")
    file.write_text(file.read_text().replace("messages.csv }", "messages.csv, limit: 40 }"))
    command = [sys.executable, "-m", "orchestrion", "evaluate", "desk", "--json"]
    process = subprocess.Popen(command, cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while kept_in(postgresql) < 5:
        try:
            pytest.fail(f"the evaluation ended by itself with {process.wait(timeout=0.05)}")
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()
    before = kept_in(postgresql)

    _, told = evaluate(desk)
    _, again = evaluate(desk)

    cases = len(told["cases"])
    assert before < cases
    assert (told["known_before"], again["known_before"], kept_in(postgresql)) == (before, cases, cases)
    assert (again["rows"], again["cases"]) == (told["rows"], told["cases"])
    assert not (desk / ".orchestrion" / "orchestrion.db").exists()


def test_a_worse_version_is_below_the_gate(desk: Path) -> None:
    file = desk / "evaluations" / "desk.yaml"
    file.write_text(
        file.read_text().replace("cases: { file: messages.csv }", "cases: { file: messages.csv, limit: 30 }")
    )
    assert run_command("deploy", "customer-triage", "--project", str(desk)).code == 0
    workflow = desk / "workflows" / "customer-triage.yaml"
    workflow.write_text(workflow.read_text().replace("then: billingDesk }", "then: technicalDesk }"))

    result, told = evaluate(desk, "--against", "production")

    (routing,) = (row for row in told["rows"] if row["scorer"] == "routing")
    assert (result.code, told["passed"], routing["gained"]) == (1, False, 0)
    assert routing["difference"]["high"] < 0
    assert len(routing["failures"]) == 3


def test_what_an_evaluation_names_must_exist(desk: Path) -> None:
    file = desk / "evaluations" / "desk.yaml"
    text = file.read_text().replace("messages.csv", "nowhere.csv").replace("billingDesk/refund", "billingDesk/refnd")
    file.write_text(text.replace("technical: technicalDesk", "technical: technicalDsk", 1))
    result = run_command("validate", str(desk))
    assert result.code == 2
    assert {code for code in ("unknown-task", "missing-file", "unknown-mock") if code in result.said} == {
        "unknown-task",
        "missing-file",
        "unknown-mock",
    }
    assert run_command("evaluate", "--project", str(desk)).code == 2
