"""`orchestrion runs`: list, show, cancel, retry, rerun."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table

from orchestrion.app import open_journal, waiting_for_models
from orchestrion.core import Entry, Journal, Json, Request, Run, RunFilter, RunStatus, SystemClock, UserError, iso
from orchestrion.project import Project
from orchestrion.spec import Document, read

from ._html import page
from ._page import write_page
from ._said import feedback_of, in_words
from ._story import story
from ._team_step import engagements
from ._terminal import SYMBOLS, err, execute, one_of, out, print_json, user_name
from ._tree import tree


async def journal_of(stack: AsyncExitStack, project: Path) -> Journal | None:
    """The project's journal to look at; None where nothing has run yet."""
    try:
        return await stack.enter_async_context(open_journal(Project.load(project), mode="join", clock=SystemClock()))
    except UserError as error:
        if error.code in {"store-missing", "store-folder-missing"}:
            return None
        raise


async def required(journal: Journal | None, fragment: str) -> tuple[Journal, Run]:
    """The run of an id or a part of it. Raises: UserError `unknown-run`, `ambiguous-run`."""
    found = await journal.find(fragment) if journal else ()
    run_id = one_of(found, fragment, "run")
    run = await journal.run(run_id) if journal else None
    if journal is None or run is None:
        raise UserError("unknown-run", f"There is no run {fragment!r}.")
    return journal, run


def list_runs(
    status: Sequence[str], workflow: str | None, batch: str | None, limit: int, *, project: Path, as_json: bool
) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            which = RunFilter(status=[_status(name) for name in status], workflow=workflow, batch=batch, limit=limit)
            runs = await journal.runs(which) if journal else ()
            if as_json:
                print_json([run_json(run) for run in runs])
            elif runs:
                out.print(_table(runs))
            else:
                err.print("No runs yet. Start one: orchestrion run WORKFLOW --input '{…}'")
        return 0

    execute(work, as_json=as_json)


def _status(name: str) -> RunStatus:
    try:
        return RunStatus(name)
    except ValueError:
        known = ", ".join(RunStatus)
        raise UserError("unknown-status", f"There is no status {name!r}.", hint=f"Known: {known}.") from None


def _table(runs: Sequence[Run]) -> Table:
    """Ids whole, so that they can be copied; the rest makes room."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, min_width=36)
    table.add_column("workflow", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("began", overflow="fold")
    for run in runs:
        name = run.workflow + (f" row {run.row}" if run.row is not None else "")
        table.add_row(run.id, name, SYMBOLS[run.status], iso(run.created_at)[:19].replace("T", " "))
    return table


def run_json(run: Run) -> dict[str, Json]:
    """A run as scripts see it in lists."""
    return {
        "id": run.id,
        "workflow": f"{run.namespace}/{run.workflow}",
        "version": run.version,
        "status": run.status,
        "created_at": iso(run.created_at),
        "ended_at": iso(run.ended_at) if run.ended_at else None,
        "batch": run.batch,
        "row": run.row,
        "output": run.output,
        "problem": run.problem,
        "subject": run.subject,
        "cost": run.cost,
    }


def show_run(fragment: str, *, html: bool, output: Path | None, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            journal, run = await required(await journal_of(stack, project), fragment)
            entries = await journal.entries(run.id)
            requests = await journal.requests(run_id=run.id)
            document = read(await journal.document(run.digest)).document
            said = await feedback_of(journal, run.id)
            in_line = [each for each in await waiting_for_models(Project.load(project)) if each.run_id == run.id]
            if as_json:
                print_json(
                    {
                        **_whole(run, entries, requests),
                        "agents": engagements(story(run, entries, requests, document).steps),
                        "waiting_for_models": [each.model for each in in_line],
                        "feedback": [{**each.to_json(), "at": iso(each.at)} for each in said],
                    }
                )
            elif html or output is not None:
                print(_write_page(run, entries, requests, document, output, project))
            else:
                out.print(tree(story(run, entries, requests, document)))
                for each in said:
                    out.print(in_words(each), markup=False)
                for each in in_line:
                    since = iso(each.asked_at)[11:19]
                    out.print(f"… waits since {since} UTC for a free slot of the model {each.model}", markup=False)
        return 0

    execute(work, as_json=as_json)


def _whole(run: Run, entries: Sequence[Entry], requests: Sequence[Request]) -> dict[str, Json]:
    return {
        **run_json(run),
        "input": run.input,
        "versions": run.versions,
        "entries": [_entry_json(entry) for entry in entries],
        "requests": [request.to_json() for request in requests],
    }


def _entry_json(entry: Entry) -> dict[str, Json]:
    return {
        "key": entry.key,
        "kind": entry.kind,
        "status": entry.status,
        "task": entry.task,
        "function": entry.function,
        "input": entry.input,
        "output": entry.output,
        "problem": entry.problem,
        "labels": entry.labels,
        "decision": entry.decision,
        "why": entry.why,
        "cost": entry.cost,
        "model": entry.model,
        "subject": entry.subject,
        "started_at": iso(entry.started_at) if entry.started_at else None,
        "ended_at": iso(entry.ended_at) if entry.ended_at else None,
    }


def _write_page(
    run: Run,
    entries: Sequence[Entry],
    requests: Sequence[Request],
    document: Document | None,
    output: Path | None,
    project: Path,
) -> Path:
    folder = Project.load(project).root / ".orchestrion" / "pages"
    path = output or folder / f"{run.workflow}-{run.id}.html"
    write_page(path, page(story(run, entries, requests, document), run, entries))
    return path


def cancel_run(fragment: str, user: str | None, *, project: Path, as_json: bool) -> None:
    from orchestrion.app import App

    from ._change import change

    async def work() -> int:
        async with AsyncExitStack() as stack:
            _, run = await required(await journal_of(stack, project), fragment)

        async def cancel(app: App) -> Run:
            return await app.engine.cancel(run.id, user_name(user))

        await change(project, run.id, cancel, as_json=as_json, begun_elsewhere=True)
        return 0

    execute(work, as_json=as_json)


def retry_run(fragment: str, user: str | None, *, project: Path, as_json: bool) -> None:
    from orchestrion.app import open_app

    from ._change import report

    async def work() -> int:
        async with AsyncExitStack() as stack:
            _, run = await required(await journal_of(stack, project), fragment)
        async with open_app(project) as app:
            return await report(app, await app.engine.retry(run.id, user_name(user)), as_json=as_json)

    execute(work, as_json=as_json)


def rerun(fragment: str, task: str, user: str | None, *, project: Path, as_json: bool) -> None:
    from orchestrion.app import open_app

    from ._change import report

    async def work() -> int:
        async with AsyncExitStack() as stack:
            _, run = await required(await journal_of(stack, project), fragment)
        async with open_app(project) as app:
            return await report(app, await app.rerun(run, task, subject=user_name(user)), as_json=as_json)

    execute(work, as_json=as_json)
