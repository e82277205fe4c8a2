"""How models did when they were tried last, kept in the store: whether a fallback is one that was seen to work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from orchestrion.core import Clock, Json, dump, parse
from orchestrion.store import Connection, Storage

_KEEP = """
insert into model_tests (model, target, at, body) values (?, ?, ?, ?)
on conflict (model, target) do update set at = excluded.at, body = excluded.body
"""
_LAST = "select at, body from model_tests where model = ? and target = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTest:
    """A model was tried."""

    at: float
    found: Mapping[str, Json]
    """What `Trial.to_json` says."""

    def in_words(self) -> str:
        problem = self.found.get("problem")
        if isinstance(problem, Mapping):
            return f"when it failed: {problem.get('detail') or problem.get('code')}"
        able = [("calls tools", "tools"), ("keeps to a form", "structured")]
        return ", ".join(
            ["when it answered", *(f"{'' if self.found.get(key) else 'not: '}{words}" for words, key in able)]
        )


class ModelTests:
    """Over the storage of a journal. A model is its name and what the name leads to."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def keep(self, model: str, target: str, found: Json) -> None:
        row = (model, target, self._clock.now(), dump(found))

        def write(connection: Connection) -> None:
            connection.execute(_KEEP, row)

        await self._storage.change(write)

    async def last(self, model: str, target: str) -> ModelTest | None:
        """None for one that was never tried."""

        def read(connection: Connection) -> ModelTest | None:
            row = connection.execute(_LAST, (model, target)).fetchone()
            return ModelTest(at=row[0], found=cast("Mapping[str, Json]", parse(row[1]))) if row is not None else None

        return await self._storage.look(read)
