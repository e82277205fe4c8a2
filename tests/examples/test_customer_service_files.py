"""The files of the customer-service example: consistent, valid, and honest about what they hold."""

import csv
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jsonschema_rs
import pytest

from orchestrion import spec
from orchestrion.project import Project
from orchestrion.spec import parse_yaml, to_json

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"
DESKS = {"billing", "technical", "person"}
LONGEST = 4000


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its database built."""
    folder = tmp_path_factory.mktemp("example") / "customer-service"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion"))
    prepare(folder)
    return folder


@pytest.fixture
def bank(desk: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The bank's database, for this test alone."""
    with (
        closing(sqlite3.connect(desk / "data" / "bank.db")) as whole,
        closing(sqlite3.connect(tmp_path / "bank")) as own,
    ):
        whole.backup(own)
        own.execute("pragma foreign_keys = on")
        yield own


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "prepare.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def message_rows() -> list[list[str]]:
    """All rows below the header; bytes that are not UTF-8 become U+FFFD."""
    lines = (EXAMPLE / "messages.csv").read_bytes().decode(errors="replace").splitlines()
    return list(csv.reader(lines[1:]))


def is_good(row: list[str]) -> bool:
    return (
        len(row) == 3
        and 0 < len(row[0].strip()) <= LONGEST
        and "\ufffd" not in row[0]
        and re.fullmatch(r"C-1\d{3}", row[1]) is not None
    )


def test_there_are_200_messages_and_eight_of_them_are_bad() -> None:
    rows = message_rows()
    good = [row for row in rows if is_good(row)]
    assert (len(rows), len(rows) - len(good)) == (200, 8)
    assert {row[2] for row in good} == DESKS
    assert len({row[0] for row in good}) == len(good)


def test_every_customer_who_writes_is_a_customer(bank: sqlite3.Connection) -> None:
    known = {row[0] for row in bank.execute("select id from customers")}
    assert len(known) >= 200
    assert {row[1] for row in message_rows() if is_good(row)} <= known
    assert {f"C-{1001 + row % 200}" for row in range(200)} <= known


def test_the_examples_of_the_router_are_enough_and_are_not_the_messages() -> None:
    with (EXAMPLE / "routers" / "support-intents.csv").open(newline="", encoding="utf-8") as file:
        examples = list(csv.DictReader(file))
    counts = Counter(example["label"] for example in examples)
    assert set(counts) == DESKS
    assert min(counts.values()) >= 150
    texts = {example["text"].casefold() for example in examples}
    assert len(texts) == len(examples)
    words = {word for word in texts if word not in {"hello"}}  # a greeting is a greeting
    assert not words & {row[0].casefold() for row in message_rows()}


def test_prepare_builds_once_resets_and_refuses_what_it_does_not_know(desk: Path) -> None:
    database = desk / "data" / "bank.db"
    with closing(sqlite3.connect(database)) as bank:
        bank.execute("insert into letters (customer_id, kind) values ('C-1001', 'statement')")
        bank.commit()
    assert "is there already" in prepare(desk).stdout
    assert prepare(desk, "--everything").returncode == 2
    with closing(sqlite3.connect(database)) as bank:
        assert bank.execute("select count(*) from letters").fetchone() == (1,)
    assert prepare(desk, "--reset").returncode == 0
    with closing(sqlite3.connect(database)) as bank:
        assert bank.execute("select count(*) from letters").fetchone() == (0,)


def test_the_books_hold_duplicates_below_and_above_the_limit_and_the_cap(bank: sqlite3.Connection) -> None:
    amounts = [row[0] for row in bank.execute("select amount_cents from refundable")]
    small, large = [a for a in amounts if a <= 10_000], [a for a in amounts if 10_000 < a <= 50_000]
    assert len(small) >= 40
    assert len(large) >= 10
    assert len(amounts) > len(small) + len(large)


def refund(bank: sqlite3.Connection, key: str, charge: str, customer: str, cents: int) -> list[tuple[object, ...]]:
    """Run the statement of the billing agent's tool `refund`."""
    statement = (EXAMPLE / "statements" / "refund.sql").read_text(encoding="utf-8")
    given = {"idempotency_key": key, "charge_id": charge, "customer_id": customer, "amount_cents": cents}
    return bank.execute(statement, given).fetchall()


def test_a_refund_moves_money_once_however_often_it_is_asked_for(bank: sqlite3.Connection) -> None:
    charge, customer, cents = bank.execute("select id, customer_id, amount_cents from refundable limit 1").fetchone()
    assert refund(bank, "key-1", charge, customer, cents) == [("key-1", cents, 1)]
    assert refund(bank, "key-1", charge, customer, cents) == [("key-1", cents, 2)]
    assert refund(bank, "key-2", charge, customer, cents) == []
    assert bank.execute("select count(*), sum(amount_cents) from refunds").fetchone() == (1, cents)


@pytest.mark.parametrize("wrong", ["amount", "customer", "charge"])
def test_a_refund_that_does_not_match_the_books_pays_nothing(bank: sqlite3.Connection, wrong: str) -> None:
    charge, customer, cents = bank.execute("select id, customer_id, amount_cents from refundable limit 1").fetchone()
    if wrong == "amount":
        cents += 1
    elif wrong == "customer":
        customer = bank.execute("select id from customers where id <> ? limit 1", [customer]).fetchone()[0]
    else:
        charge = bank.execute("select id from charges where id not in (select id from refundable) limit 1").fetchone()[
            0
        ]
    assert refund(bank, "key-1", charge, customer, cents) == []


def test_the_settings_are_a_project_without_findings() -> None:
    project, findings = Project.read(EXAMPLE)
    assert findings == []
    assert project is not None
    assert [path.stem for path in project.agents] == ["billing", "money-lead", "service-lead", "technical", "triage"]


def test_the_workflow_has_no_findings() -> None:
    reading = spec.read((EXAMPLE / "workflows" / "customer-triage.yaml").read_bytes(), file="customer-triage.yaml")
    assert list(reading.findings) == []


def test_the_workflow_is_valid_against_the_official_schema(test_data: Path) -> None:
    schema, _ = parse_yaml((test_data / "open-workflow" / "schema" / "workflow.yaml").read_text(), file="schema")
    text = (EXAMPLE / "workflows" / "customer-triage.yaml").read_text(encoding="utf-8")
    document, _ = parse_yaml(text, file="customer-triage.yaml")
    assert schema is not None
    assert document is not None
    validator = jsonschema_rs.validator_for(json.loads(json.dumps(to_json(schema.root))))
    assert [error.message for error in validator.iter_errors(to_json(document.root))] == []


@pytest.mark.parametrize("agent", ["billing", "money-lead", "service-lead", "technical", "triage"])
def test_an_agent_fits_on_a_screen(agent: str) -> None:
    lines = (EXAMPLE / "agents" / f"{agent}.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
