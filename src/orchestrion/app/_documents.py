"""The project's files for editors: read, changed, checked together with all the others, and written whole or not at all."""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestrion.core import UserError
from orchestrion.project import KINDS, SETTINGS_FILE, BadProject, Project
from orchestrion.registry import Bundle
from orchestrion.spec import Edit, Finding, edit, parse_yaml

from ._app import App
from ._capture import capture
from ._evaluate import read_evaluations
from ._rooms import open_rooms

LARGEST = 1024 * 1024
"""Bytes of one file."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """One file of a project."""

    path: str
    """From the project's folder, with slashes."""
    kind: str
    """Its folder, such as `workflows`; `settings` for `orchestrion.yaml`."""
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of its text, in hex: who changes it says what they changed."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """A file as it is after a change, or would be."""

    file: ProjectFile | None
    """None when it was removed."""
    findings: Sequence[Finding]
    """Of the whole project with the change: errors first, and what is about this file before the rest."""


class Documents:
    """The files of an open project. What is written is a version for new runs once it is released."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._root = app.project.root
        self._writing = asyncio.Lock()

    def listed(self) -> list[ProjectFile]:
        """Every file, kind by kind. Raises: BadProject."""
        project = Project.load(self._root)
        paths = [self._root / SETTINGS_FILE] if (self._root / SETTINGS_FILE).is_file() else []
        paths += [each for kind in KINDS for each in getattr(project, kind)]
        return [self.read(project.relative(each)) for each in paths if not self._strays(each)]

    def read(self, path: str) -> ProjectFile:
        """Raises: UserError `unknown-document`, `unreadable-document`."""
        kind = "settings" if path == SETTINGS_FILE else _kind_of(path)
        file = self._root / path
        if self._strays(file) or not file.is_file():
            raise UserError("unknown-document", f"There is no file {path[:200]!r} in the project.")
        try:
            return ProjectFile(path=path, kind=kind, text=file.read_bytes().decode())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError("unreadable-document", f"{path!r} cannot be read as text: {error}.") from None

    async def check(self, path: str) -> Sequence[Finding]:
        """What there is to say about the project as it is: errors first, and what is about this file before the rest."""
        return _in_order(await _findings(self._root), path)

    async def write(self, path: str, text: str, *, expected: str | None, dry: bool = False) -> DocumentChange:
        """Give a file this text; `expected` is the digest of what it replaces, None where there is no such file yet.

        Raises: BadProject when that would break something; UserError `document-changed`, `not-editable`, `document-too-large`.
        """
        if len(text.encode()) > LARGEST:
            raise UserError("document-too-large", f"{path!r} would be larger than {LARGEST:,} bytes.")
        return await self._changed(path, lambda _: text, expected, dry=dry)

    async def edit(self, path: str, edits: Sequence[Edit], *, expected: str, dry: bool = False) -> DocumentChange:
        """Change parts of a YAML file and leave the rest of its text, comments included, as it is.

        Raises: what `write` raises; UserError `no-such-place`, `task-exists`, `cannot-edit`.
        """

        def edited(now: ProjectFile | None) -> str:
            source, findings = parse_yaml(now.text if now else "", file=path)
            if source is None:
                raise BadProject(findings)
            return edit(source, edits)

        return await self._changed(path, edited, expected, dry=dry)

    async def remove(self, path: str, *, expected: str, dry: bool = False) -> DocumentChange:
        """Raises: what `write` raises."""
        return await self._changed(path, lambda _: None, expected, dry=dry)

    async def _changed(
        self, path: str, change: Callable[[ProjectFile | None], str | None], expected: str | None, *, dry: bool
    ) -> DocumentChange:
        kind = _kind_of(path)
        async with self._writing:
            now = self.read(path) if (self._root / path).exists() else None
            if (now.digest if now else None) != expected:
                raise UserError(
                    "document-changed",
                    f"{path!r} is not what was changed: somebody else {'has changed it' if now else 'removed it'}."
                    if expected is not None
                    else f"There is a file {path!r} already.",
                    hint="Read it again and make the change anew.",
                )
            text = change(now)
            with _overlay(self._root, path, text) as folder:
                findings = await _findings(folder)
            broken = {str(each) for each in findings if each.severity == "error"}
            if broken and not dry and (new := broken - {str(each) for each in await _findings(self._root)}):
                raise BadProject([each for each in findings if str(each) in new])
            if not dry:
                self._put(self._root / path, text)
            after = ProjectFile(path=path, kind=kind, text=text) if text is not None else None
            return DocumentChange(file=after, findings=_in_order(findings, path))

    def _put(self, file: Path, text: str | None) -> None:
        """Whole or not at all. Raises: UserError `unwritable-document`."""
        try:
            if text is None:
                file.unlink()
                return
            file.parent.mkdir(exist_ok=True)
            scratch = file.with_name(f".{file.name}.new")
            with scratch.open("w", encoding="utf-8", newline="") as opened:
                opened.write(text)
                opened.flush()
                os.fsync(opened.fileno())
            scratch.replace(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                file.with_name(f".{file.name}.new").unlink(missing_ok=True)
            raise UserError("unwritable-document", f"{file.name!r} cannot be written: {error.strerror}.") from None

    def _strays(self, file: Path) -> bool:
        """Whether a link leads out of the project's folder."""
        return not file.resolve().is_relative_to(self._root.resolve())


def _kind_of(path: str) -> str:
    """The folder of a file that may be changed. Raises: UserError `not-editable`."""
    kind, _, name = path.partition("/")
    if kind not in KINDS or not _NAME.fullmatch(name) or Path(name).suffix not in KINDS[kind]:
        raise UserError(
            "not-editable",
            f"{path[:200]!r} is no file that is edited here.",
            hint=f"Those are the files directly in: {', '.join(KINDS)}.",
        )
    return kind


@contextmanager
def _overlay(root: Path, path: str, text: str | None) -> Generator[Path]:
    """The project with one file changed: links to everything else."""
    kind, _, name = path.partition("/")
    with tempfile.TemporaryDirectory(prefix="orchestrion-edit-") as made:
        folder = Path(made)
        for each in root.iterdir():
            if each.name != kind:
                (folder / each.name).symlink_to(each)
        (folder / kind).mkdir()
        for each in (root / kind).iterdir() if (root / kind).is_dir() else ():
            if each.name != name:
                (folder / kind / each.name).symlink_to(each)
        if text is not None:
            (folder / kind / name).write_text(text, encoding="utf-8", newline="")
        yield folder


async def _findings(folder: Path) -> Sequence[Finding]:
    try:
        async with open_rooms(folder) as rooms:
            return [*rooms.checked.findings, *read_evaluations(rooms.project, rooms.checked)[1]]
    except BadProject as error:
        return error.findings


def _in_order(findings: Sequence[Finding], path: str) -> Sequence[Finding]:
    return sorted(findings, key=lambda each: (each.severity != "error", each.file != path))


async def keep_working(app: App, workflow: str, by: str) -> Bundle:
    """A version of a workflow as the project's files are at this moment, kept. Raises: BadProject; UserError `unknown-workflow`."""
    async with open_rooms(app.project.root, clock=app.clock) as rooms:
        rooms.checked.require_sound()
        captured = await asyncio.to_thread(capture, rooms.project, rooms.checked, rooms.catalog)
        found = captured[rooms.checked.shelf.named(workflow).digest]
        await app.versions.keep(found, by)
    return found.bundle
