"""`orchestrion schema`: what editors complete and check files by takes every file that is right, and refuses wrong ones."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from orchestrion.core import Json
from orchestrion.spec import Remove, SetValue, edit, parse_yaml, read, to_json
from orchestrion.testing import run_command

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = {
    "agent": "agents",
    "evaluation": "evaluations",
    "playbook": "playbooks",
    "predictor": "predictors",
    "table": "tables",
    "team": "teams",
    "workflow": "workflows",
}
PROJECTS = sorted(path.parent for path in EXAMPLES.glob("*/orchestrion.yaml"))


@pytest.fixture(scope="module")
def validators() -> dict[tuple[str, str], jsonschema_rs.Validator]:
    """By project and kind, as the command prints them."""
    return {(project.name, kind): validator(kind, project) for project in PROJECTS for kind in (*FOLDERS, "project")}


def validator(kind: str, project: Path) -> jsonschema_rs.Validator:
    printed = run_command("schema", kind, "--project", str(project))
    assert (printed.code, printed.err) == (0, "")
    return jsonschema_rs.validator_for(json.loads(printed.out))


def files() -> Iterator[Any]:
    for project in PROJECTS:
        yield pytest.param(project.name, "project", project / "orchestrion.yaml", id=f"{project.name}")
        for kind, folder in FOLDERS.items():
            for file in sorted((project / folder).glob("*.yaml")):
                yield pytest.param(project.name, kind, file, id=f"{project.name}-{kind}-{file.stem}")


def value_of(text: str) -> Any:
    source, findings = parse_yaml(text, file="it.yaml")
    assert source is not None, findings
    return to_json(source.root)


@pytest.mark.parametrize(("project", "kind", "file"), list(files()))
def test_every_file_of_the_examples_fits_and_an_unknown_field_does_not(
    project: str, kind: str, file: Path, validators: dict[tuple[str, str], jsonschema_rs.Validator]
) -> None:
    value = value_of(file.read_text(encoding="utf-8"))
    schema = validators[project, kind]
    assert [error.message for error in schema.iter_errors(value)] == []
    assert not schema.is_valid({**value, "colour": "green"})


WRONG: Sequence[tuple[str, str, Json, str]] = [
    ("agent", "/tools/0/function", None, "a tool that does nothing"),
    ("agent", "/tools/0/http", {"endpoint": "https://example.com"}, "a tool that does two things"),
    ("agent", "/limits/turns", 0, "no turns"),
    ("agent", "/model", [], "no model"),
    ("evaluation", "/cases", [], "no cases"),
    ("evaluation", "/cases/runs", {}, "cases from two sources"),
    ("evaluation", "/cases/file", None, "cases from nowhere"),
    ("evaluation", "/scorers/cost/latency", {}, "a scorer of two kinds"),
    ("evaluation", "/scorers/cost/cost", None, "a scorer of no kind"),
    ("evaluation", "/scorers/refunds/policy/verdicts/refund", "allowed", "no verdict"),
    ("playbook", "/rules/0/when/sais", "refund", "a condition that is none"),
    ("playbook", "/rules/0/answer", "And an answer.", "a rule that calls and answers"),
    ("playbook", "/rules", [], "no rules"),
    ("team", "/pattern", "choir", "an unknown pattern"),
    ("team", "/lead", None, "nobody leads"),
    ("project", "/roles", "everybody", "no list"),
    ("workflow", "/document/dsl", "2.0.0", "another language"),
    ("workflow", "/do/0/findCustomer/with/conection", "bank", "an argument the function does not take"),
    ("workflow", "/do/0/findCustomer/with/connection", None, "a missing argument"),
    ("workflow", "/do/0/findCustomer/with/statement", 7, "an argument of another type"),
    ("workflow", "/do/0/findCustomer/set", {"a": 1}, "a task of two kinds"),
    ("workflow", "/do/0/findCustomer/call", None, "a task of no kind"),
    ("workflow", "/do/0/findCustomer/timeout", {"afterwards": "PT1S"}, "a timeout without end"),
]


@pytest.mark.parametrize(("kind", "pointer", "new", "what"), WRONG, ids=[each[3] for each in WRONG])
def test_wrong_files_do_not_fit(
    kind: str, pointer: str, new: Json, what: str, validators: dict[tuple[str, str], jsonschema_rs.Validator]
) -> None:
    desk = EXAMPLES / "customer-service"
    path = {
        "agent": "agents/billing.yaml",
        "evaluation": "evaluations/desk.yaml",
        "playbook": "playbooks/billing.yaml",
        "team": "teams/desk.yaml",
        "project": "orchestrion.yaml",
        "workflow": "workflows/customer-triage.yaml",
    }[kind]
    text = (desk / path).read_text(encoding="utf-8")
    source, _ = parse_yaml(text, file=path)
    assert source is not None
    assert validators["customer-service", kind].is_valid(to_json(source.root))
    changed = edit(source, [Remove(pointer) if new is None else SetValue(pointer, new)])
    assert not validators["customer-service", kind].is_valid(value_of(changed)), what


def test_documents_of_the_standard_that_are_read_fit(test_data: Path) -> None:
    schema = validator("workflow", EXAMPLES / "customer-service")
    fitting = 0
    for file in sorted((test_data / "open-workflow/examples").glob("*.yaml")):
        if (document := read(file.read_bytes(), file=file.name).document) is not None:
            assert [error.message for error in schema.iter_errors(document.json)] == [], file.name
            fitting += 1
    assert fitting == 47


def test_fields_are_explained_where_they_are_offered() -> None:
    agent = json.loads(run_command("schema", "agent").out)
    for name in ("model", "input", "asks", "tools", "playbook"):
        assert agent["properties"][name]["description"]
    assert agent["$defs"]["When"]["properties"]["not"]
    assert agent["$defs"]["Rule"]["properties"]["why"]["description"]
    assert "Not written in the file" not in json.dumps(agent)


def test_all_are_written_into_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    result = run_command("schema", "--all", ".orchestrion/schemas")
    assert (result.code, "yaml-language-server" in result.said) == (0, True)
    written = sorted(file.name for file in Path(".orchestrion/schemas").iterdir())
    assert written == [
        "agent.json",
        "evaluation.json",
        "playbook.json",
        "predictor.json",
        "project.json",
        "table.json",
        "team.json",
        "workflow.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["poem"], "unknown-kind"),
        ([], "which-schema"),
        (["agent", "--all", "x"], "which-schema"),
        (["--all", "orchestrion.yaml"], "cannot-write"),
    ],
)
def test_what_cannot_be_is_said(
    arguments: list[str], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    result = run_command("schema", *arguments)
    assert (result.code, code in result.said) == (2, True)
