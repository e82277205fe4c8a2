"""What evaluations have found so far, kept in the store by digest: an interrupted one goes on, a repeated one costs nothing."""

from collections.abc import Mapping

from orchestrion.core import Clock, Json, dump, parse
from orchestrion.oversight import Case, Observation
from orchestrion.store import Connection, Storage

KEPT_S = 90 * 86_400.0
"""Seconds after which a result is removed: it holds what customers wrote."""

_ALL = "select case_digest, body from results where bundle = ? and scorer = ?"
_KEEP = """
insert into results (bundle, case_digest, scorer, body, at) values (?, ?, ?, ?, ?)
on conflict (bundle, case_digest, scorer) do update set body = excluded.body, at = excluded.at
"""
_FORGET = "delete from results where at < ?"


class Results:
    """Over the storage of a journal."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def forget_old(self) -> None:
        """Remove what is older than `KEPT_S`."""
        before = self._clock.now() - KEPT_S
        await self._storage.change(lambda connection: connection.execute(_FORGET, (before,)) and None)

    async def observations(self, bundle: str) -> Mapping[str, Observation]:
        """Case → what a version did with it."""
        return {case: Observation.from_json(body) for case, body in (await self.of(bundle, "")).items()}

    async def of(self, bundle: str, scorer: str) -> Mapping[str, Json]:
        """Case → what is kept of a version and a scorer."""

        def read(connection: Connection) -> dict[str, Json]:
            return {case: parse(body) for case, body in connection.execute(_ALL, (bundle, scorer))}

        return await self._storage.look(read)

    async def keep(self, bundle: str, case: Case, scorer: str, body: Json) -> None:
        row = (bundle, case.digest, scorer, dump(body), self._clock.now())

        def write(connection: Connection) -> None:
            connection.execute(_KEEP, row)

        await self._storage.change(write)
