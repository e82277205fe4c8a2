"""A workflow that evaluates, as one with a schedule does: what is in production, and whether it is still good enough."""

from pathlib import Path

import pytest

from orchestrion.app import App, open_app, release, resolve
from orchestrion.core import Json, Run, RunStatus
from orchestrion.registry import PRODUCTION

pytestmark = pytest.mark.anyio

FILES = {
    "workflows/hello.yaml": """
document: { dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0' }
do: [{ greet: { set: { greeting: '${ "Hello, \\(.name)." }' } } }]
""",
    "workflows/nightly.yaml": """
document: { dsl: '1.0.3', namespace: test, name: nightly, version: '1.0.0' }
schedule: { cron: '0 3 * * *' }
do:
  - look: { call: 'evaluate:1.0.0@default', with: { evaluation: greetings } }
  - isGood: { switch: [{ good: { when: .passed, then: end } }, { bad: { then: tell } }] }
  - tell: { raise: { error: { type: https://example.com/worse, status: 500, title: Worse than it was } } }
""",
    "evaluations/greetings.yaml": """
workflow: hello
cases: [{ input: { name: Ana } }, { input: { name: Bo } }]
scorers: { friendly: { contains: { at: /greeting, value: Hello }, gate: { at_least: 1 } } }
""",
    "policies/all.cedar": 'permit (principal == Workflow::"test/nightly", action == Action::"evaluate", resource);\n',
}


def write(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


async def evaluated(app: App) -> Run:
    return await app.engine.settle((await app.start(app.checked.shelf.named("nightly"), {})).id)


async def test_what_is_in_production_is_evaluated(tmp_path: Path) -> None:
    write(tmp_path)
    async with open_app(tmp_path) as app:
        await release(app, await resolve(app, "working", "hello"), PRODUCTION, by="ana", why="")
        ended = await evaluated(app)
        assert ended.status is RunStatus.COMPLETED, ended.problem
        assert isinstance(ended.output, dict)
        shown: Json = {name: ended.output[name] for name in ("evaluation", "passed", "cases")}
        assert shown == {"evaluation": "greetings", "passed": True, "cases": 2}
    (tmp_path / "workflows/hello.yaml").write_text(FILES["workflows/hello.yaml"].replace("Hello,", "Go away,"))
    async with open_app(tmp_path) as app:
        assert (await evaluated(app)).status is RunStatus.COMPLETED, "the file is not in production"
        await release(app, await resolve(app, "working", "hello"), PRODUCTION, by="ana", why="")
        ended = await evaluated(app)
        assert (ended.status, str(ended.problem).count("Worse than it was")) == (RunStatus.FAULTED, 1)


async def test_one_that_is_not_there_is_a_clear_problem(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "evaluations/greetings.yaml").rename(tmp_path / "evaluations/others.yaml")
    async with open_app(tmp_path) as app:
        ended = await evaluated(app)
        assert isinstance(ended.problem, dict)
        assert ended.problem["code"] == "unknown-evaluation"
