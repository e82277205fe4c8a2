"""The command line: what the project does, from a terminal or a script. No decisions are made here."""

from ._main import main

__all__ = ["main"]
