"""`watch`, `feedback` and `alerts` as a person or a script uses them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import run_command

FAILING = """\
document: { dsl: '1.0.3', namespace: examples, name: failing, version: '1.0.0' }
do:
  - fetch: { call: http, with: { method: get, endpoint: 'https://nowhere.example' } }
"""
ALERTS = """
alerts:
  broken: { of: workflow, name: examples/failing, measure: errors, above: 0, at_least: 1, run: tell }
"""
TELL = """\
document: { dsl: '1.0.3', namespace: examples, name: tell, version: '1.0.0' }
do:
  - note: { set: { told: '${ .sentence }' } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("workflows/failing.yaml").write_text(FAILING)
    Path("workflows/tell.yaml").write_text(TELL)


def json_of(*arguments: str) -> Any:
    return run_command(*arguments, "--json").json


def hello() -> str:
    told = cast("Mapping[str, Any]", json_of("run", "hello", "--input", '{"name": "Ana"}'))
    return str(told["id"])


def test_nothing_has_run_yet() -> None:
    for command in (("watch",), ("alerts", "list"), ("alerts", "list", "--all")):
        result = run_command(*command)
        assert (result.code, "Traceback" in result.said) == (0, False)
        assert result.said.strip(), command
    assert json_of("watch") == {"measures": [], "drift": []}
    assert run_command("alerts", "show", "1").code == 2


def test_runs_are_counted_and_those_behind_a_number_listed() -> None:
    hello()
    run = str(cast("Mapping[str, Any]", json_of("run", "failing"))["id"])
    measures = cast("Sequence[Mapping[str, Any]]", json_of("watch", "--by", "workflow")["measures"])
    counted = {each["name"]: (each["count"], each["errors"]) for each in measures}
    assert counted == {"examples/hello": (1, 0), "examples/failing": (1, 1)}
    said = run_command("watch", "--since", "1h", "--runs").said
    assert "examples/failing" in said
    assert run in said
    for wrong in (("--by", "mood"), ("--since", "yesterday")):
        assert run_command("watch", *wrong).code == 2


def test_feedback_stands_with_the_run_and_is_counted() -> None:
    run = hello()
    assert run_command("feedback", run, "--bad", "--note", "too short", "--as", "ana").code == 0
    given = json_of("feedback", run, "--correct", '{"greeting": "Hello!"}', "--as", "ben")
    assert (given["thumb"], given["by"]) == ("bad", "ben")
    shown = run_command("runs", "show", run).said
    assert "ana" in shown
    assert "too short" in shown
    assert [each["by"] for each in json_of("runs", "show", run)["feedback"]] == ["ana", "ben"]
    (measure,) = json_of("watch", "--by", "workflow")["measures"]
    assert (measure["bad"], measure["corrected"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "empty-feedback"),
        (("--good", "--bad"), "two-thumbs"),
        (("--correct", "{"), "not-json"),
        (("--correct", '{"greting": 1}'), "correction-fits-nothing"),
    ],
)
def test_feedback_that_says_nothing_sound_is_refused(arguments: Sequence[str], code: str) -> None:
    run = hello()
    result = run_command("feedback", run, *arguments, "--json")
    assert (result.code, cast("Mapping[str, Any]", result.json)["problem"]["code"]) == (2, code)
    assert run_command("feedback", "nosuchrun", "--good").code == 2


def test_an_alert_is_listed_shown_told_and_acknowledged() -> None:
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text() + ALERTS)
    broken = str(cast("Mapping[str, Any]", json_of("run", "failing"))["id"])
    (alert,) = json_of("alerts", "list")
    assert (alert["rule"], alert["alert"]["runs"]) == ("broken", [broken])
    shown = run_command("alerts", "show", alert["id"]).said
    assert "workflow examples/failing: errors 1, above 0, over 1 hour" in shown
    assert broken in shown
    assert alert["run"] in shown
    assert run_command("alerts", "acknowledge", alert["id"], "--as", "ana").code == 0
    assert run_command("alerts", "acknowledge", alert["id"], "--as", "ben").code == 2
    assert "acknowledged by ana" in run_command("alerts", "list").said
