"""`orchestrion run`: one run, or one for each row of a file."""

from contextlib import suppress
from pathlib import Path

from orchestrion.app import App, Chosen, open_app, resolve
from orchestrion.core import UserError
from orchestrion.project import Project
from orchestrion.registry import bundle_of, short
from orchestrion.spec import Document

from ._each import Batch
from ._follow import following
from ._telling import brief, tell
from ._terminal import err, execute, exit_code, print_json, read_value, user_name


def run(
    workflow: str,
    value: str | None,
    *,
    key: str | None,
    version: str | None,
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
            chosen = await chosen_by(app, workflow, version, user_name(user))
            async with following(app, wanted=follow):
                started = await app.start(chosen, given if value else {}, start_key=key, subject=user_name(user))
                ended = await app.engine.settle(started.id, events=True)
            if as_json:
                print_json(brief(ended))
            else:
                await tell(app.journal, ended)
            return exit_code(ended)

    execute(work, as_json=as_json)


def run_each(
    workflow: str,
    file: Path,
    mapping: list[str],
    version: str | None,
    *,
    again: bool,
    project: Path,
    user: str | None,
    as_json: bool,
) -> None:
    async def work() -> int:
        overrides = read_mapping(mapping)
        where, files = place(workflow, project)
        async with open_app(where, workflows=files) as app:
            chosen = await chosen_by(app, workflow, version, user_name(user))
            batch = await Batch.open(app, chosen, file, overrides, again=again, subject=user_name(user))
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


async def chosen_by(app: App, workflow: str, version: str | None, by: str) -> Chosen:
    """The version to run: as told; of a file, the file as it is; of a name, the one in production, if there is one."""
    if version is not None and not Path(workflow).is_file():
        bundle = await resolve(app, version, workflow)
        return await app.versions.version(bundle)
    if Path(workflow).is_file() or app.versions.registry is None:
        return await app.versions.working(document_of(app, workflow), by)
    chosen = await app.versions.choose(workflow, by)
    with suppress(UserError):  # the workflow may be in production and no longer among the files
        working = document_of(app, workflow)
        if app.versions.bundle(working).digest != bundle_of(chosen.versions):
            err.print(
                f"[dim]Running {short(bundle_of(chosen.versions) or '')}, which is in production; the files differ. "
                "`--version working` runs them, `orchestrion deploy` makes them the ones that run.[/]"
            )
    return chosen


def read_mapping(mapping: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in mapping:
        field, separator, column = each.partition("=")
        if not separator or not field or not column:
            raise UserError("bad-mapping", f"--map takes FIELD=COLUMN, not {each!r}.", hint="--map message=text")
        found[field] = column
    return found
