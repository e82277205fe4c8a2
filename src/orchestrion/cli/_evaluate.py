"""`orchestrion evaluate`: how a version does with the cases of an evaluation."""

import sys
from csv import writer
from pathlib import Path

from rich.table import Table

from orchestrion.app import Evaluated, Tell, evaluate
from orchestrion.core import SystemClock, UserError
from orchestrion.registry import short

from ._measured import agreement_of, count_of, difference_of, interval_of, value_of
from ._page import write_page
from ._terminal import COMPLETED, FAULTED, err, execute, out, print_json, user_name

WORST = 10


def evaluate_version(
    name: str | None,
    version: str,
    against: str | None,
    *,
    fresh: bool,
    html: Path | None,
    csv: Path | None,
    project: Path,
    user: str | None,
    as_json: bool,
) -> None:
    async def work() -> int:
        found = await evaluate(
            project, name, version=version, against=against, fresh=fresh, by=user_name(user), tell=_progress(as_json)
        )
        if as_json:
            print_json(found.to_json())
        else:
            _tell(found)
        if html is not None:
            from ._evaluation_page import evaluation_page

            write_page(html, evaluation_page(found, SystemClock().now()))
            err.print(f"The page: {str(html)!r}", markup=False, soft_wrap=True)
        if csv is not None:
            _write_rows(csv, found)
            err.print(f"The rows: {str(csv)!r}", markup=False, soft_wrap=True)
        return COMPLETED if found.passed else FAULTED

    execute(work, as_json=as_json)


def _write_rows(file: Path, found: Evaluated) -> None:
    """Raises: UserError `unwritable-file`."""
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            rows = writer(opened)
            rows.writerow(["evaluation", "version", "case", "status", "scorer", "value", "why"])
            for number, (case, seen) in enumerate(zip(found.gathered.cases, found.seen, strict=True)):
                for name, scores in found.scores.items():
                    value, why = scores[number].value, scores[number].why
                    rows.writerow(
                        [found.file.name, found.bundle.digest, case.name, seen.status, name, value, inert(why or "")]
                    )
    except OSError as error:
        raise UserError("unwritable-file", f"{str(file)!r} cannot be written: {error.strerror}.") from None


def inert(text: str) -> str:
    """Spreadsheets calculate what begins so; what customers wrote is text."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _progress(silent: bool) -> Tell:
    def tell(done: int, of: int) -> None:
        if not silent and of >= 10 and done % (of // 10) == 0:
            sys.stderr.write(f"{done:,} of {of:,}\n")

    return tell


def _tell(found: Evaluated) -> None:
    versus = f" against {short(found.against.digest)}" if found.against else ""
    title = found.file.evaluation.title or found.file.name
    out.print(f"{title}: {found.bundle.workflow} {short(found.bundle.digest)}{versus}", markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("", "scorer", "value", "95 % interval", "cases"):
        table.add_column(column, no_wrap=column != "95 % interval", overflow="fold")
    if found.against:
        table.add_column("difference")
        table.add_column("better, worse")
    for row in found.rows:
        sign = "[red]✗[/]" if row.failures else "[green]✓[/]"
        more = [difference_of(row), f"{row.gained}, {row.lost}"] if found.against else []
        table.add_row(sign, row.name, value_of(row), interval_of(row.estimate, row), count_of(row), *more)
    out.print(table)
    for row in found.rows:
        if row.agreement is not None:
            out.print(f"  {agreement_of(row, row.agreement)}", markup=False)
        for failure in row.failures:
            out.print(f"  {row.name} is below the gate: {failure}", markup=False)
    _tell_worst(found)
    for line in found.gathered.set_aside[:5]:
        out.print(f"  set aside: {line}", markup=False)
    if len(found.gathered.set_aside) > 5:
        out.print(f"  … and {len(found.gathered.set_aside) - 5} more set aside: --json lists all")
    if found.reused:
        err.print(f"{found.reused:,} were known from before; --fresh tries them again.")


def _tell_worst(found: Evaluated) -> None:
    shares = [row.name for row in found.rows if row.is_share]
    wrong = [
        f"{case.name}  {name}: {found.scores[name][number].why}"
        for number, case in enumerate(found.gathered.cases)
        for name in shares
        if found.scores[name][number].value == 0
    ]
    for line in wrong[:WORST]:
        out.print(f"  {line}", markup=False, soft_wrap=True)
    if len(wrong) > WORST:
        out.print(f"  … and {len(wrong) - WORST:,} more that are wrong: --json lists all")
