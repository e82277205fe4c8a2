"""`orchestrion sessions`: the conversations of agents."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table

from orchestrion.agents import Sessions, SessionTurn
from orchestrion.core import Json, SystemClock, UserError, iso
from orchestrion.journal import DurableJournal

from ._runs import journal_of
from ._terminal import COMPLETED, err, execute, out, print_json


def list_sessions(limit: int, *, project: Path, as_json: bool) -> None:
    async def work(sessions: Sessions | None) -> None:
        found = await sessions.listed(limit) if sessions else []
        if as_json:
            print_json(
                [
                    {
                        "name": each.name,
                        "agent": each.agent,
                        "turns": each.turns,
                        "created_at": iso(each.created_at),
                        "updated_at": iso(each.updated_at),
                        "held_by": each.held_by,
                    }
                    for each in found
                ]
            )
            return
        if not found:
            err.print("No sessions yet. A call of `agent` or `team` with `session` begins one.")
            return
        table = Table(box=None, pad_edge=False)
        for column in ("session", "agent", "turns", "last used", "in use by"):
            table.add_column(column, overflow="fold")
        for each in found:
            used = iso(each.updated_at)[:19].replace("T", " ")
            table.add_row(each.name, each.agent, str(each.turns), used, each.held_by or "")
        out.print(table)

    _with_sessions(work, project, as_json=as_json)


def show_session(name: str, *, project: Path, as_json: bool) -> None:
    async def work(sessions: Sessions | None) -> None:
        turns = await sessions.shown(name) if sessions else []
        if not turns:
            raise _unknown(name)
        if as_json:
            print_json([_json(turn) for turn in turns])
            return
        for turn in turns:
            when = iso(turn.at)[:19].replace("T", " ")
            out.print(f"[bold]{turn.number}[/] {turn.agent}, {when}, run {turn.run_id}")
            if turn.labels:
                out.print(f"  labels: {', '.join(turn.labels)}", markup=False)
            for line in _lines(turn):
                out.print(f"  {line}", markup=False)

    _with_sessions(work, project, as_json=as_json)


def delete_session(name: str, *, project: Path, as_json: bool) -> None:
    async def work(sessions: Sessions | None) -> None:
        if sessions is None or not await sessions.deleted(name):
            raise _unknown(name)
        if as_json:
            print_json({"deleted": name})
        else:
            err.print(
                f"[green]✓[/] The session {name} is gone. The record of its runs stays as long as `retention` says."
            )

    _with_sessions(work, project, as_json=as_json)


def _with_sessions(work: Callable[[Sessions | None], Awaitable[None]], project: Path, *, as_json: bool) -> None:
    async def opened() -> int:
        async with AsyncExitStack() as stack:
            journal = await journal_of(stack, project)
            sessions = None
            if isinstance(journal, DurableJournal):
                sessions = Sessions()
                sessions.open(journal, SystemClock())
            await work(sessions)
        return COMPLETED

    execute(opened, as_json=as_json)


def _unknown(name: str) -> UserError:
    return UserError("unknown-session", f"There is no session {name!r}.", hint="orchestrion sessions list")


def _json(turn: SessionTurn) -> dict[str, Json]:
    return {
        "agent": turn.agent,
        "number": turn.number,
        "run": turn.run_id,
        "at": iso(turn.at),
        "labels": list(turn.labels),
        "messages": list(turn.messages),
    }


def _lines(turn: SessionTurn) -> list[str]:
    """What was said, one line a part."""
    lines: list[str] = []
    for message in turn.messages:
        parts = message.get("parts") if isinstance(message, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                said = part.get("content", part.get("args"))
                lines.append(f"{part.get('part_kind')} {part.get('tool_name', '')}: {said}".replace(" :", ":"))
    return lines
