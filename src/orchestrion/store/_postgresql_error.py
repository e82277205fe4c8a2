"""What PostgreSQL's errors mean. Its driver is optional, so nothing here imports it."""

from orchestrion.core import BugError, OrchestrionError, TransientError

_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "25006", "53300", "40001", "40P01"})
"""Shut down, idle for too long, read-only after a fail-over, too many connections, deadlock: the same again may work."""
_BUSY = frozenset({"55P03", "57014"})
_FULL = frozenset({"53100", "53200"})


class PostgreSQLError(Exception):
    """An error of the driver, as the rooms above may see it."""

    def __init__(self, message: str, *, sqlstate: str | None, lost: bool, refused: bool) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self._lost = lost
        self._refused = refused

    @property
    def is_lost(self) -> bool:
        """Whether the connection has gone, or the server wants everything from the beginning of the transaction."""
        return self._lost or (self.sqlstate or "") in _LOST or (self.sqlstate or "").startswith("08")

    @property
    def is_row_error(self) -> bool:
        """Whether the values were refused: by the driver, or as bad data, a broken constraint, or beyond a limit."""
        if self.sqlstate is None:
            return self._refused and not self._lost
        return self.sqlstate[:2] in {"22", "23", "54"}

    @property
    def is_passing(self) -> bool:
        return self.is_lost or self.sqlstate in _BUSY or self.sqlstate in _FULL

    def explained(self, place: str) -> OrchestrionError:
        text = " ".join(str(self).split())
        if self.sqlstate in _FULL:
            return TransientError(
                "disk-full",
                f"There is no space left for {place!r}; nothing of this write was kept.",
                hint="Free some space; then it works again.",
            )
        if self.sqlstate in _BUSY:
            return TransientError("store-busy", f"Another process keeps {place!r} locked.", hint="Try again.")
        if self.is_lost:
            return TransientError(
                "store-unreachable",
                f"The database {place!r} cannot be reached: {text}.",
                hint="Start it, or check the address and the network. What was acknowledged is safe.",
            )
        return BugError("store-failed", f"The database {place!r} failed: {text}.")
