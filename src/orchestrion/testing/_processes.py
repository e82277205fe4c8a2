"""Real processes that begin at once: forked from one that has imported everything, and killed like any other."""

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrion.cli import main

PRELOADED = ("orchestrion.testing", "orchestrion.models._predictor")
"""What takes long to import: the platform, and scikit-learn."""


class Process:
    """A process that calls a function of an importable module; what it prints goes into files."""

    def __init__(self, function: Callable[..., None], *arguments: object, cwd: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="orchestrion-process-"))
        forking = multiprocessing.get_context("forkserver")
        forking.set_forkserver_preload(list(PRELOADED))
        place = str(cwd or Path.cwd())
        for name in ("out", "err"):
            (self._folder / name).touch()
        begun = (str(self._folder), place, function, arguments)
        self._process = forking.Process(target=_begin, args=begun, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, or the negative number of the signal that ended it; None while it lives."""
        return self._process.exitcode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = 60) -> int:
        """The exit code. Raises: TimeoutError, and the process is killed."""
        self._process.join(timeout_s)
        code = self.poll()
        if code is None:
            self.kill()
            raise TimeoutError(f"Process {self.pid} did not end within {timeout_s:g} s.")
        return code

    def lines(self) -> Iterator[str]:
        """What it says on standard error, each line as it comes, until it has ended."""
        with (self._folder / "err").open(encoding="utf-8", errors="replace") as said:
            line = ""
            while True:
                ended = self.poll() is not None
                line += said.readline()
                if line.endswith("\n") or (ended and line):
                    yield line
                    line = ""
                elif ended:
                    return
                else:
                    self._process.join(0.01)

    def communicate(self, timeout_s: float = 60) -> tuple[str, str]:
        """What it printed, once it has ended. Raises: TimeoutError."""
        self.wait(timeout_s)
        out, err = ((self._folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
        shutil.rmtree(self._folder)
        return out, err


def start_command(*arguments: str, cwd: Path | None = None) -> Process:
    """`orchestrion ARGUMENTS` as a process of its own, in a folder."""
    return Process(_command, *arguments, cwd=cwd)


def _command(*arguments: str) -> None:
    sys.argv = ["orchestrion", *arguments]
    main()


def _begin(folder: str, place: str, function: Callable[..., None], arguments: tuple[object, ...]) -> None:
    for number, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, f"{folder}/out", os.O_WRONLY | os.O_APPEND),
        (2, f"{folder}/err", os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(place)
    function(*arguments)
