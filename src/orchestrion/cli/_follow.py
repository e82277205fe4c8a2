"""Answers of agents on the terminal, as they are made."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rich.markup import escape

from orchestrion.app import App
from orchestrion.models import Listener

from ._terminal import err


@asynccontextmanager
async def following(app: App, *, wanted: bool) -> AsyncGenerator[None]:
    """Show what agents say while the block runs, on standard error, if that is wanted."""
    if not wanted:
        yield
        return
    with app.listen() as listener:
        showing = asyncio.ensure_future(_show(listener))
        try:
            yield
        finally:
            listener.end()
            await showing
            err.print()


async def _show(listener: Listener) -> None:
    async for chunk in listener:
        match chunk.kind:
            case "reset":
                again = f" (attempt {chunk.attempt})" if chunk.attempt > 1 else ""
                err.print(f"\n[dim]{escape(chunk.key)}{again}[/dim]")
            case "lost":
                err.print(f"[dim]… {chunk.lost} pieces not shown …[/dim]", end="")
            case "text" | "json":
                err.print(escape(chunk.text), end="", soft_wrap=True)
