"""MCP servers as processes: started for one conversation, with no environment but what is declared, and ended with it."""

import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO, cast

from mcp.client._transport import TransportStreams
from mcp.client.stdio import StdioServerParameters, stdio_client

from orchestrion.core import require_permit

KEEPER = Path(__file__).with_name("_mcp_keeper.py")
"""It stands between: the library would hand down part of this process's environment, and the server could outlive this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """An MCP server to start."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path | None


@dataclass(slots=True)
class Ending:
    """How the process ended, as far as is known: `not-started`, `too-big`, `ended`; empty while it has not, or was told to."""

    how: str = ""
    said: str = ""


@asynccontextmanager
async def started(process: Process, ending: Ending, *, most_bytes: int) -> AsyncGenerator[TransportStreams]:
    """A transport to the server, which has ended when this is left. `most_bytes` is all that it may say."""
    require_permit(f"Starting the MCP server {process.name!r}")
    names = json.dumps(list(process.environment))
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-I", "-S", str(KEEPER), str(os.getpid()), str(most_bytes), names, *process.command],
        env=dict(process.environment),
        cwd=process.folder,
    )
    with tempfile.TemporaryFile("w+", encoding="utf-8") as report:
        try:
            async with stdio_client(parameters, errlog=cast("TextIO", report)) as streams:
                yield streams
        finally:
            report.seek(0)
            told = report.read().strip()
            if told.startswith("{"):
                found = cast("Mapping[str, str]", json.loads(told))
                ending.how, ending.said = found["how"], found["said"]
