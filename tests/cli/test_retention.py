"""Retention as a person sees it: what would go, what went, and how long each kind is kept."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import run_command

HELLO = """\
document: { dsl: '1.0.3', namespace: examples, name: greet, version: '1.0.0' }
do:
  - say: { set: { said: hello } }
"""
DATABASE = Path(".orchestrion/orchestrion.db")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("workflows").mkdir()
    Path("workflows/greet.yaml").write_text(HELLO)
    Path("orchestrion.yaml").write_text("retention: { completed: 90d }\n")


def greet_long_ago(days: int) -> None:
    assert run_command("run", "greet", "--json").code == 0
    with sqlite3.connect(DATABASE) as connection:
        connection.execute(
            f"update runs set created_at = created_at - {days} * 86400, ended_at = ended_at - {days} * 86400"
        )
    connection.close()


def retained(*arguments: str) -> Mapping[str, Any]:
    result = run_command("store", "retain", "--json", *arguments)
    assert result.code == 0, result.said
    return cast("Mapping[str, Any]", result.json)


def test_what_would_go_is_said_and_then_goes() -> None:
    greet_long_ago(91)
    assert retained("--dry-run")["runs"] == {"completed": 1}
    assert "would go" in run_command("store", "retain", "--dry-run").said
    assert retained()["runs"] == {"completed": 1}
    assert run_command("runs", "list", "--json").json == []
    assert "Nothing is older" in run_command("store", "retain").said


def test_a_workflow_may_have_ages_of_its_own() -> None:
    greet_long_ago(91)
    Path("orchestrion.yaml").write_text("retention: { workflows: { greet: { completed: forever } } }\n")
    assert retained("--dry-run")["runs"] == {}
    Path("orchestrion.yaml").write_text("retention: { completed: forever, workflows: { greet: { completed: 12h } } }\n")
    assert retained("--dry-run")["runs"] == {"completed": 1}


@pytest.mark.parametrize("age", ["90", "3 weeks", "-1d", "soon", "1.5d"])
def test_an_age_that_is_none_is_explained(age: str) -> None:
    Path("orchestrion.yaml").write_text(f"retention: {{ completed: {age!r} }}\n")
    refused = run_command("store", "retain")
    assert refused.code == 2
    assert "90d or 12h, or forever" in refused.said


def test_the_space_is_given_back() -> None:
    Path("workflows/greet.yaml").write_text(HELLO.replace("hello", "hello " * 20_000))
    greet_long_ago(91)
    retained()
    result = run_command("store", "vacuum", "--json")
    figures = cast("Mapping[str, int]", result.json)
    assert (result.code, figures["bytes_after"] < figures["bytes_before"]) == (0, True)
