"""The durable record of runs."""

from ._memory import MemoryJournal

__all__ = ["MemoryJournal"]
