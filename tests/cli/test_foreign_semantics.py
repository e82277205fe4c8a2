"""A store with open runs that this release would walk otherwise: it says so, and what to do, and that works."""

from pathlib import Path

import pytest

from orchestrion.core import Json
from orchestrion.testing import run_command

QUESTION = """\
document: { dsl: '1.0.3', namespace: shop, name: ask, version: '1.0.0' }
do:
  - ask: { call: 'human:1.0.0@default', timeout: { after: { days: 1 } }, with: { role: lead, title: 'Sure?', form: { type: object } } }
"""


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that waits, begun under other semantics than the present release's."""
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("workflows/ask.yaml").write_text(QUESTION, encoding="utf-8")
    started = run_command("run", "ask", "--json").json
    for module in ("orchestrion.app._app", "orchestrion.cli._doctor"):
        monkeypatch.setattr(f"{module}.SEMANTICS", 2)
    return _text(started, "id")


def _text(value: Json, name: str) -> str:
    assert isinstance(value, dict)
    return str(value[name])


@pytest.mark.parametrize("command", [("work",), ("run", "hello")])
def test_nothing_starts_and_the_operator_knows_what_to_do(waiting: str, command: tuple[str, ...]) -> None:
    refused = run_command(*command)
    assert refused.code == 2
    assert f"1 begun under semantics 1 (shop/ask {waiting})" in refused.said
    assert "orchestrion runs list --status waiting" in refused.said
    assert "orchestrion runs cancel" in refused.said


def test_doctor_tells(waiting: str) -> None:
    told = run_command("doctor")
    assert told.code == 1
    assert f"shop/ask {waiting}" in told.said
    assert "orchestrion runs cancel" in told.said


def test_once_it_was_given_up_the_release_starts(waiting: str) -> None:
    assert "when a process next starts" in run_command("runs", "cancel", waiting).said
    assert "broken" not in run_command("doctor", "--json").out
    assert run_command("run", "hello", "--input", '{"name": "Ana"}').code == 0
