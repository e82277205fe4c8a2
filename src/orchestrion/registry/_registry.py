"""The registry of a store: bundles and their contents, and the aliases that point at them. Nothing in it is ever changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrion.core import Clock, Json, UserError, dump, parse
from orchestrion.store import Connection, Storage

from ._beginning import only_one
from ._bundle import Bundle, bundle_of, short

PRODUCTION = "production"
"""The alias that new runs begin with."""

_KEEP_PIECE = "insert into pieces (digest, content, created_at) values (?, ?, ?) on conflict (digest) do nothing"
_KEEP = """
insert into bundles (digest, workflow, body, created_at, created_by, source) values (?, ?, ?, ?, ?, ?)
on conflict (digest) do nothing
"""
_COLUMNS = "digest, body, created_at, created_by, source"
_KNOWN = f"select {_COLUMNS} from bundles where digest >= ? and digest < ? order by digest limit 2"  # noqa: S608
_LISTED = (
    f"select {_COLUMNS} from bundles where workflow = ? or workflow like ? order by created_at desc, digest limit ?"  # noqa: S608
)
_ALL = f"select {_COLUMNS} from bundles order by created_at desc, digest limit ?"  # noqa: S608
_CONTENT = "select content from pieces where digest = ?"
_MOVE_COLUMNS = "workflow, alias, number, bundle, before, moved_at, moved_by, why"
_LAST = f"select {_MOVE_COLUMNS} from moves where workflow = ? and alias = ? order by number desc limit 1"  # noqa: S608
_LATEST = f"""
select {_MOVE_COLUMNS} from moves where number = (
    select max(later.number) from moves later where later.workflow = moves.workflow and later.alias = moves.alias
) order by workflow, alias
"""  # noqa: S608
_HISTORY = f"select {_MOVE_COLUMNS} from moves where workflow = ? order by moved_at desc, number desc limit ?"  # noqa: S608
_MOVE = f"insert into moves ({_MOVE_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608


_IN_FLIGHT = """
select versions, count(*) from runs
where namespace = ? and workflow = ? and status in ('pending', 'running', 'waiting') and parent_id is null
group by versions
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A bundle of the store, and how it came there."""

    bundle: Bundle
    created_at: float
    created_by: str
    source: str | None
    """Where its files came from, such as a Git commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An alias was pointed at a bundle. The last move of an alias says where it points."""

    workflow: str
    alias: str
    number: int
    """1 for the alias's first."""
    bundle: str
    before: str | None
    """What it pointed at until then."""
    at: float
    by: str
    why: str

    def to_json(self) -> Json:
        return {
            "workflow": self.workflow,
            "alias": self.alias,
            "bundle": self.bundle,
            "before": self.before,
            "at": self.at,
            "by": self.by,
            "why": self.why,
        }


