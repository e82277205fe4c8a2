"""`models`, `costs` and `sessions` as a person or a script uses them, against a model that answers over the network."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from anyio.from_thread import start_blocking_portal

from orchestrion.testing import Result, run_command
from orchestrion.testing.openai_server import Behaviour, Calls, OpenAIServer, Says, Status

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: examples, name: ask, version: '1.0.0' }
do:
  - ask: { call: agent:1.0.0@default, with: { agent: clerk, session: C-1, input: '${ . }' } }
"""
ABLE: Sequence[Behaviour] = (
    Says("ready"),
    Calls([("look_up_stock", {"article": "A-7"})]),
    Calls([("final_result", {"sum": 42})]),
)
SETTINGS = Path("orchestrion.yaml")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    SETTINGS.write_text(SETTINGS.read_text().replace("egress: { allow: [] }", "egress: { allow: ['127.0.0.1'] }"))


@contextmanager
def answering(script: Sequence[Behaviour]) -> Generator[OpenAIServer]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(OpenAIServer(list(script))) as server:
        yield server


def add(url: str, *more: str) -> Result:
    return run_command("models", "add", "clever", "openai:test", "--base-url", url, *more)


def rows(*arguments: str) -> Sequence[Mapping[str, Any]]:
    result = run_command(*arguments, "--json")
    return cast("Sequence[Mapping[str, Any]]", result.json)


def an_agent(model: str = "clever") -> None:
    Path("agents").mkdir()
    Path("agents/clerk.yaml").write_text(f"name: clerk\nmodel: {model}\n")
    Path("workflows/ask.yaml").write_text(WORKFLOW)
    Path("policies/agents.cedar").write_text("permit (principal is Agent, action, resource);\n")


def ask(message: str) -> str:
    result = run_command("run", "ask", "--input", f'{{"message": "{message}"}}', "--json")
    assert result.code == 0, result.said
    return str(cast("Mapping[str, Any]", result.json)["id"])


# --- models ---


def test_a_model_is_added_and_listed_and_nothing_else_in_the_file_changes() -> None:
    before = SETTINGS.read_text()
    result = add("http://127.0.0.1:9/v1", "--region", "eu", "--fallback", "default")
    assert (result.code, "orchestrion models test clever" in result.said) == (0, True)
    assert SETTINGS.read_text().startswith(before.rstrip())
    listed = {each["name"]: each for each in rows("models", "list")}
    assert listed["clever"]["provider"] == "openai:test"
    assert (listed["clever"]["region"], listed["clever"]["fallback"]) == ("eu", ["default"])
    assert listed["default"]["provider"] == "playbook"
    assert "openai:test at" in run_command("models", "list").said
    assert run_command("validate").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clever", "openai:other"], "model-exists"),
        (["two words", "openai:test"], "is not a name"),
        (["other", "openai:test", "--base-url", "ftp://example.com"], "models.other.base_url"),
        (["other", "openai:test", "--key", "nowhere"], "nowhere"),
        (["other", "openai:test", "--fallback", "nobody"], "nobody"),
        (["other"], "PROVIDER"),
    ],
)
def test_a_model_that_cannot_be_leaves_the_file_as_it_was(arguments: list[str], said: str) -> None:
    assert add("http://127.0.0.1:9/v1").code == 0
    before = SETTINGS.read_text()
    result = run_command("models", "add", *arguments)
    assert result.code == 2
    assert said in result.said
    assert SETTINGS.read_text() == before


def test_a_model_is_tried_and_what_it_can_do_is_said() -> None:
    with answering(ABLE) as server:
        add(server.base_url)
        (trial,) = rows("models", "test")
        assert len(server.requests) == 3
    SETTINGS.write_text(SETTINGS.read_text().replace("clever", "slow"))
    with answering(ABLE) as server:
        add(server.base_url)
        told = run_command("models", "test", "clever")
    assert (trial["model"], trial["answer"], trial["problem"]) == ("clever", "ready", None)
    assert (trial["tools"], trial["structured"]) == (True, True)
    assert told.code == 0
    assert "tool calls: yes" in told.said
    assert not Path(".orchestrion/orchestrion.db").exists()


