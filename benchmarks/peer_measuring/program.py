"""A program in a process of its own that takes commands and answers, line by line."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

START_S = 120
STOP_S = 20
PROGRAMS = Path(__file__).parents[1] / "peer_programs"


class Failed(Exception):
    """The program did not do what it was asked; the reason is a sentence for the table."""


class Program:
    """One running program. It ends when its standard input closes, and with it what it started."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self._process = process
        self._errors = errors
        self.ready: Mapping[str, Any] = {}

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(
        self, command: Mapping[str, Any], *, timeout_s: float, on_window: Callable[[str], None] | None = None
    ) -> Mapping[str, Any]:
        """Send a command and wait for its answer; `on_window` hears at once when the program's window opens and closes."""
        await self.tell(command)
        while True:
            answer = await self._line(timeout_s)
            if "window" not in answer:
                return answer
            if on_window is not None:
                on_window(answer["window"])

    async def tell(self, command: Mapping[str, Any]) -> None:
        """Send a command that is not answered."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            await self._process.stdin.drain()

    async def greeting(self) -> None:
        self.ready = (await self._line(START_S))["ready"]

    async def _line(self, timeout_s: float) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        except TimeoutError:
            raise Failed(f"no answer within {timeout_s:.0f} s") from None
        if not line:
            raise Failed(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._errors.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it ended without a word"

    async def stop(self) -> None:
        """Close its standard input and wait until it has ended by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), STOP_S)

    async def kill(self) -> None:
        """End it with all that it started, if anything is left."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def running(python: Path, program: str, where: Mapping[str, Any]) -> AsyncGenerator[Program]:
    """The program, ready to be asked. It is gone when the block ends, however it ends."""
    errors = Path(where["folder"]) / f"{where['name']}.log"
    with errors.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            python,
            PROGRAMS / program,
            json.dumps(where),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=2**26,
            start_new_session=True,
            env=_plain_environment(),
        )
    started = Program(process, errors)
    try:
        await started.greeting()
        yield started
        await started.stop()
    finally:
        await started.kill()


def _plain_environment() -> dict[str, str]:
    """Without what would make a library report home or trace."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LANGSMITH", "LANGCHAIN", "DBOS", "TEMPORAL", "RESTATE"))
    }
    return kept | {"PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1", "LANGSMITH_TRACING": "false"}
