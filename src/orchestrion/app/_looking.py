"""What a process that advances runs looks after beside it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Protocol

from orchestrion.core import OrchestrionError


class Looker(Protocol):
    async def keep_looking(self) -> None:
        """Until cancelled."""
        ...

    async def look_at_last(self) -> None:
        """What is still done when the process ends: where each command is one of its own, there is no other time."""
        ...


def look_after(looker: Looker, stack: AsyncExitStack) -> None:
    """Look from now on, until `stack` is closed."""
    stack.push_async_callback(_stop, asyncio.create_task(looker.keep_looking()), looker)


async def _stop(task: "asyncio.Task[None]", looker: Looker) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with suppress(OrchestrionError):
        await looker.look_at_last()
