"""The durable record of runs: storage only, it knows nothing of workflows."""

from ._durable import DurableJournal
from ._memory import MemoryJournal
from ._retention import Sweep

__all__ = ["DurableJournal", "MemoryJournal", "Sweep"]
