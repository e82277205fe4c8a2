"""`orchestrion knowledge`: index, list and search the project's documents."""

from contextlib import closing
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from orchestrion.app import knowledge_of
from orchestrion.core import Json
from orchestrion.knowledge import Found, Indexed
from orchestrion.project import Project

from ._terminal import COMPLETED, FAULTED, err, execute, out, print_json

_EMPTY = "This project has no documents. Put Markdown, text, HTML, PDF or CSV files into its folder `knowledge`."
_SHOWN = 400
"""Characters of a passage."""


def index(name: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        indexed = _updated(project, name)
        if as_json:
            print_json({each.base: _json(each) for each in indexed})
        else:
            if not indexed:
                err.print(_EMPTY)
            for each in indexed:
                done = (
                    f"{each.read} read, {each.removed} removed" if each.read or each.removed else "nothing has changed"
                )
                err.print(f"[green]✓[/] {each.base}: {len(each.files)} files, {each.passages:,} passages; {done}")
                _complain(each)
        return FAULTED if any(file.problem for each in indexed for file in each.files) else COMPLETED

    execute(work, as_json=as_json)


def list_bases(name: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        indexed = _updated(project, name)
        if as_json:
            print_json({each.base: _json(each) for each in indexed})
            return COMPLETED
        if not indexed:
            err.print(_EMPTY)
        for each in indexed:
            out.print(f"[bold]{each.base}[/] {each.passages:,} passages [dim]index {each.digest[:12]}[/]")
            table = Table(box=None, pad_edge=False, show_header=False)
            for file in each.files:
                table.add_row("", escape(file.file), f"{file.passages:,}", escape(file.problem or file.remark or ""))
            out.print(table)
        return COMPLETED

    execute(work, as_json=as_json)


def search(query: str, name: str, k: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        with closing(knowledge_of(Project.load(project))) as knowledge:
            found = knowledge.search(name, query, k)
        if as_json:
            passages: list[Json] = [
                {"cite": each.cite, "id": each.id, "text": each.text, "source": each.source(), "score": score}
                for each, score in found.passages
            ]
            print_json({"passages": passages, "index": found.digest, "unreadable_files": found.problems})
        else:
            _tell(found, name)
        return COMPLETED

    execute(work, as_json=as_json)


def _updated(project: Path, name: str | None) -> list[Indexed]:
    with closing(knowledge_of(Project.load(project))) as knowledge:
        return [knowledge.update(each) for each in ([name] if name else knowledge.bases)]


def _tell(found: Found, name: str) -> None:
    for passage, score in found.passages:
        out.print(f"[bold]{escape(passage.cite)}[/] [dim]{score:g} {passage.id}[/]")
        text = passage.text if len(passage.text) <= _SHOWN else passage.text[:_SHOWN] + " …"
        out.print(text + "\n", markup=False)
    if not found.passages:
        err.print(f"Nothing in {name} has any of these words.")
    if found.problems:
        err.print(f"{found.problems} files could not be read: `orchestrion knowledge list {name}` says why.")


def _complain(indexed: Indexed) -> None:
    for file in indexed.files:
        if file.problem:
            err.print(f"  [red]✗[/] {escape(file.file)}: {escape(file.problem)}")
        elif file.remark:
            err.print(f"  [yellow]![/] {escape(file.file)}: {escape(file.remark)}")


def _json(indexed: Indexed) -> Json:
    files: list[Json] = [
        {"file": file.file, "passages": file.passages, "problem": file.problem, "remark": file.remark}
        for file in indexed.files
    ]
    return {
        "digest": indexed.digest,
        "passages": indexed.passages,
        "read": indexed.read,
        "removed": indexed.removed,
        "files": files,
    }
