"""Moving files out of a watched folder, so that dying in between leaves something that the next look can finish."""

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path

REASON = ".reason.txt"
_PART = ".part"
_EVENT = "event: "


def put_away(path: Path, folder: Path, digest: str) -> Path:
    """Move a file into a folder; where it is then. One of the same name and other content is not replaced.

    Raises: OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = _target(path, folder, digest)
    _move(path, target)
    return target


def set_aside(path: Path, folder: Path, digest: str, reason: str, event_id: str) -> Path:
    """Move a file into a folder with the reason beside it.

    The reason is there before the file, under a hidden name; `finish_reasons` shows it if nobody else came to that.
    Raises: OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = _target(path, folder, digest)
    hidden = _hidden(target)
    hidden.write_text(reason + (f"{_EVENT}{event_id}\n" if event_id else ""), encoding="utf-8", errors="replace")
    _move(path, target)
    hidden.replace(_reason(target))
    return target


def finish_reasons(folder: Path) -> None:
    """Show the reasons whose files were moved before a process died; drop those whose files were not."""
    with contextlib.suppress(FileNotFoundError):
        for hidden in [Path(each.path) for each in os.scandir(folder) if each.name.endswith(REASON + _PART)]:
            target = folder / hidden.name[1 : -len(REASON + _PART)]
            if target.exists():
                hidden.replace(_reason(target))
            else:
                hidden.unlink()


def reason_event(folder: Path, name: str) -> str | None:
    """The event for which a file of this name was set aside, if it has been put back since."""
    with contextlib.suppress(OSError):
        if not (folder / name).exists():
            last = _reason(folder / name).read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            return last[0].removeprefix(_EVENT) if last and last[0].startswith(_EVENT) else None
    return None


def forget_reason(folder: Path, name: str) -> None:
    """The file was put back and is done now."""
    if not (folder / name).exists():
        _reason(folder / name).unlink(missing_ok=True)


def _reason(target: Path) -> Path:
    return target.with_name(target.name + REASON)


def _hidden(target: Path) -> Path:
    return target.with_name(f".{target.name}{REASON}{_PART}")


def _target(path: Path, folder: Path, digest: str) -> Path:
    """A name in the folder that is free, or held by the same content: a move that was begun before."""
    target = folder / path.name
    if not target.exists() or (digest and _digest(target) == digest):
        return target
    return target.with_name(f"{path.stem}-{digest[:12] or path.lstat().st_mtime_ns}{path.suffix}")


def _move(path: Path, target: Path) -> None:
    """Rename, or copy to another file system in a way that never shows half a file."""
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}{_PART}")
        shutil.copy2(path, part)
        part.replace(target)
        path.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
