"""Waiting for a run on behalf of a client, who is told of its steps meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from orchestrion.app import App, Settled, settled
from orchestrion.core import Run

from ._answers import durable
from ._live import PAGE, PAUSE_S
from ._runs import required

STOP_S = 5.0
"""Seconds that a run which is cancelled is waited for."""
Tell = Callable[[int, str], Awaitable[None]]
"""Hears how many steps have begun, and the task of the latest."""


async def waited(app: App, run_id: str, *, within_s: float, closing: asyncio.Event, tell: Tell) -> Settled:
    """The run once it has ended, asks people something, or has taken `within_s`; sooner if the server closes.

    Raises: UserError `unknown-run`.
    """
    await required(app, run_id)
    ending = asyncio.ensure_future(settled(app, run_id, within_s=within_s))
    closed = asyncio.ensure_future(closing.wait())
    telling = asyncio.ensure_future(_told(app, run_id, tell))
    try:
        await asyncio.wait([ending, closed], return_when=asyncio.FIRST_COMPLETED)
        return ending.result() if ending.done() else Settled(run=await required(app, run_id))
    finally:
        for task in (ending, closed, telling):
            task.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _told(app: App, run_id: str, tell: Tell) -> None:
    """Tell of every step that begins, until cancelled."""
    journal, after, begun = durable(app), -1, 0
    with app.feed.follow(run_id) as follower:
        while True:
            follower.take()
            while page := await journal.changes(run_id, after, limit=PAGE):
                after, latest = page[-1]
                begun += len(page)
                await tell(begun, latest.task)
            await follower.news.wait()
            await asyncio.sleep(PAUSE_S)


async def stopped(app: App, run_id: str, by: str) -> Run:
    """Have a run stop, and wait for that a little. Raises: UserError `unknown-run`, `run-ended`."""
    await app.engine.cancel(run_id, by)
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            return await app.engine.settle(run_id)
    return await required(app, run_id)
