"""Where a project's files come from, as far as Git knows."""

import shutil
import subprocess
from pathlib import Path

PATIENCE_S = 5.0


def origin_of(folder: Path) -> str | None:
    """`git:COMMIT`, with `+changes` where files differ from it; None without Git."""
    git = shutil.which("git")
    if git is None:
        return None
    commit = _said(git, folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changed = _said(git, folder, "status", "--porcelain", "--", ".")
    return f"git:{commit}{'+changes' if changed else ''}"


def _said(git: str, folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 nothing of these words comes from anybody
            [git, *words], cwd=folder, capture_output=True, timeout=PATIENCE_S, check=True, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
