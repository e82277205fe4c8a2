"""A user's mistakes: each is a sentence with its place, its reason and the way out, and leaves nothing behind."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrion.testing import Result, run_command

Orchestrion = Callable[..., Result]


@pytest.fixture
def orchestrion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orchestrion:
    """The command line, in a fresh project."""
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    return run_command


HELLO = Path("workflows/hello.yaml")


def nothing_ran() -> bool:
    return not Path(".orchestrion/orchestrion.db").exists()


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fresh_project_is_sound_and_runs(orchestrion: Orchestrion) -> None:
    assert orchestrion("validate").code == 0
    result = orchestrion("run", "hello", "--input", '{"name": "Ana"}', "--json")
    assert (result.code, '"greeting":"Hello, Ana."' in result.out) == (0, True)


def test_malformed_yaml(orchestrion: Orchestrion) -> None:
    change(HELLO, "do:\n", "do: [\n")
    result = orchestrion("run", "hello", "--input", "{}")
    assert result.code == 2
    assert "workflows/hello.yaml:" in result.said
    assert nothing_ran()


def test_unknown_task_in_then(orchestrion: Orchestrion) -> None:
    change(HELLO, "      set: {", "      then: gret\n      set: {")
    result = orchestrion("validate")
    assert result.code == 2
    assert "workflows/hello.yaml:10:13" in result.said
    assert "'gret'" in result.said
    assert "greet" in result.said


def test_wrong_types_in_with(orchestrion: Orchestrion) -> None:
    HELLO.write_text(
        HELLO.read_text().partition("do:")[0]
        + "do:\n  - ask:\n      call: human:1.0.0@default\n      with: { role: 7, title: hello }\n"
    )
    result = orchestrion("run", "hello", "--input", '{"name": "Ana"}')
    assert result.code == 2
    assert "workflows/hello.yaml:" in result.said
    assert "role" in result.said
    assert nothing_ran()


def test_an_expression_that_does_not_compile(orchestrion: Orchestrion) -> None:
    change(HELLO, ".name", ".name |")
    result = orchestrion("validate")
    assert (result.code, "workflows/hello.yaml:10:" in result.said) == (2, True)


def test_input_that_does_not_fit(orchestrion: Orchestrion) -> None:
    result = orchestrion("run", "hello", "--input", '{"nam": "Ana"}')
    assert result.code == 2
    assert "name" in result.said
    assert orchestrion("runs", "list", "--json").out.strip() == "[]"


def test_input_that_is_not_json(orchestrion: Orchestrion) -> None:
    result = orchestrion("run", "hello", "--input", "{name: Ana}", "--json")
    assert (result.code, '"code":"not-json"' in result.out) == (2, True)


def test_unknown_workflow_is_given_a_near_name(orchestrion: Orchestrion) -> None:
    result = orchestrion("run", "helo")
    assert (result.code, "hello" in result.said) == (2, True)


def test_a_missing_column(orchestrion: Orchestrion) -> None:
    Path("people.csv").write_text("first,last\nAna,Berg\n")
    result = orchestrion("run", "hello", "--each", "people.csv")
    assert result.code == 2
    assert "no column 'name'" in result.said
    assert "first, last" in result.said
    assert "--map name=COLUMN" in result.said
    assert orchestrion("runs", "list", "--json").out.strip() == "[]"
    assert orchestrion("run", "hello", "--each", "people.csv", "--map", "name=first").code == 0


def test_broken_encoding_sets_its_own_row_aside(orchestrion: Orchestrion) -> None:
    Path("people.csv").write_bytes(b"name\nAna\nJos\xe9\nBo\n")
    result = orchestrion("run", "hello", "--each", "people.csv")
    assert result.code == 0
    assert "row 2 set aside: name: not UTF-8 text" in result.said
    assert "2 runs" in result.said


def test_an_agent_that_names_an_unknown_tool(orchestrion: Orchestrion) -> None:
    Path("agents").mkdir()
    Path("agents/billing.yaml").write_text(
        "name: billing\nmodel: playbook\ninput: { type: object, properties: { message: { type: string } } }\n"
        "playbook:\n  rules:\n    - { name: look, when: { says: [refund] }, call: find_invoice }\n"
        "    - { name: rest, answer: 'I do not know.' }\n"
    )
    result = orchestrion("validate")
    assert result.code == 2
    assert "agents/billing.yaml:6:" in result.said
    assert "find_invoice" in result.said


def test_an_agent_and_a_workflow_that_name_an_unknown_knowledge_base(orchestrion: Orchestrion) -> None:
    Path("agents").mkdir()
    Path("agents/desk.yaml").write_text(
        "name: desk\ntools:\n"
        "  - { name: look, parameters: { type: object, properties: { q: { type: string } } },\n"
        "      function: { name: retrieve, with: { knowledge: manuals, query: '{q}' } } }\n"
        "playbook: { rules: [{ name: rest, answer: Bye. }] }\n"
    )
    change(
        HELLO,
        "  - greet:",
        "  - find: { call: retrieve:1.0.0@default, with: { knowledge: forums, query: q } }\n  - greet:",
    )
    result = run_command("validate")
    assert result.code == 2
    assert "agents/desk.yaml:4:54 " in result.said
    assert "workflows/hello.yaml:9:51 " in result.said


def test_a_policy_that_does_not_parse(orchestrion: Orchestrion) -> None:
    Path("policies/more.cedar").write_text("permit (principal, action, resource)\nwhen { nonsense nonsense };\n")
    result = orchestrion("run", "hello", "--input", '{"name": "Ana"}')
    assert result.code == 2
    assert "policies/more.cedar:2:" in result.said
    assert nothing_ran()


def test_a_database_from_a_newer_version(orchestrion: Orchestrion) -> None:
    assert orchestrion("run", "hello", "--input", '{"name": "Ana"}').code == 0
    database = Path(".orchestrion/orchestrion.db")
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    result = orchestrion("run", "hello", "--input", '{"name": "Ana"}', "--json")
    assert (result.code, '"code":"store-too-new"' in result.out) == (2, True)


def test_a_second_process_on_the_same_database(orchestrion: Orchestrion) -> None:
    assert orchestrion("run", "hello", "--input", '{"name": "Ana"}').code == 0
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, fcntl; f = open('.orchestrion/orchestrion.db.lock', 'r+');"
         " fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        result = orchestrion("run", "hello", "--input", '{"name": "Ana"}', "--json")
        assert (result.code, '"code":"store-in-use"' in result.out) == (2, True)
        assert orchestrion("runs", "list").code == 0
        holder.stdin.close()


def test_a_folder_that_is_not_empty_is_left_alone(orchestrion: Orchestrion) -> None:
    before = sorted(Path().rglob("*"))
    result = orchestrion("init")
    assert (result.code, "not an empty folder" in result.said) == (2, True)
    assert sorted(Path().rglob("*")) == before


def test_express_refuses_what_would_wait(orchestrion: Orchestrion) -> None:
    HELLO.write_text(
        HELLO.read_text().partition("do:")[0]
        + "do:\n  - ask:\n      call: human:1.0.0@default\n      timeout: { after: { days: 1 } }\n"
        "      with: { role: lead, title: hello, form: { type: object, properties: { ok: { type: boolean } } } }\n"
    )
    result = orchestrion("run", "hello", "--input", '{"name": "Ana"}', "--express", "--json")
    assert (result.code, '"code":"express-wait"' in result.out) == (1, True)
    assert nothing_ran()


def test_empty_states_say_what_to_do(orchestrion: Orchestrion) -> None:
    assert "orchestrion run" in orchestrion("runs", "list").said
    assert "Nothing waits" in orchestrion("approvals", "list").said
    assert orchestrion("runs", "show", "nothing").code == 2


def test_a_call_of_something_that_is_not_there(orchestrion: Orchestrion) -> None:
    HELLO.write_text(
        "document: { dsl: 1.0.3, namespace: default, name: hello, version: 0.1.0 }\n"
        "do:\n"
        "  - ask: { call: agent:1.0.0@default, with: { agent: biling, input: {} } }\n"
        "  - sort: { call: route:1.0.0@default, with: { router: intents, input: hm } }\n"
        "  - meet: { call: team:1.0.0@default, with: { pattern: panel, lead: chief, members: [a, { name: g, lead: b, members: [c] }], input: {} } }\n"
        "  - read: { call: query:1.0.0@default, with: { connection: bank, statement: select 1 } }\n"
        "  - think: { call: infer:1.0.0@default, with: { model: desk-modl, prompt: Hm. } }\n"
        '  - open: { call: agent:1.0.0@default, with: { agent: "${ .whichever }", input: {} } }\n'
    )
    Path("agents").mkdir(exist_ok=True)
    Path("agents/billing.yaml").write_text("name: billing\nmodel: openai:some\ninstructions: Help.\n")
    said = orchestrion("validate").said
    for place, what in (
        ("3:54", "no agent 'biling'"),
        ("4:56", "no router 'intents'"),
        ("5:69", "no agent or team 'chief'"),
        ("6:60", "no connection 'bank'"),
    ):
        assert f"workflows/hello.yaml:{place} error unknown-name There is {what}" in said
    assert "Did you mean 'billing'?" in said
    assert all(f"no agent or team '{name}'" in said for name in "abc")
    assert "workflows/hello.yaml:7:56 error unknown-name" in said
    assert "workflows/hello.yaml:8" not in said
