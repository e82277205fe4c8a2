"""Secrets by reference: errors name the secret and its place, never a value."""

from pathlib import Path

import pytest

from orchestrion.core import UserError
from orchestrion.project import ProjectSecrets, Secret


def secrets(root: Path, environ: dict[str, str] | None = None, **references: Secret) -> ProjectSecrets:
    return ProjectSecrets(references, root=root, environ=environ or {})


def test_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret \n")
    (tmp_path / "login.json").write_text('{"user": "u", "password": "p"}')
    found = secrets(
        tmp_path, {"A": "value"}, ENV=Secret(env="A"), FILE=Secret(file="key"), LOGIN=Secret(file="login.json")
    )
    assert found.get("ENV") == "value"
    assert found.get("FILE") == "s3cret "
    assert found.get("LOGIN") == {"user": "u", "password": "p"}


def test_this_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRION_TEST_SECRET", "x")
    found = ProjectSecrets({"A": Secret(env="ORCHESTRION_TEST_SECRET")}, root=tmp_path)
    assert found.get("A") == "x"


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("NOPE", "unknown-secret", "has: BINARY, EMPTY, FILE, JSON, UNSET"),
        ("UNSET", "secret-unset", "variable 'B' is not set"),
        ("EMPTY", "secret-unset", "variable 'A' is not set"),
        ("FILE", "secret-unreadable", "file 'missing': No such file"),
        ("BINARY", "secret-unreadable", "it is not UTF-8"),
        ("JSON", "secret-unreadable", "is not JSON"),
    ],
)
def test_what_is_missing_is_named_without_values(tmp_path: Path, name: str, code: str, words: str) -> None:
    (tmp_path / "binary").write_bytes(b"hunter2\xff")
    (tmp_path / "x.json").write_text("hunter2")
    found = secrets(
        tmp_path,
        {"A": ""},
        UNSET=Secret(env="B"),
        EMPTY=Secret(env="A"),
        FILE=Secret(file="missing"),
        BINARY=Secret(file="binary"),
        JSON=Secret(file="x.json"),
    )
    with pytest.raises(UserError) as caught:
        found.get(name)
    assert caught.value.code == code
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
