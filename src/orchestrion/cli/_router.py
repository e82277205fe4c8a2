"""`orchestrion router`: train and test."""

import csv
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from orchestrion.app import routers_of
from orchestrion.core import UserError
from orchestrion.models import Report, RouterSettings, RouterSource, open_router, read_examples
from orchestrion.project import Project

from ._terminal import err, execute, out, print_json


def train(name: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        routers = routers_of(Project.load(project))
        names = [name] if name else list(routers.names)
        if not names:
            raise UserError(
                "no-routers", "This project has no routers.", hint="Add one under `routers` in orchestrion.yaml."
            )
        trained = {each: routers.train(each) for each in names}
        if as_json:
            print_json(
                {
                    each: {"labels": list(it.labels), "examples": len(it.examples), "threshold": it.threshold}
                    for each, it in trained.items()
                }
            )
            return 0
        for each, it in trained.items():
            labels = ", ".join(it.labels[:8]) + (" …" if len(it.labels) > 8 else "")
            err.print(f"[green]✓[/] {each}: {len(it.examples):,} examples of {len(it.labels)} labels ({labels})")
            err.print(f"  leaves a message to a person below a confidence of {it.threshold:.2f}")
        return 0

    execute(work, as_json=as_json)


def test(
    name: str | None,
    train_file: Path | None,
    test_file: Path | None,
    text: str | None,
    label: str | None,
    *,
    embeddings: bool,
    leave_out: int,
    project: Path,
    as_json: bool,
) -> None:
    async def work() -> int:
        folder, source = _source(name, train_file, text, label, project)
        source = replace(source, without=leave_out)
        if embeddings:
            source = replace(source, settings=source.settings.model_copy(update={"embeddings": True}))
        if test_file is None:
            raise UserError(
                "no-test-file",
                "Nothing to test with: labelled messages that it was not trained on are needed.",
                hint="--test FILE.csv",
            )
        settings = source.settings.model_copy(
            update={key: value for key, value in (("text", text), ("label", label)) if value}
        )
        report = open_router(source, folder).test(read_examples(test_file, settings))
        if as_json:
            print_json(report.to_json())
        else:
            _tell(report)
        return 0

    execute(work, as_json=as_json)


def _source(
    name: str | None, train_file: Path | None, text: str | None, label: str | None, project: Path
) -> tuple[Path, RouterSource]:
    """The router to test: trained on a file, or one of the project's."""
    if train_file is not None:
        settings = RouterSettings(text=text or "text", label=label or _only_other(train_file, text or "text"))
        return Path(".orchestrion") / "routers", RouterSource(examples=train_file, settings=settings)
    loaded = Project.load(project)
    routers = routers_of(loaded)
    if name is None and len(routers.names) != 1:
        raise UserError(
            "which-router",
            "Say which router to test.",
            hint=f"There are: {', '.join(routers.names) or 'none; --train FILE trains one for the test'}.",
        )
    return loaded.root / ".orchestrion" / "routers", routers.source(name or routers.names[0])


def _only_other(file: Path, text: str) -> str:
    """The column of labels that nobody named: `label`, or in a file of two columns the one that is not the text."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as rows:
            columns = next(csv.reader(rows), list[str]())
    except (OSError, csv.Error):
        return "label"
    others = [column for column in columns if column != text]
    return others[0] if len(columns) == 2 and len(others) == 1 else "label"


def _tell(report: Report) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("messages", f"{report.messages:,}")
    table.add_row("right, had it always answered", f"{report.accuracy:.1%}")
    table.add_row("answered", f"{report.answered:.1%}, the rest is left to a person")
    table.add_row("right among those", f"{report.precision:.1%}")
    table.add_row("right among the surest 90 %", f"{report.precision_at_90:.1%}")
    if strangers := report.strangers:
        said = f"{strangers.abstained:.1%} of {strangers.messages:,} left to a person; AUROC {strangers.auroc:.3f}"
        table.add_row("of no label it knows", said)
    table.add_row("takes", f"{report.ms_per_message:.2f} ms a message")
    out.print(table)
    for worst in report.worst[:5]:
        out.print(f"  {worst}", markup=False)
