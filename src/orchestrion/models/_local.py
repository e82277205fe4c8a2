"""Language models on this machine: a GGUF file of the project, served by llama.cpp in a process of its own (extra `local`).

The process begins with the first question and ends with this one. It listens on a port of loopback, and answers only who knows a key
that is made anew each time.
"""

import asyncio
import os
import secrets
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrion.core import TransientError, UserError, require_permit

PROVIDER = "local"
START_S = 300.0
"""Seconds within which a model must have been loaded: large ones are read from a disk first."""
EXTRA_MISSING, UNREADABLE = 3, 4
"""How the process says why it cannot serve."""
_LAST = 2_000
"""Bytes of what it said last that are looked at."""


class LocalModel:
    """One file. `allow` is told the port, so that the way out leads there."""

    def __init__(self, name: str, file: Path, allow: Callable[[int], None]) -> None:
        self.name = name
        self.key = secrets.token_urlsafe(24)
        self._file = file
        self._allow = allow
        self._port = _free_port()
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def start(self) -> None:
        """Have it serve; at once where it does. Raises: UserError `model-not-usable`; TransientError `model-not-started`."""
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return
            require_permit(f"Starting the model {self.name!r}")
            if not self._file.is_file():
                raise UserError(
                    "model-not-usable", f"The model {self.name!r} is the file {self._file.name!r}, which is not there."
                )
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "orchestrion.models._local_process",
                str(self._file),
                str(self._port),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "ORCHESTRION_LOCAL_KEY": self.key},
            )
            await self._until_ready(self._process)
            self._allow(self._port)

    async def _until_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                told = await process.stdout.readline()
        except BaseException as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise TransientError(
                    "model-not-started", f"The model {self.name!r} was not loaded within {START_S:g} seconds."
                ) from None
            raise
        if told.strip() == b"ready":
            return
        code = await process.wait()
        if code == EXTRA_MISSING:
            raise UserError(
                "model-not-usable",
                f"The model {self.name!r} is served by llama.cpp, which is not installed.",
                hint="pip install 'orchestrion[local]'",
            )
        if code == UNREADABLE:
            said = told.decode(errors="replace").strip()[:_LAST] or "llama.cpp does not say why"
            raise UserError("model-not-usable", f"{self._file.name!r} cannot be served as a model: {said}.")
        raise TransientError("model-not-started", f"The process of the model {self.name!r} ended with {code}.")

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
