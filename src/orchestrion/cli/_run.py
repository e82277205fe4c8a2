"""`orchestrion run`: one run, or one for each row of a file."""

from pathlib import Path

from orchestrion.app import App, open_app
from orchestrion.core import UserError
from orchestrion.project import Project
from orchestrion.spec import Document

from ._each import Batch
from ._follow import following
from ._telling import brief, tell
from ._terminal import execute, exit_code, print_json, read_value, user_name


def run(
    workflow: str,
    value: str | None,
    *,
    key: str | None,
    express: bool,
    follow: bool,
    project: Path,
    user: str | None,
    as_json: bool,
) -> None:
    async def work() -> int:
        given = read_value(value, "The input")
        where, files = place(workflow, project)
        async with open_app(where, mode="express" if express else "own", workflows=files) as app:
            document = document_of(app, workflow)
            async with following(app, wanted=follow):
                started = await app.start(document, given if value else {}, start_key=key, subject=user_name(user))
                ended = await app.engine.settle(started.id, events=True)
            if as_json:
                print_json(brief(ended))
            else:
                await tell(app.journal, ended)
            return exit_code(ended)

    execute(work, as_json=as_json)


def run_each(
    workflow: str, file: Path, mapping: list[str], *, again: bool, project: Path, user: str | None, as_json: bool
) -> None:
    async def work() -> int:
        overrides = read_mapping(mapping)
        where, files = place(workflow, project)
        async with open_app(where, workflows=files) as app:
            document = document_of(app, workflow)
            batch = await Batch.open(app, document, file, overrides, again=again, subject=user_name(user))
            return await batch.run(as_json=as_json)

    execute(work, as_json=as_json)


def place(workflow: str, project: Path) -> tuple[Path, list[Path] | None]:
    """Where the project is, and its workflow files when a file was named that is not among them."""
    file = Path(workflow)
    if not (file.suffix in {".yaml", ".yml", ".json"} or file.is_file()):
        return project, None
    if not file.is_file():
        raise UserError("no-such-path", f"There is no file {workflow!r}.", hint="Check the path, or name a workflow.")
    known = Project.load(file).workflows
    return file, None if file.absolute() in known else [*known, file.absolute()]


def document_of(app: App, workflow: str) -> Document:
    file = Path(workflow)
    if file.is_file():
        name = app.project.relative(file.absolute())
        for digest, (known, _) in app.checked.shelf.sources.items():
            if known == name:
                return next(d for d in app.checked.shelf.documents if d.digest == digest)
    return app.checked.shelf.named(workflow)


def read_mapping(mapping: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in mapping:
        field, separator, column = each.partition("=")
        if not separator or not field or not column:
            raise UserError("bad-mapping", f"--map takes FIELD=COLUMN, not {each!r}.", hint="--map message=text")
        found[field] = column
    return found
