"""The command line, called within a test's own process."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from orchestrion.cli import main
from orchestrion.core import BugError, Json, parse


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything printed, on one line: terminals wrap where they like."""
        return " ".join((self.out + " " + self.err).split())

    @property
    def json(self) -> Json:
        return parse(self.out)


def run_command(*arguments: str) -> Result:
    """`orchestrion ARGUMENTS` in the current folder."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["orchestrion", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        return Result(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    raise BugError("no-exit-code", "The command line ended without an exit code.")
