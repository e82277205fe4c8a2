"""`orchestrion doctor`: can this machine and this project work?"""

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrion import __version__
from orchestrion.app import Checked, check_store, open_journal, open_rooms
from orchestrion.core import OrchestrionError, SystemClock, UserError
from orchestrion.engine import foreign_semantics
from orchestrion.functions import Installed
from orchestrion.interpreter import SEMANTICS
from orchestrion.project import Project

from ._terminal import COMPLETED, FAULTED, execute, out, print_json

Health = Literal["ok", "warning", "broken"]
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "broken": "[red]✗[/]"}
LEAST_FREE_MB = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    what: str
    health: Health
    detail: str
    hint: str | None = None


def doctor(project: Path, *, as_json: bool) -> None:
    async def work() -> int:
        checks = [check async for check in _checks(project)]
        if as_json:
            print_json([{"what": c.what, "health": c.health, "detail": c.detail, "hint": c.hint} for c in checks])
        else:
            for check in checks:
                out.print(f"{MARKS[check.health]} {check.what:12}", end=" ")
                out.print(check.detail, markup=False)
                if check.hint:
                    out.print(f"               {check.hint}", markup=False)
        return FAULTED if any(check.health == "broken" for check in checks) else COMPLETED

    execute(work, as_json=as_json)


async def _checks(path: Path) -> AsyncGenerator[Check]:
    yield Check(
        what="machine",
        health="ok",
        detail=f"Orchestrion {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {sys.platform}",
    )
    try:
        project = Project.load(path)
        async with open_rooms(path) as rooms:
            (answer,) = await rooms.shared.expressions.evaluate(["1 + 1"], {".": None})
            yield Check(what="expressions", health="ok" if answer == 2 else "broken", detail="jq answers, confined")
            errors = [finding for finding in rooms.checked.findings if finding.severity == "error"]
            yield Check(
                what="project",
                health="broken" if errors else "ok",
                detail=str(errors[0]) if errors else _contents(project, rooms.checked),
                hint=f"orchestrion validate shows all {len(errors)}." if len(errors) > 1 else None,
            )
            for check in _packages(rooms.installed):
                yield check
    except OrchestrionError as error:
        yield Check(what="project", health="broken", detail=error.message, hint=error.hint)
        return
    async for check in _places(project):
        yield check


def _packages(installed: Installed) -> Iterator[Check]:
    """Functions of installed packages, whether the project names them or not. This imports the packages."""
    for finding in installed.findings():
        yield Check(what="function", health="warning", detail=f"{finding.file}: {finding.message}", hint=finding.hint)
    for offer in installed.offers:
        try:
            offer.load()
        except UserError as error:
            yield Check(what="function", health="warning", detail=error.message, hint=error.hint)
        else:
            yield Check(what="function", health="ok", detail=f"{offer.id} of {offer.package}")


def _contents(project: Project, checked: Checked) -> str:
    return (
        f"{project.name}: {len(checked.shelf.documents)} workflows, {len(checked.agents)} agents, {len(checked.teams)} teams, "
        f"{len(project.policies)} policy files, {len(project.settings.connections)} connections"
    )


async def _places(project: Project) -> AsyncGenerator[Check]:
    secrets = project.secrets()
    for name in project.settings.secrets:
        try:
            secrets.get(name)
            yield Check(what="secret", health="ok", detail=f"{name} is there")
        except UserError as error:
            yield Check(what="secret", health="warning", detail=error.message, hint=error.hint)
    for name, folder in project.settings.folders.items():
        yield _folder(name, project.root / folder.path)
    try:
        async with open_journal(project, mode="join", clock=SystemClock()) as journal:
            counts = await journal.count()
            foreign = await foreign_semantics(journal, SEMANTICS)
        runs = ", ".join(f"{count:,} {status.value}" for status, count in sorted(counts.items())) or "no runs yet"
        leader = check_store(project)
        yield Check(what="store", health="ok", detail=f"{runs}; led by {leader}" if leader else runs)
        if foreign is not None:
            yield Check(what="open runs", health="broken", detail=foreign.message, hint=foreign.hint)
    except UserError as error:
        fresh = error.code in {"store-missing", "store-folder-missing"}
        yield Check(
            what="store",
            health="ok" if fresh else "broken",
            detail="none yet; the first run makes it" if fresh else error.message,
            hint=None if fresh else error.hint,
        )
    free_mb = shutil.disk_usage(project.root).free // 1_000_000
    yield Check(what="disk", health="ok" if free_mb > LEAST_FREE_MB else "warning", detail=f"{free_mb:,} MB free")


def _folder(name: str, path: Path) -> Check:
    """Whether files can be taken out of a watched folder."""
    if not path.is_dir():
        detail, hint = f"{name}: there is no folder {str(path)!r}", "Make it, or mount it; it is waited for."
        return Check(what="folder", health="warning", detail=detail, hint=hint)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        detail, hint = f"{name}: files in {str(path)!r} cannot be moved", "Give this user the right to write there."
        return Check(what="folder", health="broken", detail=detail, hint=hint)
    return Check(what="folder", health="ok", detail=f"{name} is watched at {path}")
