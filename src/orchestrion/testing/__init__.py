"""What tests of the platform and of its users need: crashes on demand, counted functions, conformance suites."""

from ._crash import CrashingJournal, Moment
from ._stage import FewFunctions, Ledger, NoExpressions, Scripted, Stage, new_run

__all__ = [
    "CrashingJournal",
    "FewFunctions",
    "Ledger",
    "Moment",
    "NoExpressions",
    "Scripted",
    "Stage",
    "new_run",
]
