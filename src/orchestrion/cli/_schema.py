"""`orchestrion schema`: JSON Schemas of a project's files, for editors."""

from pathlib import Path

from orchestrion.app import SCHEMA_KINDS, schema_of
from orchestrion.core import UserError, dump

from ._terminal import COMPLETED, err, execute, print_json


def print_schema(kind: str | None, folder: Path | None, *, project: Path) -> None:
    async def work() -> int:
        if (kind is None) == (folder is None):
            raise UserError(
                "which-schema", "Say which schema.", hint=f"One of {', '.join(SCHEMA_KINDS)}; or all: --all FOLDER."
            )
        if kind is not None:
            print_json(await schema_of(kind, project))
        if folder is not None:
            await _write(folder, project)
        return COMPLETED

    execute(work, as_json=False)


async def _write(folder: Path, project: Path) -> None:
    written = {each: dump(await schema_of(each, project)) + "\n" for each in SCHEMA_KINDS}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, text in written.items():
            (folder / f"{each}.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError("cannot-write", f"{str(folder)!r} cannot be written: {error.strerror}.") from None
    err.print(f"[green]✓[/] {len(written)} schemas in {str(folder)!r}. The first line of a file names its own:")
    err.print(f"  # yaml-language-server: $schema=../{folder.as_posix()}/agent.json", markup=False)
