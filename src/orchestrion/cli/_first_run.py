"""`orchestrion dev` where there is nothing yet: something to begin with."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.prompt import Prompt

from orchestrion.core import UserError

from ._init import PREPARE, examples, is_empty, write_project
from ._terminal import err

BLANK = "blank"
ABOUT: Mapping[str, str] = {
    "customer-service": "a bank's service desk with agents and approvals",
    "fraud-response": "card payments, watched by a model and analysts",
    BLANK: "settings, a policy, and a workflow that greets",
}


def begin_in(folder: Path, example: str | None) -> None:
    """Make a project in an empty folder: the example that was named, or whatever a person at the terminal chooses.

    Raises: UserError `nothing-here` where nobody can be asked, `folder-not-empty`, `unknown-example`, `example-unprepared`.
    """
    if not is_empty(folder):
        if example is not None:
            raise UserError(
                "folder-not-empty",
                f"{str(folder.absolute())!r} is not an empty folder, so no example was put there.",
                hint="Leave --example out to serve what is there.",
            )
        return
    chosen = example or _chosen(folder)
    write_project(folder, None if chosen == BLANK else chosen)
    if (folder / PREPARE).is_file():
        _prepare(folder)


def _chosen(folder: Path) -> str:
    offered = [*examples(), BLANK]
    if not (sys.stdin.isatty() and err.is_terminal):
        raise UserError(
            "nothing-here",
            f"{str(folder.absolute())!r} is empty: there is nothing to serve.",
            hint=f"Begin with something: orchestrion dev --example {'|'.join(offered)}",
        )
    err.print("This folder is empty. Begin with:")
    for number, name in enumerate(offered, start=1):
        err.print(f"  [bold]{number}[/] {name:<18} [dim]{ABOUT.get(name, '')}[/]")
    numbers = [str(number) for number in range(1, len(offered) + 1)]
    said = Prompt.ask("Which", console=err, choices=[*numbers, *offered], show_choices=False, default=numbers[0])
    return offered[int(said) - 1] if said in numbers else said


def _prepare(folder: Path) -> None:
    """Build the example's data. Raises: UserError `example-unprepared` with what the script said last."""
    with err.status("Building the example's data …"):
        done = subprocess.run(  # noqa: S603  the example's own script
            [sys.executable, PREPARE], cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise UserError(
            "example-unprepared",
            f"The example's data could not be built: {last}",
            hint=f"See for yourself: cd {folder.absolute()} && {sys.executable} {PREPARE}",
        )
