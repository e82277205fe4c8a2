"""`orchestrion store`: the database that keeps the runs."""

from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from orchestrion.app import back_up_store, copy_store, migrate_store, restore_store
from orchestrion.project import Project

from ._terminal import err, execute, print_json


def migrate(project: Path, *, as_json: bool) -> None:
    async def work() -> int:
        migrated = migrate_store(Project.load(project))
        backup = migrated.backup if migrated else None
        if as_json:
            print_json({"backup": str(backup) if backup else None})
        elif migrated is None:
            err.print("Nothing to do: it is up to date.")
        else:
            err.print(f"Migrated; the database as it was: {backup}" if backup else "Migrated.")
        return 0

    execute(work, as_json=as_json)


def copy(to: str, blobs: str | None, project: Path, *, as_json: bool) -> None:
    async def work() -> int:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=err, disable=as_json) as progress:
            tasks: dict[str, TaskID] = {}

            def tell(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = progress.add_task(what, total=total)
                progress.update(tasks[what], completed=done)

            copied = copy_store(Project.load(project), to, blobs, tell)
        if as_json:
            print_json({"rows": dict(copied.rows), "blobs": copied.blobs})
        else:
            err.print(
                f"{sum(copied.rows.values()):,} rows and {copied.blobs:,} large values arrived as they were sent. "
                "Name the new place as `store` in orchestrion.yaml; runs in progress go on there."
            )
        return 0

    execute(work, as_json=as_json)


def back_up(file: Path, project: Path, *, as_json: bool) -> None:
    async def work() -> int:
        done = back_up_store(Project.load(project), file)
        if as_json:
            print_json({"file": str(done.file), "runs": done.runs, "blobs": done.blobs, "bytes": done.size})
        else:
            err.print(
                f"{done.file}: {done.runs:,} runs and {done.blobs:,} large values, {done.size:,} bytes.",
                markup=False,
                soft_wrap=True,
            )
        return 0

    execute(work, as_json=as_json)


def restore(file: Path, project: Path, *, force: bool, as_json: bool) -> None:
    async def work() -> int:
        done = restore_store(Project.load(project), file, force=force)
        if as_json:
            aside = str(done.aside) if done.aside else None
            print_json({"runs": done.runs, "blobs": done.blobs, "before": aside})
        else:
            err.print(
                f"{done.runs:,} runs and {done.blobs:,} large values are there; those in progress go on at the next start."
            )
            if done.aside is not None:
                err.print(f"What was there before is a backup now: {done.aside}", markup=False, soft_wrap=True)
        return 0

    execute(work, as_json=as_json)
