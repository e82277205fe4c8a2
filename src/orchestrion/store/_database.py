"""What the rooms above need from a database, whichever it is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar

from sqlalchemy import Table

from orchestrion.core import OrchestrionError

Mode = Literal["own", "join"]
T = TypeVar("T")


class Cursor(Protocol):
    """The rows of a statement, or how many it changed."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection in autocommit mode, used by one thread at a time. Values stand in statements as `?`."""

    def execute(self, text: str, values: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, text: str, rows: Iterable[Sequence[Any]], /) -> object: ...

    def begin(self, *, together: bool = False) -> None:
        """Begin a transaction that may write; there is one at a time, whoever begins it.

        `together`: it is all or nothing, so errors may be told late, at the latest by `commit`.
        """
        ...

    def leads(self) -> bool:
        """Whether, within a transaction that may write, its process still owns the store."""
        ...

    def begin_reading(self) -> None:
        """Begin a transaction that sees one moment."""
        ...

    def commit(self) -> None:
        """Durable when it returns; a driver's error means that nothing was kept."""
        ...

    def rollback(self) -> None:
        """Whatever happened, no transaction is open afterwards."""
        ...

    def foreign_change(self) -> bool:
        """Whether any other connection has committed since the last call."""
        ...

    def close(self) -> None: ...


class Storage(Protocol):
    """A way into a store for the rooms beside its journal, which keeps it: nobody else writes."""

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Run a question, within one read transaction."""
        ...

    async def change(self, work: Callable[[Connection], T]) -> T:
        """Run work that reads before it writes, as one transaction."""
        ...


class Ownership(Protocol):
    """The right of one process to advance the runs of a store, until released or lost."""

    def leading(self) -> bool:
        """Whether it is certain right now. Cheap."""
        ...

    @property
    def lost(self) -> bool:
        """Whether another process has it: it does not come back."""
        ...

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call `tell` once it is lost, on any thread; at once if it is."""
        ...

    def release(self) -> None: ...


class Database(Protocol):
    """One database, and what its driver's errors mean."""

    @property
    def place(self) -> str:
        """How it is called in messages; never with a password."""
        ...

    def own(self) -> Ownership:
        """Become its owner, creating the tables if there are none. Raises: UserError `store-in-use`."""
        ...

    def revision(self) -> str | None:
        """The schema revision; None while it is empty. Raises: UserError; the driver's errors; OSError."""
        ...

    def connect(self, *, writes: bool, ownership: Ownership | None = None) -> Connection: ...

    @property
    def unhurried(self) -> Sequence[str]:
        """Statements that let a transaction of a session take its time."""
        ...

    def renumbered(self, tables: Sequence[Table]) -> Sequence[str]:
        """Statements after which the numbers it gives continue those that stand in the tables."""
        ...

    def explained(self) -> AbstractContextManager[None]:
        """Turn what the file system and the driver say while a store is opened into something a person can act on."""
        ...

    def leader(self, connection: Connection) -> str | None:
        """The process that holds the lease."""
        ...

    def is_row_error(self, error: BaseException) -> bool:
        """Whether the values were refused, and not the database in trouble."""
        ...

    def is_passing(self, error: BaseException) -> bool:
        """Whether the database works again by itself, or once there is space."""
        ...

    def is_lost(self, error: BaseException) -> bool:
        """Whether only the connection has gone: what it did not commit may be tried again."""
        ...

    def explain(self, error: BaseException) -> OrchestrionError:
        """What a driver's error means to whoever uses the store."""
        ...
