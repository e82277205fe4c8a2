"""Which files belong to a base, as the file system tells."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrion.core import UserError

from ._readers import SUFFIXES
from ._settings import Base

MOST_FILES = 20_000


def files_of(base: Base) -> Mapping[str, str]:
    """Path within the base → what changes when the file does. Raises: UserError `knowledge-unreadable`, `knowledge-too-large`."""
    found: dict[str, str] = {}
    try:
        for name, entry in _walk(base.folder, "", deep=base.deep):
            status = entry.stat(follow_symlinks=False)
            found[name] = f"{status.st_size} {status.st_mtime_ns} {status.st_ino}"
            if len(found) > MOST_FILES:
                raise UserError(
                    "knowledge-too-large",
                    f"The folder {str(base.folder)!r} has more than {MOST_FILES:,} documents.",
                    hint="Divide it into several knowledge bases.",
                )
    except OSError as error:
        raise UserError(
            "knowledge-unreadable", f"The folder {str(error.filename)!r} cannot be read: {error.strerror}."
        ) from None
    return found


def _walk(folder: Path, prefix: str, *, deep: bool) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if deep:
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", deep=True)
            elif Path(entry.name).suffix.lower() in SUFFIXES:
                yield f"{prefix}{entry.name}", entry
