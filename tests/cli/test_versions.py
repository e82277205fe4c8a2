"""`orchestrion versions`, `deploy`, `rollback`, `rollouts` and `evaluate` as a person or a script uses them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import Result, run_command

WORKFLOW = """\
document: { dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }
input: { schema: { document: { type: object, properties: { name: { type: string } } } } }
do:
  - say: { call: 'agent:1.0.0@default', with: { agent: greeter, input: { message: hello } } }
  - tell: { set: { said: '${ .reply }' } }
"""
AGENT = """\
name: greeter
input: { type: object, properties: { message: { type: string } } }
output: { type: object, required: [reply], properties: { reply: { type: string } } }
playbook: { name: greeter, rules: [{ name: all, answer: { reply: SAID } }] }
"""
EVALUATION = """\
title: Manners
workflow: greet
cases:
  - { input: { name: Ana }, expect: { said: fine } }
  - { input: { name: Bo }, expect: { said: fine } }
scorers:
  manners: { exact: { at: /said, truth: said }, gate: { at_least: 1 } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "orchestrion.yaml": "name: shop\n",
        "workflows/greet.yaml": WORKFLOW,
        "policies/all.cedar": '@id("all") permit (principal, action, resource);\n',
    }.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    say("fine")


def say(text: str) -> None:
    """Another version of the agent."""
    Path("agents").mkdir(exist_ok=True)
    Path("agents/greeter.yaml").write_text(AGENT.replace("SAID", text))


def fields(*arguments: str) -> Mapping[str, Any]:
    found = run_command(*arguments, "--json")
    assert found.code == 0, found
    return cast("Mapping[str, Any]", found.json)


def rows(*arguments: str) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", fields(*arguments))


def refused(*arguments: str) -> tuple[str, str]:
    """The code and the message of what is wrong with a command, which a person is told in the same words."""
    found = run_command(*arguments, "--json")
    assert found.code == 2, found
    problem = cast("Mapping[str, Any]", found.json)["problem"]
    told = run_command(*arguments)
    assert told.code == 2
    assert " ".join(problem["detail"].split()) in told.said
    return problem["code"], problem["detail"]


def deployed(text: str, *options: str) -> str:
    say(text)
    return fields("deploy", "greet", *options)["version"]


def on_trial(text: str, *options: str) -> str:
    say(text)
    return fields("deploy", "greet", "--canary", "50%", *options)["id"]


def run() -> Result:
    return run_command("run", "greet", "--json")


# --- before anything is kept ---


def test_where_nothing_ran_yet_there_is_nothing_to_list() -> None:
    for what, said in (("versions", "No versions yet."), ("rollouts", "No version has been on trial yet.")):
        assert rows(what, "list") == []
        assert said in run_command(what, "list").said
        assert not Path(".orchestrion/orchestrion.db").exists()
    assert refused("rollouts", "show", "01a2")[0] == "unknown-rollout"
    assert refused("rollouts", "stop", "01a2")[0] == "unknown-rollout"


# --- versions ---


def test_each_version_is_listed_with_what_changed() -> None:
    first = deployed("fine", "--why", "to begin", "--as", "ana")
    second = deployed("kind", "--alias", "candidate")
    listed = rows("versions", "list")
    assert [each["version"] for each in listed] == [second, first]
    assert [each["aliases"] for each in listed] == [["candidate"], ["production"]]
    assert [each["changes"] for each in listed][1] is None
    (change,) = listed[0]["changes"]
    assert change["piece"] == "agents/greeter.yaml"
    assert "fine → kind" in change["words"][0]
    told = run_command("versions", "list").said
    assert "← production" in told
    assert "agent greeter: " in told
    assert len(rows("versions", "list", "--limit", "1")) == 1
    assert rows("versions", "list", "nobody") == []


def test_a_version_is_shown_by_its_beginning_an_alias_or_as_the_files() -> None:
    first = deployed("fine", "--why", "to begin", "--as", "ana")
    for name in (first[:9], "production", "working"):
        assert fields("versions", "show", name)["version"] == first
    shown = fields("versions", "show", first)
    assert {"agents/greeter.yaml", "policies/all.cedar", "workflows/shop/greet"} <= {
        piece.partition(":")[0] for piece in shown["pieces"]
    }
    (move,) = shown["moves"]
    assert (move["alias"], move["by"], move["why"], move["before"]) == ("production", "ana", "to begin", None)
    told = run_command("versions", "show", "production").said
    assert "by ana: to begin" in told
    assert "0 runs under way with it" in told


def test_what_differs_is_said_in_words() -> None:
    first = deployed("fine")
    assert run_command("versions", "diff").said.endswith("Nothing differs.")
    say("kind")
    found = fields("versions", "diff")
    assert found["before"] == first
    (change,) = found["changes"]
    assert (change["piece"], change["what"]) == ("agents/greeter.yaml", "changed")
    assert "fine → kind" in run_command("versions", "diff").said
    assert fields("versions", "diff", "working", "production")["changes"] != found["changes"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("versions", "show", "feed"), "unknown-version", "There is no version 'feed'."),
        (("versions", "show", ""), "ambiguous-version", "Several versions begin with ''."),
        (("versions", "diff", "feed", "working"), "unknown-version", "'feed'"),
        (
            ("versions", "show", "production", "--workflow", "nobody"),
            "unknown-version",
            "of 'nobody' points at nothing",
        ),
        (("deploy", "nobody"), "unknown-workflow", "'nobody'"),
        (("deploy", "greet", "--version", "feed"), "unknown-version", "'feed'"),
        (("rollback", "nobody"), "nothing-deployed", "No version of 'nobody' is deployed."),
        (("deploy", "greet", "--canary", "lots"), "bad-share", "'lots' is no share of runs."),
        (("deploy", "greet", "--canary", "0%"), "bad-share", "'0%' is no share of runs."),
        (("deploy", "greet", "--canary", "50%,10%"), "bad-share", "'50%,10%'"),
        (("deploy", "greet", "--canary", "10%", "--tolerance", "none"), "bad-share", "'none'"),
        (("deploy", "greet", "--canary", "10%"), "nothing-differs", "in production already"),
        (("rollouts", "show", "feed"), "unknown-rollout", "There is no rollout 'feed'."),
    ],
)
def test_what_cannot_be_done_is_said_with_its_reason(arguments: Sequence[str], code: str, said: str) -> None:
    deployed("kind", "--alias", "other")
    deployed("fine")
    assert (refused(*arguments)[0], said in refused(*arguments)[1]) == (code, True)


