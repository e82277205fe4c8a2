"""Agent files: everything wrong is found at once, at its line."""

import subprocess
import sys
import textwrap
from typing import cast

import jsonschema_rs
import pytest

import orchestrion.agents
from orchestrion.agents import AgentDefinition, Known, agent_schema, read_agent
from orchestrion.core import Json
from orchestrion.models import PlaybookFile, read_playbook
from orchestrion.spec import parse_yaml, to_json

SMALL = """\
name: helper
input:
  type: object
  properties: { message: { type: string }, customerId: { type: string } }
tools:
  - name: look
    parameters: { type: object, properties: { day: { type: string } } }
    bind: { customer: input.customerId }
    query: { connection: bank, statement: 'select 1 where c = :customer and d = :day' }
playbook:
  rules:
    - name: look
      when: { says: look }
      call: look
    - name: bye
      answer: Bye.
"""


def findings(text: str, known: Known | None = None) -> list[str]:
    _, found = read_agent(text, file="a.yaml", known=known or Known())
    return [f"{one.line}:{one.column} {one.message}" for one in found]


def replaced(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def example() -> str:
    """The worked example of the documentation."""
    text = orchestrion.agents.__doc__ or ""
    return text.split("```yaml\n")[1].split("```")[0]


def test_the_documented_example_is_right() -> None:
    definition, found = read_agent(example(), file="billing.yaml", known=Known(connections=["bank"]))
    assert [str(one) for one in found] == []
    assert isinstance(definition, AgentDefinition)
    assert [tool.name for tool in definition.tools] == [
        *("find_invoices", "refund", "post_letter", "open_case"),
        *("classify", "listLetters", "getLetter", "find_parcel", "find_customer"),
    ]


def test_the_documented_example_fits_the_editor_schema() -> None:
    source, _ = parse_yaml(example(), file="billing.yaml")
    assert source is not None
    validator = jsonschema_rs.validator_for(cast("dict[str, object]", agent_schema()))
    assert [error.message for error in validator.iter_errors(to_json(source.root))] == []


def test_a_right_file_has_no_findings() -> None:
    assert findings(SMALL) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: helper", "nome: helper", "1:1 'nome' is not known here."),
        ("      call: look", "      call: lok", "14:13 The agent has no tool 'lok'."),
        ("says: look", "done: lok", "13:21 The agent has no tool 'lok'."),
        ("answer: Bye.", "answer: 'Bye {input.nam}.'", "16:15 There is no 'nam' in `input`."),
        ("answer: Bye.", "answer: 'Bye {nam.x}.'", "16:15 The path 'nam.x' begins with 'nam'."),
        ("answer: Bye.", "answer: 'Bye {input.message|shout}.'", "16:15 There is no filter 'shout'."),
        ("answer: Bye.", "answer: 'Bye {.'", "16:15 A brace stands alone in 'Bye {.'."),
        (
            "bind: { customer: input.customerId }",
            "bind: { customer: input.nobody }",
            "8:23 The agent's input has no field 'nobody'.",
        ),
        ("d = :day", "d = :night", "9:43 The tool 'look' has no argument 'night'."),
        ("'select 1", "'delete from x; select 1", "9:43 The statement of 'look' changes something."),
        (
            "    query:",
            "    http: { endpoint: 'http://x' }\n    query:",
            "6:5 The tool 'look' needs one of `query`, `http`, `openapi`, `mcp`, `workflow`, `function`; it has `query` and `http`.",
        ),
        (
            "type: object, properties: { day: { type: string } }",
            "type: objekt",
            "7:17 This is not a JSON Schema",
        ),
    ],
)
def test_what_is_wrong_is_found_at_its_place(old: str, new: str, expected: str) -> None:
    assert any(one.startswith(expected) for one in findings(replaced(old, new))), findings(replaced(old, new))


