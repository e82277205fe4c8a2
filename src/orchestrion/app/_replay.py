"""Replays: runs of the past again with a candidate, in memory, answered from their recordings. Nothing is performed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from orchestrion.core import (
    Catalog,
    Clock,
    Entry,
    Journal,
    Json,
    Leaf,
    Nature,
    OrchestrionError,
    Run,
    RunFilter,
    RunStatus,
    UserError,
    is_composite,
)
from orchestrion.engine import DryRun, Engine, Limits, Recording
from orchestrion.interpreter import SEMANTICS, Interpreter
from orchestrion.journal import MemoryJournal
from orchestrion.models import Slots
from orchestrion.oversight import Behaviour, Difference, Likeness, behaviour, compare, likeness
from orchestrion.registry import Bundle, bundle_of

from ._records import records_of
from ._rooms import Rooms, outside_of
from ._together import together
from ._versions import Versions
from ._workflows import Workflows, input_labels, require_input

if TYPE_CHECKING:
    from ._app import App

Tell = Callable[[int, int], None]
"""How many runs are done, of how many."""
COMPARABLE = (RunStatus.COMPLETED, RunStatus.FAULTED)
"""Runs that ended by themselves: what a person stopped says little of a version."""
OWN = frozenset({"model:1.0.0", "session:1.0.0"})
"""Calls of agents that change nothing outside."""
AT_ONCE = 20
MOST_AGAIN = 4
"""Answers that a replay may ask for, for each entry of the recording: a candidate may loop where nothing did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedRun:
    """One run again."""

    run: Run
    """As it was."""
    likeness: Likeness
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a candidate did with the runs of the past, the latest first."""

    bundle: Bundle
    runs: Sequence[ReplayedRun]

    def group(self, likeness: Likeness) -> list[ReplayedRun]:
        return [each for each in self.runs if each.likeness is likeness]

    @property
    def differs(self) -> bool:
        """Whether any run does more than say the same in other words."""
        return any(each.likeness.gravity > Likeness.WORDS.gravity for each in self.runs)


@dataclass(slots=True)
class _Stage:
    """The recording that each run is answered from, by the run's id."""

    runs: dict[str, DryRun] = field(default_factory=dict[str, DryRun])

    def of(self, run: Run) -> DryRun:
        return self.runs[run.root_id or run.id]


async def replay(
    app: "App",
    bundle: Bundle,
    *,
    last: int,
    statuses: Sequence[RunStatus] = COMPARABLE,
    ask_models: bool = False,
    tell: Tell = lambda _, __: None,
) -> Replayed:
    """Play the last ended runs of the bundle's workflow again with it. With `ask_models`, new requests to models are really made.

    Raises: UserError `no-runs`, and as `Versions.apart`.
    """
    runs = await _last_runs(app, bundle, last, statuses)
    if not runs:
        raise UserError(
            "no-runs",
            f"No run of {bundle.workflow} has ended as {' or '.join(statuses)}.",
            hint="A replay needs runs of the past: orchestrion runs list.",
        )
    done = 0
    places = asyncio.Semaphore(AT_ONCE)
    async with open_replays(app.versions, app.journal, app.clock, bundle, ask_models=ask_models) as replays:

        async def one(run: Run) -> ReplayedRun:
            nonlocal done
            async with places:
                found = await replays.play(run)
            done += 1
            tell(done, len(runs))
            return found

        return Replayed(bundle=bundle, runs=await together(one(run) for run in runs))


async def _last_runs(app: "App", bundle: Bundle, last: int, statuses: Sequence[RunStatus]) -> list[Run]:
    namespace, _, name = bundle.workflow.partition("/")
    which = RunFilter(status=statuses, workflow=name, limit=min(max(last, 50), 500))
    found: list[Run] = []
    while len(found) < last:
        page = await app.journal.runs(which)
        found += [run for run in page if run.namespace == namespace and run.parent_id is None]
        if len(page) < which.limit:
            break
        which = replace(which, before_id=page[-1].id)
    return found[:last]


@asynccontextmanager
async def open_replays(
    versions: Versions, journal: Journal, clock: Clock, bundle: Bundle, *, ask_models: bool = False
) -> AsyncGenerator["Replays"]:
    """A candidate ready to play runs of a journal again. Raises: as `Versions.apart`."""
    async with versions.apart(bundle) as rooms:
        slots = Slots(clock)
        rooms.models.share(slots)
        try:
            yield Replays(versions, journal, clock, bundle, rooms, ask_models=ask_models)
        finally:
            await slots.close()