def test_before_the_first_deployment_there_is_nothing_to_compare_with_or_go_back_to() -> None:
    assert refused("deploy", "greet", "--canary", "10%")[0] == "nothing-deployed"
    assert refused("rollback", "greet")[0] == "nothing-deployed"
    deployed("fine")
    assert refused("rollback", "greet")[0] == "nothing-before"


# --- deploy and roll back ---


def test_new_runs_get_what_was_deployed_until_it_is_rolled_back() -> None:
    first = deployed("fine")
    second = deployed("kind", "--why", "kinder")
    say("rude")
    assert cast("Mapping[str, Any]", run().json)["output"] == {"said": "kind"}
    back = fields("rollback", "greet", "--why", "too kind", "--as", "lea")
    assert (back["version"], back["before"], back["by"], back["why"]) == (first, second, "lea", "too kind")
    assert back["changes"][0]["piece"] == "agents/greeter.yaml"
    assert cast("Mapping[str, Any]", run().json)["output"] == {"said": "fine"}
    told = run_command("rollback", "greet", "--to", second[:8]).said
    assert f"production of shop/greet is {second[:12]} now (before: {first[:12]})" in told
    assert "New runs get it" in told


# --- on trial ---


def test_a_trial_is_listed_shown_and_stopped() -> None:
    first = deployed("fine")
    trial = on_trial("kind", "--loss", '.output.said == "rude"', "--tolerance", "20%")
    assert run().code == 0
    (listed,) = rows("rollouts", "list")
    assert (listed["id"], listed["status"], listed["control"], listed["verdict"]) == (trial, "running", first, None)
    assert listed["plan"]["rule"]["tolerance"] == 0.2
    shown = fields("rollouts", "show", trial[:8])
    assert sum(shown["runs"].values()) == 1
    assert shown["verdict"] == "not decided: nothing was compared yet"
    assert (shown["evidence"]["against"], shown["evidence"]["in_favour"]) == (1.0, 1.0)
    told = run_command("rollouts", "show", trial).said
    assert "fine → kind" in told
    assert "evidence against it 1, for it 1; either decides at 20" in told
    assert refused("deploy", "greet", "--canary", "10%")[0] == "rollout-running"
    assert fields("rollouts", "stop", trial, "--as", "lea")["verdict"] == "stopped by lea"
    assert "stopped by lea" in run_command("rollouts", "list").said
    assert fields("versions", "show", "production")["version"] == first


def test_a_trial_ends_by_itself_and_its_evidence_stays() -> None:
    deployed("fine")
    trial = on_trial("rude", "--violation", '.output.said == "rude"')
    Path("names.jsonl").write_text("".join(json.dumps({"name": f"n{number}"}) + "\n" for number in range(20)))
    assert run_command("run", "greet", "--each", "names.jsonl", "--json").code == 0
    shown = fields("rollouts", "show", trial)
    assert shown["status"] == "rolled-back"
    assert shown["verdict"].startswith("taken back at once: the run ")
    assert shown["evidence"]["alpha"] == 0.05
    assert cast("Mapping[str, Any]", run().json)["output"] == {"said": "fine"}


# --- evaluate ---


def evaluation(text: str = EVALUATION) -> None:
    Path("evaluations").mkdir(exist_ok=True)
    Path("evaluations/manners.yaml").write_text(text)


def test_a_version_is_evaluated_beside_another_and_fails_below_the_gate() -> None:
    evaluation()
    deployed("fine")
    passed = fields("evaluate")
    assert (passed["evaluation"], passed["passed"], passed["known_before"]) == ("manners", True, 0)
    say("rude")
    found = run_command("evaluate", "manners", "--against", "production", "--json")
    assert found.code == 1
    failed = cast("Mapping[str, Any]", found.json)
    assert (failed["passed"], failed["known_before"]) == (False, 2)
    assert [case["scores"]["manners"]["value"] for case in failed["cases"]] == [0.0, 0.0]
    told = run_command("evaluate", "--against", "production")
    assert told.code == 1
    assert "✗" in told.said
    assert "0.0%" in told.said
    assert "manners is below the gate" in told.said
    assert "known from before" in told.said


def test_without_an_evaluation_there_is_nothing_to_evaluate() -> None:
    assert refused("evaluate")[0] == "which-evaluation"
    evaluation()
    code, said = refused("evaluate", "maners")
    assert code == "unknown-evaluation"
    assert "manners" in said + run_command("evaluate", "maners").said


def test_a_mistake_in_an_evaluation_is_said_with_its_place() -> None:
    evaluation(EVALUATION.replace("exact:", "exactly:"))
    found = run_command("evaluate")
    assert found.code == 2
    assert "evaluations/manners.yaml:" in found.said
    assert "exactly" in found.said
