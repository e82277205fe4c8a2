"""What tests of the platform and of its users need: crashes on demand, counted functions, conformance suites."""

from ._crash import CrashingJournal, Moment
from ._stage import FewFunctions, Ledger, NoExpressions, Scripted, Stage, new_run
from ._walking import interpreting, read_document, run_of, walk_document

__all__ = [
    "CrashingJournal",
    "FewFunctions",
    "Ledger",
    "Moment",
    "NoExpressions",
    "Scripted",
    "Stage",
    "interpreting",
    "new_run",
    "read_document",
    "run_of",
    "walk_document",
]
