"""`incidents` and `retirements` as a person or a script uses them."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from anyio.from_thread import start_blocking_portal

from orchestrion.core import SystemClock
from orchestrion.testing import run_command
from orchestrion.testing.openai_server import Behaviour, Calls, OpenAIServer, Says, Status

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: examples, name: ask, version: '1.0.0' }
do:
  - ask: { call: agent:1.0.0@default, with: { agent: clerk, input: '${ . }' } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text().replace("egress: { allow: [] }", "egress: { allow: ['127.0.0.1'] }"))
    Path("agents").mkdir()
    Path("agents/clerk.yaml").write_text("name: clerk\nmodel: clever\n")
    Path("workflows/ask.yaml").write_text(WORKFLOW)
    Path("policies/agents.cedar").write_text("permit (principal is Agent, action, resource);\n")
    Path("policies/tests.cedar").write_text(
        'permit (principal == Workflow::"orchestrion/models-test", action == Action::"model", resource);\n'
    )


@contextmanager
def answering(script: Sequence[Behaviour]) -> Generator[OpenAIServer]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(OpenAIServer(list(script))) as server:
        yield server


def said(*arguments: str) -> Any:
    result = run_command(*arguments, "--json")
    assert result.code == 0, result.said
    return cast("Any", result.json)


def ask() -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", said("run", "ask", "--input", '{"message": "hello"}'))


def test_an_incident_tells_what_happened_and_that_the_fallback_was_tested() -> None:
    able = [Says("ready"), Calls([("look_up_stock", {"article": "A-7"})]), Calls([("final_result", {"sum": 42})])]
    with answering([Status(404)]) as gone, answering([Says("first"), *able, Says("second")]) as spare:
        run_command("models", "add", "spare", "openai:b", "--base-url", spare.base_url)
        run_command("models", "add", "clever", "openai:a", "--base-url", gone.base_url, "--fallback", "spare")
        assert run_command("incidents", "list").code == 0
        assert ask()["output"] == {"reply": "first"}
        assert said("models", "test", "spare")[0]["tools"] is True
        (incident,) = said("incidents", "list")
        assert (incident["kind"], incident["subject"], incident["closed_at"]) == ("model-gone", "clever", None)
        shown = run_command("incidents", "show", incident["id"][:13])
        assert "'spare' answers in its place: it was never tested. orchestrion models test spare" in shown.said
        assert "1 requests failed, 1 were answered by another model, 0 by none" in shown.said
        steps = said("incidents", "show", incident["id"])["steps"]
        assert [step["run_id"] is not None for step in steps] == [True, True]
    assert run_command("incidents", "show", "feed").code == 2


def test_a_retirement_tells_what_asks_the_model_and_what_is_missing() -> None:
    with answering([Says("fine")]) as server:
        run_command("models", "add", "clever", "openai:a", "--base-url", server.base_url)
        assert "No model that new runs ask retires" in run_command("retirements").said
        day = datetime.fromtimestamp(SystemClock().now(), UTC).date() + timedelta(days=14)
        settings = Path("orchestrion.yaml")
        settings.write_text(settings.read_text().replace("'openai:a'", f"openai:a\n    retires: {day}"))
        (waiting,) = said("retirements")
        assert (waiting["stage"], waiting["days_left"], waiting["used_by"]) == ("waiting", 14, ["clerk"])
        (found,) = said("retirements", "run")
        assert (found["stage"], found["workflow"]) == ("no-successor", "examples/ask")
        shown = run_command("retirements")
        assert "models.clever.successors" in shown.said


def test_a_router_is_trained_with_corrections_only_where_it_is_asked() -> None:
    Path("examples.csv").write_text("text,label\n" + "".join(f"a {n},x\nb {n},y\n" for n in range(6)))
    Path("corrections.csv").write_text("text,label\nc 1,x\n")
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text() + "\nrouters: { desk: { examples: examples.csv } }\n")
    Path("agents/clerk.yaml").unlink()
    Path("workflows/ask.yaml").unlink()
    result = run_command("router", "train", "desk", "--corrections", "corrections.csv")
    assert (result.code, "No workflow asks the router 'desk'" in result.said) == (2, True)
