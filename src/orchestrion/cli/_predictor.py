"""`orchestrion predictor`: train and test."""

from pathlib import Path

from rich.table import Table

from orchestrion.app import predictor_source
from orchestrion.models import PredictorReport, open_predictor, test_predictor, train_predictor
from orchestrion.project import Project

from ._terminal import err, execute, out, print_json


def train(name: str | None, data: Path, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        source = predictor_source(Project.load(project), name)
        predictor = train_predictor(source, data)
        card = predictor.card
        if as_json:
            print_json({"predictor": source.name, "threshold": predictor.threshold, **card.model_dump(mode="json")})
            return 0
        rows, positive = card.trained_on["rows"], card.trained_on.get("positive")
        labelled = "" if positive is None else f", {positive:,} of them {source.file.labels[1]}"
        err.print(f"[green]✓[/] {source.name}: {rows:,} rows{labelled} → {source.file.model}")
        err.print(f"  {source.file.labels[1]} from a score of {predictor.threshold:.4f} on")
        if card.measures:
            told = ", ".join(f"{measure.replace('_', ' ')} {value:.1%}" for measure, value in card.measures.items())
            err.print(f"  on rows held back: {told}")
        return 0

    execute(work, as_json=as_json)


def test(name: str | None, data: Path, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        source = predictor_source(Project.load(project), name)
        report = test_predictor(open_predictor(source), data)
        if as_json:
            print_json(report.to_json())
        else:
            _tell(report, source.file.labels[1])
        return 0

    execute(work, as_json=as_json)


def _tell(report: PredictorReport, label: str) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("rows", f"{report.rows:,}, {report.positive:,} of them {label}")
    table.add_row("found", f"{report.caught:,} ({report.recall:.1%}); {report.positive - report.caught:,} missed")
    table.add_row("false alarms", f"{report.false_alarms:,}; {report.precision:.1%} of alarms are right")
    table.add_row("average precision", f"{report.average_precision:.3f}, whatever the threshold")
    table.add_row("takes", f"{report.ms_per_row:.3f} ms a row, many at once")
    out.print(table)
