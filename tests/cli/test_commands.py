"""The commands as a person or a script uses them, one after another."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.core import Json
from orchestrion.testing import Result, run_command

ASKING = """\
document: { dsl: '1.0.3', namespace: examples, name: asking, version: '1.0.0' }
do:
  - ask:
      call: human:1.0.0@default
      timeout: { after: { days: 1 } }
      with: { role: lead, title: How many?, form: { type: object, required: [n], properties: { n: { type: integer } } } }
  - say: { set: { n: '${ .n }', by: '${ .by }' } }
"""
FAILING = """\
document: { dsl: '1.0.3', namespace: examples, name: failing, version: '1.0.0' }
do:
  - fetch: { call: http, with: { method: get, endpoint: 'https://nowhere.example' } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("workflows/asking.yaml").write_text(ASKING)
    Path("workflows/failing.yaml").write_text(FAILING)
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text().replace("users: {}", "users: { lea: [lead], sam: [] }"))


def fields(result: Result) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", result.json)


def rows(*arguments: str) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", run_command(*arguments, "--json").json)


def test_a_question_waits_is_answered_once_and_by_who_may() -> None:
    waiting = run_command("run", "asking", "--json")
    assert (waiting.code, fields(waiting)["status"]) == (3, "waiting")
    (request,) = rows("approvals", "list")
    assert (request["kind"], request["role"], request["run"]) == ("human", "lead", fields(waiting)["id"])
    assert "How many?" in run_command("approvals", "show", request["id"]).said
    assert run_command("approvals", "approve", request["id"], "--as", "lea").code == 2, "an answer is missing"
    unfit = run_command("approvals", "approve", request["id"], "--as", "lea", "--value", '{"n": "many"}')
    assert (unfit.code, "whole number" in unfit.said) == (2, True)
    denied = run_command("approvals", "approve", request["id"], "--as", "sam", "--value", '{"n": 3}')
    assert (denied.code, "lea" in denied.said) == (2, True)
    done = run_command("approvals", "approve", request["id"], "--as", "lea", "--value", '{"n": 3}', "--json")
    assert (done.code, fields(done)["output"]) == (0, {"n": 3, "by": "lea"})
    again = run_command("approvals", "approve", request["id"], "--as", "lea", "--value", '{"n": 4}', "--json")
    assert (again.code, fields(again)["problem"]["code"]) == (2, "already-decided")


def test_a_start_key_joins_the_run_that_used_it() -> None:
    first = run_command("run", "hello", "--input", '{"name": "Ana"}', "--key", "k", "--json")
    again = run_command("run", "hello", "--input", '{"name": "Bo"}', "--key", "k", "--json")
    assert fields(first) == fields(again)
    assert len(rows("runs", "list")) == 1


def test_a_waiting_run_is_cancelled() -> None:
    run = fields(run_command("run", "asking", "--json"))["id"]
    assert run_command("runs", "cancel", run, "--as", "lea").code == 0
    (row,) = rows("runs", "list")
    assert row["status"] == "cancelled"
    assert rows("approvals", "list") == []
    assert fields(run_command("runs", "cancel", run, "--json"))["problem"]["code"] == "run-ended"


def test_a_fault_says_where_and_is_tried_again() -> None:
    faulted = run_command("run", "failing", "--json")
    assert faulted.code == 1
    problem = fields(faulted)["problem"]
    assert (problem["code"], problem["instance"]) == ("egress-refused", "/do/0/fetch")
    assert "egress.allow" in problem["hint"]
    retried = run_command("runs", "retry", fields(faulted)["id"], "--json")
    assert (retried.code, fields(retried)["id"]) == (1, fields(faulted)["id"])
    shown = fields(run_command("runs", "show", fields(faulted)["id"], "--json"))
    assert [entry["key"] for entry in shown["entries"] if entry["status"] == "failed"] == [
        "/do/0/fetch#1!1",
        "/do/0/fetch#1",
    ]


def test_rerun_takes_over_what_came_before() -> None:
    run_command("run", "asking")
    (request,) = rows("approvals", "list")
    done = run_command("approvals", "approve", request["id"], "--as", "lea", "--value", '{"n": 3}', "--json")
    rerun = run_command("runs", "rerun", fields(done)["id"], "--from", "say", "--json")
    assert (rerun.code, fields(rerun)["output"]) == (0, {"n": 3, "by": "lea"})
    assert fields(rerun)["id"] != fields(done)["id"]
    unknown = run_command("runs", "rerun", fields(done)["id"], "--from", "sya")
    assert (unknown.code, "ask, say" in unknown.said) == (2, True)


def test_a_batch_is_the_same_batch_until_it_is_asked_for_again() -> None:
    Path("people.csv").write_text("name,age\nAna,1\nBo,2\n,3\n")
    first = fields(run_command("run", "hello", "--each", "people.csv", "--json"))
    assert (first["statuses"], [row["row"] for row in first["quarantined"]]) == ({"completed": 2}, [3])
    same = fields(run_command("run", "hello", "--each", "people.csv", "--json"))
    assert same["batch"] == first["batch"]
    assert len(rows("runs", "list")) == 2
    again = fields(run_command("run", "hello", "--each", "people.csv", "--again", "--json"))
    assert again["batch"] != first["batch"]
    assert [row["row"] for row in rows("runs", "list", "--batch", again["batch"])] == [2, 1]


def test_express_keeps_nothing() -> None:
    done = run_command("run", "hello", "--express", "--input", '{"name": "Ana"}', "--json")
    assert (done.code, fields(done)["output"]) == (0, {"greeting": "Hello, Ana."})
    assert rows("runs", "list") == []


def test_a_run_is_shown_as_a_tree_and_as_a_page() -> None:
    run = fields(run_command("run", "hello", "--input", '{"name": "Ana"}', "--json"))["id"]
    assert "greet" in run_command("runs", "show", run).said
    page = Path(run_command("runs", "show", run, "--html", "-o", "page.html").out.strip())
    assert "Hello, Ana." in page.read_text()


def test_the_doctor_finds_everything_well() -> None:
    result = run_command("doctor", "--json")
    assert result.code == 0
    assert {check["health"] for check in rows("doctor")} == {"ok"}


def test_input_from_a_file(tmp_path: Path) -> None:
    given: Json = '{"name": "Ana"}'
    Path("in.json").write_text(given)
    assert run_command("run", "hello", "-i", "@in.json").code == 0
    assert "cannot be read" in run_command("run", "hello", "-i", "@no.json").said
