"""Files of a project, one after the other."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from orchestrion.core import UserError
from orchestrion.project import Project
from orchestrion.spec import Finding

T = TypeVar("T")


def read_each(
    project: Project, files: Iterable[Path], read: Callable[[bytes, str], tuple[T | None, list[Finding]]]
) -> tuple[dict[str, T], list[Finding]]:
    """What is in each file, by the file's name, and what is wrong with them. `read` takes the text and how the file is called."""
    found: dict[str, T] = {}
    findings: list[Finding] = []
    seen: dict[str, str] = {}
    for path in files:
        file = project.relative(path)
        if path.stem in seen:
            message, hint = f"{seen[path.stem]} has the same name.", "Rename one of them."
            findings.append(
                Finding(file=file, line=1, column=1, severity="error", code="repeated-name", message=message, hint=hint)
            )
            continue
        seen[path.stem] = file
        one, wrong = read(file_bytes(path), file)
        findings += wrong
        if one is not None:
            found[path.stem] = one
    return found, findings


def file_bytes(file: Path) -> bytes:
    """Raises: UserError `unreadable-file`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError("unreadable-file", f"{str(file)!r} cannot be read: {error.strerror}.") from None
