"""A model judges answers: it is asked under the project's policies, and its agreement with people is measured."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrion.app import evaluate
from orchestrion.core import UserError
from orchestrion.testing.openai_server import Calls, OpenAIServer

pytestmark = pytest.mark.anyio

FILES = {
    "orchestrion.yaml": "egress: { allow: ['127.0.0.1'] }\nmodels: { fine: { provider: 'openai:test', base_url: URL, price: { input: 1, output: 1 } } }\n",
    "workflows/echo.yaml": (
        "document: { dsl: '1.0.3', namespace: test, name: echo, version: '1.0.0' }\n"
        "do:\n  - say: { set: { reply: '${ .text }' } }\n"
    ),
    "evaluations/replies.yaml": (
        "workflow: echo\n"
        "cases:\n"
        "  - { input: { text: hello }, expect: { label: good } }\n"
        "  - { input: { text: bye }, expect: { label: bad } }\n"
        "scorers:\n"
        "  kind: { judge: { model: fine, rubric: Is it kind?, at: /reply, person: label }, gate: { kappa_at_least: 0.5 } }\n"
    ),
    "policies/all.cedar": 'permit (principal == Workflow::"test/echo", action, resource);\n',
}
MAY_JUDGE = 'permit (principal, action in [Action::"infer", Action::"model"], resource);\n'


def write(folder: Path, url: str, more: str = "") -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("URL", url) + (more if name.endswith(".cedar") else ""))


async def judged(folder: Path) -> Any:
    def tell(_: int, __: int) -> None:
        pass

    return await evaluate(folder, None, version="working", against=None, fresh=False, by="ana", tell=tell)


async def test_agreement_is_measured_and_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    said = Calls([("final_result", {"why": "It greets.", "label": "good"})])
    async with OpenAIServer([said, said]) as server:
        write(tmp_path, server.base_url, MAY_JUDGE)
        found = await judged(tmp_path)
        again = await judged(tmp_path)
        asked = len(server.requests)

    (row,) = found.rows
    assert (row.estimate.value, row.agreement.same.value, row.agreement.kappa.value) == (1.0, 0.5, 0.0)
    assert row.failures == ("kappa_at_least 0.5: it is 0",)
    assert (again.rows, again.reused, asked) == (found.rows, 2, 2)


async def test_policies_may_refuse_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    async with OpenAIServer([]) as server:
        write(tmp_path, server.base_url)
        with pytest.raises(UserError) as caught, anyio.fail_after(60):
            await judged(tmp_path)
    assert caught.value.code == "judge-failed"
