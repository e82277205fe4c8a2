"""A folder as a project."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from orchestrion.core import UserError
from orchestrion.project import BadProject, Project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "my bank"
    for name in (
        "workflows/b.yaml",
        "workflows/a.yml",
        "workflows/c.json",
        "workflows/notes.txt",
        "workflows/.hidden.yaml",
        "agents/billing.yaml",
        "policies/refunds.cedar",
        "policies/README.md",
        "playbooks/billing.yaml",
        "data/bank.db",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    (root / "orchestrion.yaml").write_text("connections: { bank: { url: 'sqlite:///data/bank.db' } }\n")
    return root


def test_it_names_what_stands_in_the_folder(folder: Path) -> None:
    project = Project.load(folder)
    assert project.name == "my bank"
    assert [project.relative(each) for each in project.workflows] == [
        "workflows/a.yml",
        "workflows/b.yaml",
        "workflows/c.json",
    ]
    assert [each.name for each in project.agents] == ["billing.yaml"]
    assert [each.name for each in project.policies] == ["refunds.cedar"]
    assert [each.name for each in project.playbooks] == ["billing.yaml"]


@pytest.mark.parametrize("inside", [".", "workflows", "workflows/b.yaml", "data/bank.db"])
def test_any_path_inside_finds_it(folder: Path, inside: str) -> None:
    assert Project.load(folder / inside).root == folder


def test_a_lone_workflow_is_a_project_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    file.write_text("do: []")
    project = Project.load(file)
    assert (project.root, project.workflows) == (tmp_path, (file,))
    assert project.settings.models["default"].provider == "playbook"


def test_a_folder_without_settings_is_a_project_with_defaults(tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/a.yaml").touch()
    assert [each.name for each in Project.load(tmp_path).workflows] == ["a.yaml"]


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*nowhere"):
        Project.load(tmp_path / "nowhere")


def test_settings_that_cannot_be_used_say_all_that_is_wrong(folder: Path) -> None:
    (folder / "orchestrion.yaml").write_text("nmae: x\nroles: 3\n", "utf-8")
    with pytest.raises(BadProject) as caught:
        Project.load(folder)
    assert [(each.line, each.code) for each in caught.value.findings] == [(1, "unknown-setting"), (2, "bad-setting")]
    assert "orchestrion.yaml:1:1" in caught.value.message


def test_examples_of_a_router_must_exist(folder: Path) -> None:
    (folder / "orchestrion.yaml").write_text("routers: { r: { examples: routers/r.csv } }\n")
    _, (finding,) = Project.read(folder)
    assert (finding.code, finding.line, finding.column) == ("missing-file", 1, 27)


def test_sqlite_files_stand_in_the_project_wherever_it_is(tmp_path: Path) -> None:
    for name in ("plain", "with space", "per%20cent", "què?stion#1"):
        root = tmp_path / name
        root.mkdir()
        (root / "orchestrion.yaml").write_text("connections: { bank: { url: 'sqlite:///data/b.db?timeout=3' } }\n")
        project = Project.load(root)
        secrets = project.secrets({})
        url = make_url(project.connection_url("bank", secrets))
        assert url.database == str(root / "data/b.db")
        assert url.query == {"timeout": "3"}
        assert make_url(project.store_url(secrets)).database == str(root / ".orchestrion/orchestrion.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:////absolute/bank.db",
        "sqlite:///file:x?mode=memory&uri=true",
        "postgresql://db/bank",
    ],
)
def test_other_urls_stay_as_they_are(folder: Path, url: str) -> None:
    (folder / "orchestrion.yaml").write_text(f"store: '{url}'\nconnections: {{ bank: {{ url: '{url}' }} }}\n")
    project = Project.load(folder)
    assert project.connection_url("bank", project.secrets({})) == url
    assert project.store_url(project.secrets({})) == url


def test_a_url_may_be_a_secret(folder: Path) -> None:
    (folder / "orchestrion.yaml").write_text(
        "connections: { bank: { url: { secret: BANK } } }\nsecrets: { BANK: { env: BANK_URL } }\n"
    )
    project = Project.load(folder)
    assert project.connection_url("bank", project.secrets({"BANK_URL": "postgresql://u:p@h/d"})).endswith("u:p@h/d")
    with pytest.raises(UserError, match="no connection 'bnk'"):
        project.connection_url("bnk", project.secrets({}))
