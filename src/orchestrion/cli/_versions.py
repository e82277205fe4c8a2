"""`orchestrion versions`, `deploy` and `rollback`: what runs are made of, and which version new ones get."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from orchestrion.app import (
    App,
    Released,
    changes_between,
    open_app,
    registry_of,
    release,
    resolve,
    roll_back,
)
from orchestrion.core import Json, SystemClock, UserError, iso
from orchestrion.journal import DurableJournal
from orchestrion.registry import PRODUCTION, Bundle, Change, Kept, Move, Registry, differences, short, summary

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json, user_name


def list_versions(workflow: str | None, limit: int, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            registry = await _registry(stack, project)
            kept = await registry.listed(workflow, limit) if registry else ()
            aliases = await registry.aliases() if registry else ()
            pointing = {each.bundle.digest: _pointing(each.bundle, aliases) for each in kept}
            since = await _since(registry, kept) if registry else {}
        if as_json:
            print_json([_json(each, pointing[each.bundle.digest], since.get(each.bundle.digest)) for each in kept])
        elif kept:
            out.print(_table(kept, pointing, since))
        else:
            err.print("No versions yet. The first run keeps one, and so does `orchestrion deploy WORKFLOW`.")
        return COMPLETED

    execute(work, as_json=as_json)


def show_version(name: str, workflow: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            bundle = await resolve(app, name, workflow)
            registry = registry_of(app)
            kept = await registry.find(bundle.digest)
            moves = [move for move in await registry.moves(bundle.workflow) if move.bundle == bundle.digest]
            in_flight = (await registry.in_flight(bundle.workflow)).get(bundle.digest, 0)
            pointing = _pointing(bundle, await registry.aliases())
        if as_json:
            said = _json(kept, pointing, None)
            print_json(
                {
                    **said,
                    "pieces": dict(bundle.pieces),
                    "moves": [_move_json(move) for move in moves],
                    "in_flight": in_flight,
                }
            )
            return COMPLETED
        say(f"{bundle.workflow} {bundle.version}  {bundle.digest}")
        say(f"  kept {when(kept.created_at)} for {kept.created_by}{f', from {kept.source}' if kept.source else ''}")
        for move in moves:
            say(f"  {move.alias} since {when(move.at)}, by {move.by}{f': {move.why}' if move.why else ''}")
        say(f"  {in_flight} run{'s' if in_flight != 1 else ''} under way with it")
        for piece, digest in bundle.pieces.items():
            say(f"  {short(digest)}  {piece}")
        return COMPLETED

    execute(work, as_json=as_json)


def diff_versions(before: str, after: str, workflow: str | None, *, project: Path, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            first, second = await resolve(app, before, workflow), await resolve(app, after, workflow)
            changes = await changes_between(app, first, second)
        if as_json:
            versions: Json = {"before": first.digest, "after": second.digest}
            print_json({**versions, "changes": [_change_json(change) for change in changes]})
            return COMPLETED
        say(f"{short(first.digest)} → {short(second.digest)}  {second.workflow}")
        for line in lines_of(changes) or ["Nothing differs."]:
            say(line)
        return COMPLETED

    execute(work, as_json=as_json)


def deploy(
    workflow: str, version: str, alias: str, why: str, *, project: Path, user: str | None, as_json: bool
) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            bundle = await resolve(app, version, workflow, user_name(user))
            done = await release(app, bundle, alias, by=user_name(user), why=why)
        _tell(done, as_json=as_json)
        return COMPLETED

    execute(work, as_json=as_json)


def rollback(workflow: str, to: str | None, why: str, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work() -> int:
        async with AsyncExitStack() as stack:
            app = await app_of(stack, project)
            done = await roll_back(app, workflow, to, by=user_name(user), why=why)
        _tell(done, as_json=as_json)
        return COMPLETED

    execute(work, as_json=as_json)


async def app_of(stack: AsyncExitStack, project: Path) -> App:
    """The app; it only joins where another process advances the runs."""
    try:
        return await stack.enter_async_context(open_app(project))
    except UserError as error:
        if error.code != "store-in-use":
            raise
    return await stack.enter_async_context(open_app(project, mode="join"))


async def _registry(stack: AsyncExitStack, project: Path) -> Registry | None:
    journal = await journal_of(stack, project)
    return Registry(journal, SystemClock()) if isinstance(journal, DurableJournal) else None


async def _since(registry: Registry, kept: Sequence[Kept]) -> dict[str, list[Change]]:
    """Bundle → what differs from the one before it, where the list has that one."""
    found: dict[str, list[Change]] = {}
    for at, each in enumerate(kept):
        before = next((other for other in kept[at + 1 :] if other.bundle.workflow == each.bundle.workflow), None)
        if before is not None:
            contents = await registry.contents(before.bundle), await registry.contents(each.bundle)
            found[each.bundle.digest] = differences(*contents)
    return found


def _tell(done: Released, *, as_json: bool) -> None:
    move = done.move
    staying = {bundle: count for bundle, count in done.in_flight.items() if bundle != move.bundle}
    if as_json:
        print_json(
            {
                **_move_json(move),
                "changes": [_change_json(change) for change in done.changes],
                "in_flight": dict(staying),
            }
        )
        return
    err.print(f"[green]✓[/] {move.alias} of {move.workflow} is {short(move.bundle)} now", end="")
    err.print(f" (before: {short(move.before)})" if move.before else "", markup=False)
    for line in lines_of(done.changes):
        err.print(f"  {line}", markup=False)
    for bundle, count in staying.items():
        runs = "run under way stays" if count == 1 else "runs under way stay"
        err.print(f"  {count} {runs} with {short(bundle)}.", markup=False)
    if move.alias == PRODUCTION:
        err.print("  New runs get it, whoever starts them; `orchestrion run FILE` runs the working files.")


def lines_of(changes: Sequence[Change]) -> list[str]:
    """One line a change."""
    return [str(change) for change in changes]


def _table(kept: Sequence[Kept], pointing: Mapping[str, Sequence[str]], since: Mapping[str, Sequence[Change]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("version", no_wrap=True)
    table.add_column("workflow", overflow="fold")
    table.add_column("kept", no_wrap=True)
    table.add_column("what changed", overflow="fold", ratio=1)
    for each in kept:
        named = Text(short(each.bundle.digest))
        for alias in pointing[each.bundle.digest]:
            named.append(f"\n  ← {alias}", style="bold")
        told = Text(summary(since[each.bundle.digest]) if each.bundle.digest in since else "the first one listed")
        told.append(f"\n{each.created_by}{f', {each.source[:16]}' if each.source else ''}", style="dim")
        table.add_row(named, f"{each.bundle.workflow} {each.bundle.version}", when(each.created_at), told)
    return table


def _json(kept: Kept, aliases: Sequence[str], changes: Sequence[Change] | None) -> dict[str, Json]:
    return {
        "version": kept.bundle.digest,
        "workflow": kept.bundle.workflow,
        "document_version": kept.bundle.version,
        "aliases": list(aliases),
        "created_at": iso(kept.created_at),
        "created_by": kept.created_by,
        "source": kept.source,
        "changes": None if changes is None else [_change_json(change) for change in changes],
    }


def _change_json(change: Change) -> Json:
    return {"piece": change.piece, "what": change.what, "words": list(change.words)}


def _move_json(move: Move) -> dict[str, Json]:
    return {
        "workflow": move.workflow,
        "alias": move.alias,
        "version": move.bundle,
        "before": move.before,
        "at": iso(move.at),
        "by": move.by,
        "why": move.why,
    }


def _pointing(bundle: Bundle, aliases: Sequence[Move]) -> list[str]:
    return [move.alias for move in aliases if move.bundle == bundle.digest and move.workflow == bundle.workflow]


def when(at: float) -> str:
    return iso(at)[:16].replace("T", " ")


def say(line: str) -> None:
    out.print(line, markup=False, soft_wrap=True)
