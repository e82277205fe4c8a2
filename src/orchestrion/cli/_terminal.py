"""How commands begin and end: errors as sentences, exit codes, JSON."""

import getpass
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from rich.console import Console

from orchestrion.app import run_process
from orchestrion.core import Json, OrchestrionError, PolicyDenied, Run, RunStatus, UserError, dump, parse
from orchestrion.project import BadProject

T = TypeVar("T")

COMPLETED, FAULTED, MISUSE, WAITING, PAUSED = 0, 1, 2, 3, 130
"""Exit codes."""

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


def execute(work: Callable[[], Awaitable[int]], *, as_json: bool) -> NoReturn:
    """Run a command to its exit code. A user's mistake is a sentence, never a traceback."""
    try:
        code = run_process(work)
    except KeyboardInterrupt:
        err.print("Paused. The same command goes on where it stopped.")
        sys.exit(PAUSED)
    except OrchestrionError as error:
        complain(error, as_json=as_json)
        sys.exit(MISUSE if isinstance(error, UserError | PolicyDenied) else FAULTED)
    sys.exit(code)


def complain(error: OrchestrionError, *, as_json: bool) -> None:
    """Say what is wrong, where, and the way out."""
    if as_json:
        print_json({"problem": error.problem.to_json()})
    elif isinstance(error, BadProject):
        for finding in error.findings:
            err.print(str(finding), markup=False)
    else:
        err.print(f"[bold red]error[/] [dim]{error.code}[/]", end=" ")
        err.print(error.message, markup=False)
        if error.hint:
            err.print(f"  {error.hint}", markup=False)


def print_json(value: Json) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(dump(value) + "\n")


def user_name(user: str | None) -> str:
    """Who acts: as told, else who is logged in."""
    if user:
        return user
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def read_value(text: str | None, what: str) -> Json:
    """JSON from an option: text, @FILE, or - for standard input. Raises: UserError with the place of a mistake."""
    if text is None:
        return None
    given = sys.stdin.read() if text == "-" else _file_text(text[1:]) if text.startswith("@") else text
    try:
        return parse(given)
    except UserError as error:
        raise UserError(
            "not-json", f"{what} is not JSON. {error.message}", hint="Text needs quotes of its own: '\"text\"'."
        ) from None


def _file_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError("unreadable-file", f"{path!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError("unreadable-file", f"{path!r} is not UTF-8 text.") from None


def exit_code(run: Run) -> int:
    match run.status:
        case RunStatus.COMPLETED:
            return COMPLETED
        case RunStatus.FAULTED | RunStatus.CANCELLED | RunStatus.DIVERGED:
            return FAULTED
        case RunStatus.PENDING | RunStatus.RUNNING | RunStatus.WAITING:
            return WAITING


def one_of(found: Sequence[str], fragment: str, what: str) -> str:
    """The only id. Raises: UserError naming the choices."""
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"unknown-{what}", f"There is no {what} {fragment!r}.", hint=f"orchestrion {what}s list")
    raise UserError(f"ambiguous-{what}", f"{fragment!r} is part of several: {', '.join(found)}.")


SYMBOLS: Mapping[RunStatus, str] = {
    RunStatus.PENDING: "[dim]○ pending[/]",
    RunStatus.RUNNING: "[cyan]▶ running[/]",
    RunStatus.WAITING: "[yellow]… waiting[/]",
    RunStatus.COMPLETED: "[green]✓ completed[/]",
    RunStatus.FAULTED: "[red]✗ faulted[/]",
    RunStatus.CANCELLED: "[magenta]■ cancelled[/]",
    RunStatus.DIVERGED: "[red]≠ diverged[/]",
}
"""Never colour alone."""
