"""People name what has a long id by how it begins."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from orchestrion.core import UserError
from orchestrion.store import Connection, Storage

T = TypeVar("T")

AFTER_HEXADECIMAL = "g"


async def only_one(
    storage: Storage,
    query: str,
    beginning: str,
    made: Callable[..., T],
    *,
    unknown: UserError,
    ambiguous: UserError,
) -> T:
    """What `made` makes of the one row whose id begins so; `query` takes the first such id and the one after the last."""

    def read(connection: Connection) -> Sequence[T]:
        return [made(*row) for row in connection.execute(query, (beginning, beginning + AFTER_HEXADECIMAL)).fetchall()]

    found = await storage.look(read)
    if len(found) != 1:
        raise ambiguous if found else unknown
    return found[0]
