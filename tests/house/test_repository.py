"""The repository as a stranger finds it: nothing of the machines it was made on, and documents that lead somewhere."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MACHINES = re.compile(
    r"(?<![\w.:/])/(?:work|home|root|Users)/\w"
    r"|(?:pypi\.org|files\.pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|proxy\.golang\.org)"
)
"""Paths into somebody's home, and hosts of package registries: locks are by name and hash alone."""


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and file != Path(__file__)]


def text_of(file: Path) -> str:
    return file.read_bytes().decode("utf-8", errors="ignore")


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {match[0]!r}" for file in tracked() for match in MACHINES.finditer(text_of(file))
    }

    assert not found


def test_locks_pin_every_package_by_hash() -> None:
    for lock in sorted(ROOT.glob("requirements*.lock")):
        packages = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE | re.IGNORECASE)[1:]
        assert packages
        for package in packages:
            assert re.match(r"[\w.\[\],-]+==[\w.!+]+( ; [^\\]+)? \\\n    --hash=sha256:", package), (
                package.splitlines()[0]
            )


def test_what_runs_is_pinned_alike_for_developing() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w.\[\],-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    assert pins("requirements-uv.lock") <= pins("requirements.lock")


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{file.relative_to(ROOT)}: {target}"
        for file in tracked()
        if file.suffix == ".md"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text_of(file))
        if not (file.parent / target).exists()
    ]

    assert not broken


def test_every_decision_stands_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()

    assert [file.name for file in sorted(folder.glob("0*.md")) if f"({file.name})" not in index] == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert targets
    assert targets[1].split() == re.findall(r"^  make ([\w-]+)", shown, re.MULTILINE)
