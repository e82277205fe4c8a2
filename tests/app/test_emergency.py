"""What is forbidden in an emergency holds at once for runs of every version, also for those under way."""

from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, open_app, release, resolve
from orchestrion.core import Answer, Datum, Json, Run, RunStatus, SystemClock
from orchestrion.registry import PRODUCTION
from orchestrion.testing import run_command

pytestmark = pytest.mark.anyio

WORKFLOW = """
document: { dsl: 1.0.3, namespace: shop, name: pay, version: 1.0.0 }
do:
  - ask: { call: 'human:1.0.0@default', with: { role: lead, title: May it?, form: { type: object } } }
  - pay: { call: 'query:1.0.0@default', with: { connection: bank, statement: select 1 as paid } }
"""
POLICY = '@id("all") permit (principal, action, resource);'
FORBID = '@id("stop")\n@reason("The bank is being moved.")\nforbid (principal, action == Action::"query", resource);\n'


def write(folder: Path) -> Path:
    for name, text in {
        "orchestrion.yaml": "roles: [lead]\nconnections: { bank: { url: 'sqlite:///bank.db' } }\n",
        "workflows/pay.yaml": WORKFLOW,
        "policies/all.cedar": POLICY,
        "bank.db": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def started(app: App) -> Run:
    chosen = await app.versions.choose("pay", "ana")
    return await app.engine.settle((await app.start(chosen, {}, subject="ana")).id)


async def answered(app: App, run: Run) -> Run:
    (request,) = await app.journal.requests(run_id=run.id)
    await app.answer(request, Answer(verdict="answered", by="ana", at=SystemClock().now(), value=Datum({})))
    return await app.engine.settle(run.id)


async def decision(app: App, run: Run) -> dict[str, Json]:
    found = [each for each in await app.journal.entries(run.id) if each.task.endswith("/pay")]
    return cast("dict[str, Any]", found[-1].decision)


async def test_it_reaches_a_run_under_way_in_a_process_at_work_and_is_lifted_again(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        await release(app, await resolve(app, "working", "pay"), PRODUCTION, by="ana", why="")
    (tmp_path / "policies" / "all.cedar").write_text(f"{POLICY} // another version of the files")
    async with open_app(tmp_path) as app:
        first, second, third = [await started(app) for _ in range(3)]
        (tmp_path / "emergency.cedar").write_text(FORBID)
        ended = await answered(app, first)
        assert ended.status is RunStatus.FAULTED
        decided = await decision(app, first)
        assert (decided["verdict"], decided["policies"]) == ("deny", ["stop"])
        assert "The bank is being moved." in str(ended.problem)
        (tmp_path / "emergency.cedar").write_text("forbid (principal, action, resource")
        broken = await answered(app, second)
        assert broken.status is RunStatus.FAULTED
        assert "Everything is refused until this is mended: emergency.cedar:1:" in str(broken.problem)
        (tmp_path / "emergency.cedar").unlink()
        assert (await answered(app, third)).output == {"rows": [{"paid": 1}], "rowcount": 1}


def test_what_is_wrong_with_it_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path))
    Path("emergency.cedar").write_text(FORBID)
    assert run_command("validate").code == 0
    Path("emergency.cedar").write_text(f"{FORBID}\n{POLICY}\n")
    found = run_command("validate")
    assert found.code == 2
    assert "emergency.cedar:5:1" in found.said
    assert "Policy 'all' permits" in found.said
