"""Keeps the process of one MCP server: run as a program of its own, it ends the server with whoever started it.

    python -I -S _mcp_keeper.py PARENT MOST_BYTES NAMES COMMAND…

The server gets the environment variables of NAMES (a JSON list) and no others, this program's standard input as its own, and a
relay to its standard output that breaks off after MOST_BYTES. When it has ended, one line of JSON on standard error says how. The
keeper leads a process group: what is left of it is killed when the server ends, and when the process PARENT is gone.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import IO, NoReturn

LOOK_S = 0.05
"""How often it looks whether the parent is still there."""
TAIL = 500
"""Bytes of standard error that are kept."""


class _Relay(threading.Thread):
    """Passes the server's output on, up to a limit."""

    def __init__(self, output: IO[bytes], most_bytes: int) -> None:
        super().__init__(daemon=True)
        self._output = output
        self._left = most_bytes
        self.broken_off = threading.Event()

    def run(self) -> None:
        while piece := os.read(self._output.fileno(), 65536):
            self._left -= len(piece)
            if self._left < 0:
                self.broken_off.set()
                return
            while piece:
                piece = piece[os.write(1, piece) :]


class _Tail(threading.Thread):
    """The last of what the server said on standard error."""

    def __init__(self, errors: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._errors = errors
        self.text = b""

    def run(self) -> None:
        while piece := os.read(self._errors.fileno(), 65536):
            self.text = (self.text + piece)[-TAIL:]


def main() -> NoReturn:
    parent, most_bytes, names = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    signal.signal(signal.SIGTERM, _stay)
    try:
        server = subprocess.Popen(  # noqa: S603 the operator's settings allow exactly this command
            sys.argv[4:],
            env={name: os.environ[name] for name in names},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        _end("not-started", error.strerror or type(error).__name__)
    assert server.stdout is not None  # both are pipes
    assert server.stderr is not None
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    relay, tail = _Relay(server.stdout, most_bytes), _Tail(server.stderr)
    relay.start()
    tail.start()
    while server.poll() is None:
        if os.getppid() != parent:
            _kill_all()
        if relay.broken_off.wait(LOOK_S):
            _end("too-big", "")
    for thread in (relay, tail):
        thread.join(1)  # a process that the server left behind may hold a pipe open
    _end("ended", tail.text.decode(errors="replace"))


def _stay(_number: int, _frame: FrameType | None) -> None:
    """The signal is for the server: the keeper stays until it has obeyed."""


def _end(how: str, said: str) -> NoReturn:
    os.write(2, (json.dumps({"how": how, "said": said}) + "\n").encode())
    _kill_all()


def _kill_all() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
