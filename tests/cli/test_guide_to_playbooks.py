"""docs/guides/playbooks.md: the files in it are a project that is sound, whose examples are played, and that runs."""

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import run_command

GUIDE = Path(__file__).parents[2] / "docs/guides/playbooks.md"
FILES = re.findall(r"```(?:yaml|csv)\n# (\S+\.\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
WORKFLOW = """\
document: { dsl: '1.0.3', namespace: guide, name: ask, version: '1.0.0' }
do:
  - ask: { call: team:1.0.0@default, with: { lead: front, members: [refunds], input: '${ . }' } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in [
        *FILES,
        ("workflows/ask.yaml", WORKFLOW),
        ("policies/all.cedar", "permit (principal, action, resource);"),
    ]:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    with sqlite3.connect("bank.db") as bank:
        bank.execute("create table charges (id, merchant, amount_cents, customer)")
        bank.executemany("insert into charges values (?, 'Hotel', 9000, 'C-1')", [("CH-1",), ("CH-2",)])


def test_the_files_of_the_guide_are_sound_and_their_examples_are_played() -> None:
    assert [name for name, _ in FILES if name.startswith("agents/")] == [
        f"agents/{name}.yaml" for name in ("refunds", "reception", "statements", "front", "assistant")
    ]
    result = run_command("validate")
    assert (result.code, "Nothing to say" in result.said) == (0, True), result.said
    for name in ("refunds", "reception", "statements", "front"):
        file = Path(f"agents/{name}.yaml")
        text = file.read_text()
        file.write_text(re.sub(r"(output: \{ reply: '?)", r"\1Not ", text, count=1))
        found = run_command("validate")
        assert f"agents/{name}.yaml:" in found.said
        assert "answers otherwise" in found.said
        file.write_text(text)


def test_it_runs_and_says_why() -> None:
    run = run_command("run", "ask", "--input", '{"message": "I was charged twice", "customerId": "C-1"}', "--json")
    told = cast("Mapping[str, Any]", run.json)
    assert told["output"]["result"] == {"reply": "You were charged 90.00 by Hotel twice."}
    shown = run_command("runs", "show", told["id"]).said
    assert "Two charges by one merchant over the same amount." in shown
    assert "because there is facts.twice" in shown