class Registry:
    """Over the storage of a journal, which owns the one way into the store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._kept: set[str] = set()
        """Bundles that this process has kept."""

    def has(self, bundle: Bundle) -> bool:
        """Whether this process has kept it. It may be there all the same."""
        return bundle.digest in self._kept

    async def keep(self, bundle: Bundle, contents: Mapping[str, bytes], *, by: str, source: str | None = None) -> None:
        """Keep a bundle with the contents of its pieces, by digest; keeping it again changes nothing."""
        now = self._clock.now()
        row = (bundle.digest, bundle.workflow, dump(bundle.to_json()), now, by, source)

        def write(connection: Connection) -> None:
            for name, content in contents.items():
                connection.execute(_KEEP_PIECE, (name, content, now))
            connection.execute(_KEEP, row)

        await self._storage.change(write)
        self._kept.add(bundle.digest)

    async def find(self, digest: str) -> Kept:
        """The bundle whose digest begins so. Raises: UserError `unknown-version`, `ambiguous-version`."""
        return await only_one(
            self._storage,
            _KNOWN,
            digest,
            _kept,
            unknown=UserError(
                "unknown-version",
                f"There is no version {digest!r}.",
                hint="`orchestrion versions list` shows those that are kept.",
            ),
            ambiguous=UserError(
                "ambiguous-version", f"Several versions begin with {digest!r}.", hint="Write more of it."
            ),
        )

    async def listed(self, workflow: str | None, limit: int) -> Sequence[Kept]:
        """The latest first; of one workflow, or of all. A workflow may be named without its namespace."""
        query, values = (_ALL, (limit,)) if workflow is None else (_LISTED, (workflow, f"%/{workflow}", limit))

        def read(connection: Connection) -> list[Kept]:
            return [_kept(*row) for row in connection.execute(query, values)]

        return await self._storage.look(read)

    async def contents(self, bundle: Bundle) -> Mapping[str, bytes]:
        """Piece → content, of a bundle that is kept."""

        def read(connection: Connection) -> dict[str, bytes]:
            return {
                piece: bytes(connection.execute(_CONTENT, (digest,)).fetchone()[0])
                for piece, digest in bundle.pieces.items()
            }

        return await self._storage.look(read)

    async def alias(self, workflow: str, alias: str) -> Move | None:
        """Where an alias points; None before its first move."""

        def read(connection: Connection) -> Move | None:
            row = connection.execute(_LAST, (workflow, alias)).fetchone()
            return _moved(*row) if row is not None else None

        return await self._storage.look(read)

    async def aliases(self) -> Sequence[Move]:
        """The last move of every alias of every workflow."""
        return await self._storage.look(lambda connection: [_moved(*row) for row in connection.execute(_LATEST)])

    async def moves(self, workflow: str, limit: int = 100) -> Sequence[Move]:
        """What happened to a workflow's aliases, the latest first."""
        values = (workflow, limit)
        return await self._storage.look(
            lambda connection: [_moved(*row) for row in connection.execute(_HISTORY, values)]
        )

    async def in_flight(self, workflow: str) -> Mapping[str, int]:
        """Bundle → how many runs of a workflow have begun with it and not ended."""
        namespace, _, name = workflow.partition("/")

        def read(connection: Connection) -> Counter[str]:
            found = Counter[str]()
            for versions, count in connection.execute(_IN_FLIGHT, (namespace, name)):
                if (bundle := bundle_of(parse(versions) if versions else None)) is not None:
                    found[bundle] += count
            return found

        return await self._storage.look(read)

    async def move(self, bundle: Bundle, alias: str, *, by: str, why: str, expected: str | None) -> Move:
        """Point an alias at a bundle, if it still points at `expected` (None: at nothing). Done once or not at all.

        Pointing it where it points already changes nothing. Raises: UserError `alias-moved` when somebody else was quicker.
        """
        now = self._clock.now()
        return await self._storage.change(
            lambda connection: move_alias(connection, bundle, alias, at=now, by=by, why=why, expected=expected)
        )


def move_alias(
    connection: Connection, bundle: Bundle, alias: str, *, at: float, by: str, why: str, expected: str | None
) -> Move:
    """`Registry.move` as part of a larger transaction."""
    row = connection.execute(_LAST, (bundle.workflow, alias)).fetchone()
    last = _moved(*row) if row is not None else None
    before = last.bundle if last else None
    if last is not None and before == bundle.digest:
        return last
    if before != expected:
        raise UserError(
            "alias-moved",
            f"{alias!r} of {bundle.workflow} points at {short(before) if before else 'nothing'} by now.",
            hint="Look at `orchestrion versions list`, and decide again.",
        )
    moved = Move(
        workflow=bundle.workflow,
        alias=alias,
        number=last.number + 1 if last else 1,
        bundle=bundle.digest,
        before=before,
        at=at,
        by=by,
        why=why,
    )
    connection.execute(
        _MOVE, (moved.workflow, alias, moved.number, moved.bundle, moved.before, moved.at, moved.by, moved.why)
    )
    return moved


def _kept(_: str, body: str, created_at: float, created_by: str, source: str | None) -> Kept:
    bundle = Bundle.from_json(parse(body))
    return Kept(bundle=bundle, created_at=created_at, created_by=created_by, source=source)


def _moved(
    workflow: str, alias: str, number: int, bundle: str, before: str | None, at: float, by: str, why: str
) -> Move:
    return Move(workflow=workflow, alias=alias, number=number, bundle=bundle, before=before, at=at, by=by, why=why)