class Replays:
    """Plays runs again with one candidate, each in a memory of its own that is forgotten at once."""

    def __init__(
        self, versions: Versions, journal: Journal, clock: Clock, bundle: Bundle, rooms: Rooms, *, ask_models: bool
    ) -> None:
        self._versions = versions
        self._journal = journal
        self._clock = clock
        self._bundle = bundle
        self._rooms = rooms
        self._ask_models = ask_models
        self._interpreter = Interpreter(rooms.shared.expressions)
        self._document = rooms.checked.shelf.named(bundle.workflow)

    async def play(self, run: Run) -> ReplayedRun:
        """Play an ended run of the store again, and compare."""
        recorded = await records_of(self._journal, run)
        try:
            require_input(self._document, run.input)
        except UserError as error:
            words = f"it would not begin: {error.message}"
            return _replayed(run, [Difference(kind=Likeness.FAULTED, words=words)])
        recording = Recording(recorded, changed=await self._changes(run))
        most = MOST_AGAIN * sum(len(entries) for _, entries in recorded)
        dry = DryRun(recording=recording, reads=self._reads)
        dry.most += most
        known = await self._catalogs(run)
        before = behaviour(recorded, lambda entry: _writes(entry, known))
        after = await self._walked(run, dry, known)
        return _replayed(run, compare(before, after))

    async def _walked(self, run: Run, dry: DryRun, known: Sequence[Catalog]) -> Behaviour:
        clock = self._clock
        memory = MemoryJournal(clock)
        workflows = Workflows(self._rooms.checked.shelf, memory, self._interpreter, clock)
        outside = outside_of(self._rooms, memory, self._interpreter, now=self._rooms, express=False)
        engine = Engine(
            journal=memory,
            interpret=workflows.interpret,
            outside=replace(outside, gate=self._rooms.checked.require_sound()),  # an emergency is about now
            clock=clock,
            semantics=SEMANTICS,
            limits=Limits(),
            dry=_Stage({run.id: dry}),
        )
        pinned = await workflows.pin(
            self._document,
            run_id=run.id,
            value=run.input,
            labels=input_labels(self._document),
            versions=cast("Json", {"bundle": self._bundle.digest}),
        )
        async with engine:
            await engine.start(replace(pinned, subject=run.subject))
            ended = await engine.settle(run.id)
            records = await records_of(memory, ended)
        assert dry.recording is not None
        return behaviour(records, lambda entry: _writes(entry, known), dry.recording.gap)

    def _reads(self, nature: Nature) -> bool:
        """What is asked for real: the candidate's own documents, and models if that is wanted."""
        if nature.resource[0] == "Model":
            return self._ask_models
        return nature.effect == "read" and nature.resource == ("Function", "retrieve")

    async def _changes(self, run: Run) -> Callable[[Nature], bool]:
        """Whether something of the settings that answered under the same name is another one in the candidate."""
        digest, registry = bundle_of(run.versions), self._versions.registry
        if digest is None or registry is None:
            return lambda _: False
        was, now = (await registry.find(digest)).bundle.pieces, self._bundle.pieces
        return lambda nature: any(
            was.get(piece) != now.get(piece) for piece in _pieces(nature) if piece in was or piece in now
        )

    async def _catalogs(self, run: Run) -> list[Catalog]:
        """Where it is looked up what a call does: in the candidate, and for what it has no more, in the run's own version."""
        try:
            return [self._rooms.catalog, (await self._versions.outside(run)).catalog]
        except UserError:
            return [self._rooms.catalog]


def _replayed(run: Run, differences: Sequence[Difference]) -> ReplayedRun:
    return ReplayedRun(run=run, likeness=likeness(differences), differences=differences)


def _pieces(nature: Nature) -> Sequence[str]:
    kind, name = nature.resource
    return {"Model": (f"settings/models/{name}",), "Mcp": (f"settings/mcp/{name}",)}.get(kind, ())


def _writes(entry: Entry, known: Sequence[Catalog]) -> bool:
    """Whether a recorded call changed something outside. One that nobody knows any more is taken for one that did."""
    if entry.function in OWN:
        return False
    arguments = cast("Mapping[str, Json]", entry.input)
    for catalog in known:
        try:
            function = catalog.resolve(entry.function)
            return not is_composite(function) and cast("Leaf", function).nature(arguments).effect == "write"
        except OrchestrionError:
            continue
    return True
