"""What an agent was not given, and why it answered as it did, wherever a run is shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import run_command

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: examples, name: ask, version: '1.0.0' }
do:
  - alone: { call: agent:1.0.0@default, with: { agent: clerk, input: '${ . }' } }
  - together:
      call: team:1.0.0@default
      with: { lead: boss, members: [clerk], input: '${ $workflow.input }' }
"""
CLERK = """\
name: clerk
input: { type: object, properties: { message: { type: string } } }
playbook:
  rules:
    - { name: greet, when: { says: hello }, answer: Hello., why: Whoever greets is greeted. }
    - { name: rest, answer: Pardon? }
"""
BOSS = """\
name: boss
input: { type: object, properties: { message: { type: string }, card: { type: string } } }
playbook:
  rules:
    - { name: pass it on, engage: clerk }
    - { name: say it, answer: '{tools.clerk.reply}' }
"""
GIVEN = '{"message": "hello", "card": "4111", "pin/code": "0000"}'


@pytest.fixture(autouse=True)
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished run of a project with a clerk and a boss."""
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("agents").mkdir()
    Path("agents/clerk.yaml").write_text(CLERK)
    Path("agents/boss.yaml").write_text(BOSS)
    Path("workflows/ask.yaml").write_text(WORKFLOW)
    Path("policies/agents.cedar").write_text("permit (principal is Agent, action, resource);\n")
    result = run_command("run", "ask", "--input", GIVEN, "--json")
    assert result.code == 0, result.said
    return str(cast("Mapping[str, Any]", result.json)["id"])


def test_the_tree_and_the_page_say_it(run_id: str) -> None:
    tree = " ".join(run_command("runs", "show", run_id).said.replace("│", " ").split())
    page = Path(run_command("runs", "show", run_id, "--html").out.strip()).read_text(encoding="utf-8")
    for shown in (tree, page):
        assert shown.lower().count("not given, because its file does not declare it: /card and /pin~1code") == 2
        assert shown.lower().count("not given, because its file does not declare it: /pin~1code") == 1
        assert shown.count("Whoever greets is greeted.") >= 2
    assert tree.count("because the message says 'hello'") == 2


def test_scripts_are_told_and_the_record_keeps_names_alone(run_id: str) -> None:
    shown = cast("Mapping[str, Any]", run_command("runs", "show", run_id, "--json").json)
    alone, boss = shown["agents"]
    assert (alone["agent"], alone["dropped"]) == ("clerk", ["/card", "/pin~1code"])
    assert alone["answers"] == [
        {"answer": "rule greet", "why": ["Whoever greets is greeted.", "because the message says 'hello'"]}
    ]
    (clerk,) = boss["engages"]
    assert (boss["dropped"], clerk["dropped"]) == (["/pin~1code"], ["/card", "/pin~1code"])
    assert [each["answer"] for each in boss["answers"]] == ["rule pass it on", "rule say it"]
    kept = [entry for entry in shown["entries"] if entry["key"].endswith("/dropped")]
    assert [entry["output"] for entry in kept] == [["/card", "/pin~1code"], ["/pin~1code"], ["/card", "/pin~1code"]]
    assert "0000" not in str(
        [entry for entry in shown["entries"] if "/turn/" in entry["key"] and "/enter" not in entry["key"]]
    )