def test_unknown_names_are_findings_where_names_are_known() -> None:
    known = Known(
        model=lambda name: None if name == "playbook" else f"There is no model {name!r}.", connections=["post"]
    )
    found = findings(SMALL + "model: [gtp, playbook]\n", known)
    assert "17:8 There is no model 'gtp'." in found
    assert "9:26 There is no connection 'bank'." in found


def test_an_unknown_workflow_is_a_finding() -> None:
    text = replaced(
        "    query: { connection: bank, statement: 'select 1 where c = :customer and d = :day' }",
        "    workflow: { namespace: a, name: b, version: '1.0.0' }",
    )
    assert "9:15 There is no workflow 'a:b:1.0.0'." in findings(text, Known(workflows=[("a", "c", "1.0.0")]))


def test_several_mistakes_are_told_at_once() -> None:
    text = replaced("call: look", "call: lok").replace("d = :day", "d = :night").replace("Bye.", "'{x}'")
    assert len(findings(text)) == 3


def test_broken_yaml_is_one_finding() -> None:
    definition, found = read_agent("name: [", file="a.yaml", known=Known())
    assert definition is None
    assert len(found) == 1


def rules(text: str) -> PlaybookFile:
    playbook, found = read_playbook(textwrap.dedent(text), file="playbooks/desk.yaml", name="desk")
    assert playbook is not None, [str(one) for one in found]
    return playbook


DESK = """\
rules:
  - name: bye
    answer: { reply: Bye }
"""


def test_a_playbook_of_its_own_file_is_checked_against_the_agent() -> None:
    text = SMALL.partition("playbook:")[0] + "model: playbook:desk\n"
    other = DESK.replace("reply: Bye", "reply: Bye, mood: '{tools.luck.x}'")
    _, found = read_agent(text, file="a.yaml", known=Known(playbooks={"desk": rules(other)}))
    assert [f"{one.file}:{one.line} {one.message}" for one in found] == [
        "playbooks/desk.yaml:3 There is no 'luck' in `tools`.",
        "playbooks/desk.yaml:3 The agent's output has no field 'mood'.",
    ]


def test_the_version_follows_everything_that_decides_behaviour() -> None:
    text = SMALL.partition("playbook:")[0] + "model: playbook:desk\n"

    def version(agent: str, playbook: str) -> str:
        definition, _ = read_agent(agent, file="a.yaml", known=Known(playbooks={"desk": rules(playbook)}))
        assert definition is not None
        return definition.version

    same = version(text, DESK)
    assert version("# a comment\n" + text, DESK) == same
    assert version(text + "limits: {}\n", DESK) == same, "what is said without saying anything changes nothing"
    assert version(text, DESK.replace("Bye", "Ciao")) != same
    assert version(text.replace("d = :day", "d > :day"), DESK) != same


def test_arguments_cannot_leave_their_place_in_an_address() -> None:
    from orchestrion.agents._fill import filled_address

    assert filled_address("http://x/{id}/y", {"id": "../a?b=c"}) == "http://x/..%2Fa%3Fb%3Dc/y"
    with pytest.raises(Exception, match="may not be"):
        filled_address("http://x/{id}/y", {"id": ".."})


def test_values_are_filled_into_bodies_as_they_are() -> None:
    from orchestrion.agents._fill import filled

    arguments: dict[str, Json] = {"n": 5, "who": 'A "quoted" {n} name'}
    assert filled({"a": "{n}", "b": ["to {who}"], "c": True}, arguments) == {
        "a": 5,
        "b": ['to A "quoted" {n} name'],
        "c": True,
    }


def test_the_version_is_the_same_in_every_process() -> None:
    code = "from orchestrion.agents import AgentDefinition as A; print(A(name='a', labels=frozenset('uvwxyz')).version)"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1


def test_what_is_left_at_its_default_does_not_count_for_the_version() -> None:
    plain = AgentDefinition(name="a")
    assert AgentDefinition(name="a", description="", labels=frozenset()).version == plain.version
    assert AgentDefinition(name="a", labels=frozenset({"pii"})).version != plain.version
