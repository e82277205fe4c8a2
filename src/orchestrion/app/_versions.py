"""Which version a new run gets, and what runs of every version are made of."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import cast

from orchestrion.agents import Sessions
from orchestrion.core import Json, Run, UserError
from orchestrion.engine import Outside
from orchestrion.registry import PRODUCTION, Bundle, Move, Registry, Rollout, bundle_of, is_called
from orchestrion.spec import Document

from ._capture import Captured
from ._origin import origin_of
from ._pinned import pinned_project
from ._rollouts import Oversight
from ._rooms import Rooms, Shared, read_rooms

FRESH_S = 0.5
"""How long an alias that another process moves may be followed to where it pointed before."""

Make = Callable[[Rooms], Outside]
"""Functions, gate and workflows of one version's files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The version of one new run."""

    document: Document
    versions: Json
    """As the run records it: the digest of its bundle, and how that was chosen."""
    follows: str | None = None
    """The workflow whose production version this is: each of several runs may get another one while a rollout is under way."""


class Versions:
    """The working files, and whatever was kept of other versions."""

    def __init__(
        self,
        rooms: Rooms,
        captured: Mapping[str, Captured],
        *,
        registry: Registry | None,
        oversight: Oversight | None,
        make: Make,
        stack: AsyncExitStack,
    ) -> None:
        self.registry = registry
        """None where nothing is kept: then there are the working files only."""
        self.oversight = oversight
        self._rooms = rooms
        self._make = make
        self._stack = stack
        self._outside = make(rooms)
        self._captured = captured
        self._working = {each.bundle.digest for each in captured.values()}
        self._origin: str | None = None
        self._pinned: dict[str, asyncio.Task[tuple[Rooms, Outside]]] = {}
        self._aliases: Mapping[tuple[str, str], Move] = {}
        self._running: Mapping[str, Rollout] = {}
        self._aliases_at = float("-inf")

    async def working(self, document: Document, by: str | None) -> Chosen:
        """The version that the project's files are now."""
        captured = self._captured[document.digest]
        await self.keep(captured, by)
        return Chosen(document=document, versions={"bundle": captured.bundle.digest})

    async def keep(self, captured: Captured, by: str | None) -> None:
        """Keep a version, where anything is kept."""
        if self.registry is not None and not self.registry.has(captured.bundle):
            contents = await asyncio.to_thread(captured.read)
            source = self._origin or await self._from()
            await self.registry.keep(captured.bundle, contents, by=by or "unknown", source=source)

    def has(self, document: Document) -> bool:
        """Whether it is one of the working files."""
        return document.digest in self._captured

    async def choose(self, workflow: str, by: str | None, *, value: Json = None, key: str = "") -> Chosen:
        """The version a new run of a workflow gets: where `production` points; until it points anywhere, the working files.

        While a rollout is under way, `value` (the run's input) and `key` (its own) say whether it is the candidate.

        Raises: UserError `unknown-workflow`, `ambiguous-workflow`.
        """
        move = await self.production(workflow)
        if move is None:
            return await self.working(self._rooms.checked.shelf.named(workflow), by)
        bundle, versions = move.bundle, {"bundle": move.bundle, "alias": PRODUCTION}
        rollout = self._running.get(move.workflow)
        if rollout is not None and self.oversight is not None and key:
            side = await self.oversight.side(rollout, value, key)
            bundle = rollout.candidate if side == "candidate" else rollout.control
            versions = {"bundle": bundle, "rollout": rollout.id, "side": side}
        rooms, _ = await self._at(bundle)
        document = rooms.checked.shelf.named(move.workflow)
        return Chosen(document=document, versions=cast("Json", versions), follows=move.workflow)

    async def version(self, bundle: Bundle) -> Chosen:
        """A certain version. Raises: UserError `unknown-version`, `unreadable-version`."""
        rooms, _ = await self._at(bundle.digest)
        return Chosen(document=rooms.checked.shelf.named(bundle.workflow), versions={"bundle": bundle.digest})

    async def rooms(self, bundle: Bundle) -> Rooms:
        """What a version's files say. Raises: UserError `unknown-version`, `unreadable-version`."""
        return (await self._at(bundle.digest))[0]

    async def documents(self) -> list[Document]:
        """Of every workflow the document that new runs get, by name."""
        shelf, found = self._rooms.checked.shelf, dict[str, Document]()
        for name in {document.id for document in shelf.documents}:
            found[name] = shelf.named(name)
        for move in (await self.aliases()).values():
            if move.alias == PRODUCTION:
                rooms, _ = await self._at(move.bundle)
                found[move.workflow] = rooms.checked.shelf.named(move.workflow)
        return [found[name] for name in sorted(found)]

    async def production(self, workflow: str) -> Move | None:
        """Where `production` of a workflow points; None where it points nowhere, or the name is that of several workflows."""
        wanted = workflow.partition(":")[0]
        named = [
            move
            for (known, alias), move in (await self.aliases()).items()
            if alias == PRODUCTION and is_called(known, wanted)
        ]
        return named[0] if len(named) == 1 else None

    async def aliases(self) -> Mapping[tuple[str, str], Move]:
        """(workflow, alias) → its last move, at most half a second old."""
        clock = self._rooms.shared.clock
        if self.registry is not None and clock.monotonic() - self._aliases_at > FRESH_S:
            if self.oversight is not None:
                self._running = await self.oversight.rollouts.running()
            self._aliases = {(move.workflow, move.alias): move for move in await self.registry.aliases()}
            self._aliases_at = clock.monotonic()
        return self._aliases

    def refresh(self) -> None:
        """An alias was moved here: look where it points before the next run."""
        self._aliases_at = float("-inf")

    async def bundle_of(self, digest: str) -> Bundle:
        """A kept one. Raises: UserError `unknown-version`, `version-unkept`."""
        return (await self._kept().find(digest)).bundle

    def bundle(self, document: Document) -> Bundle:
        """What the working files are for a workflow."""
        return self._captured[document.digest].bundle

    async def outside(self, run: Run) -> Outside:
        """What a run of any version is made of. Raises: UserError `unknown-version`, `unreadable-version`."""
        wanted = bundle_of(run.versions)
        if wanted is None or self.registry is None:
            return self._outside
        _, outside = await self._at(wanted)
        return outside

    async def _at(self, digest: str) -> tuple[Rooms, Outside]:
        if digest in self._working:
            return self._rooms, self._outside
        if digest not in self._pinned:
            self._pinned[digest] = asyncio.ensure_future(self._open(digest))
        try:
            return await asyncio.shield(self._pinned[digest])
        except BaseException:
            if self._pinned[digest].done():
                del self._pinned[digest]
            raise

    async def _open(self, digest: str) -> tuple[Rooms, Outside]:
        rooms = await self._read(digest, self._rooms.shared, self._stack)
        rooms.models.join(self._rooms.models)
        return rooms, self._make(rooms)

    @asynccontextmanager
    async def apart(self, bundle: Bundle) -> AsyncGenerator[Rooms]:
        """A version's rooms by themselves: nobody hears its models, and no session of the store is open in them.

        Raises: UserError `unreadable-version`, `version-unkept`.
        """
        shared = replace(self._rooms.shared, sessions=Sessions())
        async with AsyncExitStack() as stack:
            yield await self._read(bundle.digest, shared, stack)

    async def _read(self, digest: str, shared: Shared, stack: AsyncExitStack) -> Rooms:
        registry = self._kept()
        kept = await registry.find(digest)
        contents = await registry.contents(kept.bundle)
        project = await asyncio.to_thread(pinned_project, self._rooms.project, kept.bundle, contents)
        rooms = await read_rooms(project, shared, stack, nameable=kept.bundle.nameable)
        if rooms.checked.broken or rooms.checked.gate is None:
            finding = next(each for each in rooms.checked.findings if each.severity == "error")
            raise UserError(
                "unreadable-version",
                f"This release cannot use version {digest[:12]} of {kept.bundle.workflow}: {finding}",
                hint="Cancel the run, or finish it with the release that began it.",
            )
        return rooms

    def _kept(self) -> Registry:
        if self.registry is None:
            raise UserError("version-unkept", "Nothing is kept here, so there are no versions.")
        return self.registry

    async def _from(self) -> str | None:
        self._origin = await asyncio.to_thread(origin_of, self._rooms.project.root)
        return self._origin
