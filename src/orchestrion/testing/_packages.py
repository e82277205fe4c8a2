"""Installed packages, for tests of functions that come from entry points."""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent


class Packages:
    """Packages in a folder that Python looks into, as an installer leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str, entry_points: str, group: str = "orchestrion.functions") -> None:
        """A package of version 1.2 that is one module. `entry_points` are lines of the `group`."""
        info = self.folder / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[{group}]\n{dedent(entry_points)}", encoding="utf-8")
        (self.folder / f"{name}.py").write_text(dedent(code), encoding="utf-8")
        importlib.invalidate_caches()


@contextmanager
def packages_in(folder: Path) -> Generator[Packages]:
    """Packages that this process can import until this is left."""
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    try:
        yield Packages(folder)
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").parent == folder:
                del sys.modules[name]
        importlib.invalidate_caches()
