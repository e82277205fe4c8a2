"""`orchestrion dev` in an empty folder, at a terminal and without one."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrion.testing import run_command, start_command

LINK = re.compile(r"(http://\S+)/sign-in\?code=")


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that is in use: what ought to be refused before is refused then at the latest, and does not serve for ever."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield str(held.getsockname()[1])


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(terminal: int, wanted: str) -> str:
    """What a terminal shows until it shows this. A process that ends without fails the test."""
    shown = ""
    while wanted not in shown:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other end is closed
            piece = b""
        assert piece, f"it ended without {wanted!r}: {shown}"
        shown += piece.decode(errors="replace")
    return shown


@pytest.mark.parametrize(("answer", "file"), [("3", "workflows/hello.yaml"), ("customer-service", "data/bank.db")])
def test_an_empty_folder_is_asked_about_and_served(tmp_path: Path, answer: str, file: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrion", "dev", "--port", "0"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 it calls nothing that a thread could hold
    )
    os.close(theirs)
    try:
        read_until(ours, "Which")
        os.write(ours, f"{answer}\n".encode())
        read_until(ours, "/sign-in?code=")
        assert (tmp_path / file).is_file()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_without_a_terminal_it_says_what_to_name(tmp_path: Path, taken: str) -> None:
    result = run_command("dev", "--port", taken, "--project", str(tmp_path))
    assert result.code == 2
    assert "nothing-here" in result.said
    assert "customer-service|fraud-response|blank" in result.said.replace("\n", "")
    assert not any(tmp_path.iterdir())
    for name in ("nobody", "../blank"):
        result = run_command("dev", "--port", taken, "--example", name, "--project", str(tmp_path))
        assert (result.code, "unknown-example" in result.said) == (2, True)
        assert not any(tmp_path.iterdir())


def test_an_example_is_named_and_never_put_over_something(tmp_path: Path, taken: str) -> None:
    process = start_command("dev", "--port", "0", "--example", "blank", "--project", str(tmp_path))
    url = next(found[1] for line in process.lines() if (found := LINK.search(line)) is not None)
    assert httpx.get(f"{url}/health").status_code == 200
    process.send_signal(signal.SIGINT)
    process.communicate()
    result = run_command("dev", "--port", taken, "--example", "blank", "--project", str(tmp_path))
    assert (result.code, "folder-not-empty" in result.said) == (2, True)
