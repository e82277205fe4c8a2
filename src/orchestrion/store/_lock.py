"""One owner a database: the process that advances its runs."""

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrion.core import UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerLock:
    """Held until released, or until the process ends, however it ends."""

    descriptor: int

    @staticmethod
    def take(database: Path) -> "OwnerLock":
        """Raises: UserError `store-in-use` naming the process that has it; OSError."""
        path = database.with_name(database.name + ".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise UserError(
                "store-in-use",
                f"Another process (pid {owner}) is advancing the runs in {str(database)!r}.",
                hint="Stop it first, or give this one another database. Listing, showing and approving work beside it.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return OwnerLock(descriptor=descriptor)

    def leading(self) -> bool:
        """The kernel gives it to nobody else."""
        return True

    @property
    def lost(self) -> bool:
        return False

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Never."""

    def release(self) -> None:
        """The file stays: removing it could take the lock from a process that has just opened it."""
        os.close(self.descriptor)