def test_policies_decide_about_a_trial_too() -> None:
    policy = Path("policies/workflows.cedar")
    policy.write_text('permit (principal == Agent::"clerk", action == Action::"model", resource);\n')
    an_agent()
    with answering(ABLE) as server:
        add(server.base_url)
        refused = run_command("models", "test", "clever")
        assert (refused.code, server.requests) == (1, [])
        assert "Policy refuses that this model is asked" in refused.said
        permit = 'permit (principal == Workflow::"orchestrion/models-test", action == Action::"model", resource);'
        assert permit in refused.said.replace("\n", " ")
        policy.write_text(f"{permit}\n")
        assert run_command("models", "test", "clever").code == 0
        waits = permit.replace(";", ' when { context has approval && context.approval.role == "lead" };')
        policy.write_text(f"{waits}\n")
        assert "express-wait" in run_command("models", "test", "clever").said


@pytest.mark.parametrize(
    ("script", "arguments", "code", "said"),
    [
        ([Status(401)], ["clever"], 1, "model-key-refused"),
        ([], ["nobody"], 2, "There is no model 'nobody'"),
        ([], ["openai:gpt-5.2"], 1, "model-not-usable"),
    ],
)
def test_what_cannot_be_tried_is_said(
    script: list[Behaviour], arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with answering(script or ABLE) as server:
        add(server.base_url)
        result = run_command("models", "test", *arguments)
    assert (result.code, said in result.said) == (code, True), result.said


def test_a_project_without_models_or_with_mistakes_has_nothing_to_try() -> None:
    nothing = run_command("models", "test")
    assert (nothing.code, "orchestrion models add NAME PROVIDER" in nothing.said) == (2, True)
    add("http://127.0.0.1:9/v1")
    Path("policies/more.cedar").write_text("nonsense")
    broken = run_command("models", "test", "clever")
    assert (broken.code, "policies/more.cedar:1:" in broken.said) == (2, True)


# --- costs ---


def test_costs_are_added_up_by_what_is_asked_for() -> None:
    assert "No model has been asked" in run_command("costs").said
    assert rows("costs") == []
    with answering([Says("Hello.")]) as server:
        add(server.base_url)
        an_agent()
        run_id = ask("hi")
        ask("hi again")
    (by_agent,) = rows("costs")
    assert (by_agent["name"], by_agent["requests"], by_agent["input_tokens"]) == ("Agent::clerk", 2, 2000)
    assert (by_agent["unpriced"], by_agent["usd"] > 0) == (0, True)
    assert run_id in {each["name"] for each in rows("costs", "--by", "run")}
    shown = run_command("costs", "--by", "model")
    assert ("clever" in shown.said, "2,000" in shown.said) == (True, True)
    assert rows("costs", "--days", "0") == []
    wrong = run_command("costs", "--by", "weather")
    assert (wrong.code, "By: run, agent, user, workflow, model." in wrong.said) == (2, True)
    assert run_command("costs", "--days", "-1").code == 2


# --- sessions ---


def test_sessions_are_listed_shown_and_deleted() -> None:
    assert rows("sessions", "list") == []
    assert "No sessions yet" in run_command("sessions", "list").said
    with answering([Says("Hello."), Says("Again.")]) as server:
        add(server.base_url)
        an_agent()
        run_id = ask("who are you")
        ask("and now")
    (listed,) = rows("sessions", "list")
    assert (listed["name"], listed["agent"], listed["turns"], listed["held_by"]) == ("C-1", "clerk", 2, None)
    first, second = rows("sessions", "show", "C-1")
    assert (first["number"], first["run"], second["number"]) == (1, run_id, 2)
    shown = run_command("sessions", "show", "C-1")
    assert ("who are you" in shown.said, "Again." in shown.said) == (True, True)
    assert "C-1" in run_command("sessions", "list", "--limit", "1").said
    assert run_command("sessions", "delete", "C-1", "--json").json == {"deleted": "C-1"}
    assert rows("sessions", "list") == []


@pytest.mark.parametrize("command", ["show", "delete"])
def test_a_session_that_is_not_there_is_said_so(command: str) -> None:
    result = run_command("sessions", command, "C-9")
    assert result.code == 2
    assert "There is no session 'C-9'" in result.said
    assert "orchestrion sessions list" in result.said
    assert run_command("sessions", "list", "--limit", "0").code == 2
