"""The service desk as a team: one word switches the pattern, the agents stay, and so does what the customer is told."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, open_app
from orchestrion.core import Answer, EntryKind, Run, RunStatus, SystemClock

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"
PATTERNS = ("supervisor", "hierarchy", "handoff", "panel")
TWICE = "I was charged twice for one purchase, please refund one"
OWED = "select customer_id from refundable where reason = 'charged twice' and amount_cents between ? and ? order by id"
MESSAGES = {
    "a small refund": (TWICE, (1, 10_000)),
    "a large refund": (TWICE, (10_001, 50_000)),
    "a refund above the cap": (TWICE, (50_001, 10**9)),
    "a stolen card": ("my card was stolen, please block it", None),
}
DEEP = "/triage/turn/0/model/1/tool/0/money-lead/turn/0/model/0/tool/0/turn/0/model/1/tool/0/approval/1"


def desk(folder: Path, pattern: str) -> Path:
    """A copy of the example whose team works in this pattern."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion"))
    subprocess.run([sys.executable, str(folder / "prepare.py")], check=True, capture_output=True)
    team = folder / "teams" / "desk.yaml"
    text = team.read_text(encoding="utf-8")
    assert "pattern: hierarchy" in text
    team.write_text(text.replace("pattern: hierarchy", f"pattern: {pattern}"), encoding="utf-8")
    return folder


def ask_bank(folder: Path, question: str, *values: object) -> Any:
    with closing(sqlite3.connect(folder / "data" / "bank.db")) as bank:
        return bank.execute(question, values).fetchone()[0]


async def sent(app: App, folder: Path, message: str) -> Run:
    text, amounts = MESSAGES[message]
    customer = ask_bank(folder, OWED, *amounts) if amounts else "C-1005"
    version = app.checked.shelf.named("support/customer-team")
    run = await app.start(version, {"message": text, "customerId": customer}, start_key=message)
    return await app.engine.settle(run.id)


async def approved(app: App, run: Run) -> Run:
    for request in await app.journal.requests(run_id=run.id):
        if request.answer is None:
            await app.answer(request, Answer(verdict="approved", by="lea", at=SystemClock().now()))
    return await app.engine.settle(run.id)


async def test_four_patterns_over_the_same_agents_tell_the_customers_the_same(tmp_path: Path) -> None:
    told: dict[str, Mapping[str, object]] = {}
    for pattern in PATTERNS:
        folder = desk(tmp_path / pattern, pattern)
        outputs: dict[str, object] = {}
        async with open_app(folder) as app:
            for message in MESSAGES:
                run = await approved(app, await sent(app, folder, message))
                assert run.status is RunStatus.COMPLETED, (pattern, message, run.problem)
                outputs[message] = run.output
        outputs["paid"] = ask_bank(folder, "select count(*) || ' ' || sum(amount_cents) from refunds")
        told[pattern] = outputs
    assert told["supervisor"] == told["hierarchy"] == told["handoff"] == told["panel"]
    large = cast("Mapping[str, int]", told["panel"]["a large refund"])
    assert large["refunded_cents"] > 10_000


async def test_an_approval_three_agents_deep_waits_across_a_restart_and_resumes_the_right_one(tmp_path: Path) -> None:
    folder = desk(tmp_path / "desk", "hierarchy")
    async with open_app(folder) as app:
        waiting = await sent(app, folder, "a large refund")
        (request,) = await app.journal.requests(run_id=waiting.id)
        before = {entry.key: entry for entry in await app.journal.entries(waiting.id)}
    assert waiting.status is RunStatus.WAITING
    assert request.key.endswith(DEEP)
    assert ask_bank(folder, "select count(*) from refunds") == 0
    async with open_app(folder) as app:
        run = await approved(app, waiting)
        after = {entry.key: entry for entry in await app.journal.entries(run.id)}
    assert run.status is RunStatus.COMPLETED, run.problem
    assert ask_bank(folder, "select count(*) || ' ' || sum(deliveries) from refunds") == "1 1"
    done = [key for key, entry in before.items() if entry.kind is EntryKind.LEAF]
    assert all(after[key].ended_at == before[key].ended_at for key in done)
    assert "/triage/turn/0/model/2" in "".join(after)
