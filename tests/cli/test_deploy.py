"""What `deploy/` says is understood: by systemd, and by the command that it starts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrion.core import parse
from orchestrion.testing import run_command

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not there to ask")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "orchestrion.service").read_text()
    unit = tmp_path / "orchestrion.service"
    unit.write_text(text.replace("/opt/orchestrion/bin/orchestrion", sys.executable))
    said = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_what_is_started_is_a_command(tmp_path: Path) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    (tmp_path / "orchestrion.yaml").touch()
    found = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert found is not None
    given = parse(found[1])
    assert isinstance(given, list)
    result = run_command(*map(str, given), "--project", str(tmp_path))
    assert (result.code, "not-loopback" in result.said) == (2, True)  # it wants to know its name: nothing else is wrong
    assert "ExecStart=/opt/orchestrion/bin/orchestrion serve --project" in (DEPLOY / "orchestrion.service").read_text()


def test_the_image_has_what_the_build_needs() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    assert {re.sub(r"^requirements.*\.lock$", "requirements*.lock", name) for name in copied} == allowed
    assert all((DEPLOY.parent / name).exists() for name in copied)
