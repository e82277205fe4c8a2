"""Agents followed in a project: what a guard blocks is never heard."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrion.app import open_app
from orchestrion.core import Run, RunStatus
from orchestrion.models import Chunk
from orchestrion.project import BadProject

pytestmark = pytest.mark.anyio

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do:
  - ask: { call: agent:1.0.0@default, with: { agent: desk, input: {} } }
"""

AGENT = """\
name: desk
model: playbook
guard: GUARD
playbook:
  rules:
    - { name: say, answer: 'ANSWER' }
"""


async def followed(folder: Path, answer: str, guard: str = "quiet") -> tuple[Run, list[Chunk]]:
    files = {
        "orchestrion.yaml": "guards: { quiet: { contacts: block } }\n",
        "workflows/ask.yaml": WORKFLOW,
        "agents/desk.yaml": AGENT.replace("ANSWER", answer).replace("GUARD", guard),
        "policies/all.cedar": '@id("all") permit (principal, action, resource);\n',
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    async with open_app(folder) as app:
        with app.listen() as listener:
            started = await app.start(app.checked.shelf.named("ask"), {})
            ended = await app.engine.settle(started.id, events=True)
            listener.end()
            return ended, [chunk async for chunk in listener]


async def test_an_answer_that_passed_is_heard(tmp_path: Path) -> None:
    run, chunks = await followed(tmp_path, "Good day.")
    assert run.status is RunStatus.COMPLETED
    assert [(chunk.kind, chunk.text, chunk.run_id) for chunk in chunks] == [
        ("reset", "", run.id),
        ("text", "Good day.", run.id),
    ]


async def test_an_answer_that_is_blocked_is_never_heard(tmp_path: Path) -> None:
    run, chunks = await followed(tmp_path, "Write to ana@bank.example.")
    assert run.status is RunStatus.FAULTED
    assert isinstance(run.problem, Mapping)
    assert run.problem["code"] == "agent-guard"
    assert chunks == []


async def test_an_unknown_guard_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(BadProject) as caught:
        await followed(tmp_path, "Good day.", guard="loud")
    (finding,) = caught.value.findings
    assert (finding.line, finding.message) == (3, "There is no guard 'loud'.")
