"""pydantic-ai alone: the loop that our agents are built on, which keeps no record.

With `commits`, each answer and each result is inserted into SQLite by a thread of its own before the loop goes on: nothing can be
resumed from these rows, but they are the least that any record costs here, the waiting for the disk included.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from _noop_model import Noop
from _turns import DESCRIPTION, INSTRUCTIONS, QUESTION, TOOL, Noted, answer_turns
from _workload import place
from pydantic_ai import Agent, Tool
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings

Keep = Callable[[str], Awaitable[None]]


class Recorded(Noop):
    """The same, its answers kept."""

    def __init__(self, keep: Keep) -> None:
        super().__init__()
        self._keep = keep

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        answer = await super().request(messages, model_settings, model_request_parameters)
        await self._keep(str(answer.parts))
        return answer


class Rows:
    """A thread that commits one row after another."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._queue: queue.SimpleQueue[tuple[str, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    async def keep(self, text: str) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((text, done))
        await done

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        database = sqlite3.connect(self._file, isolation_level=None)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=full")
        database.execute("create table rows (text)")
        while (item := self._queue.get()) is not None:
            text, done = item
            database.execute("insert into rows values (?)", (text,))
            self._loop.call_soon_threadsafe(done.set_result, None)
        database.close()


async def _forget(_: str) -> None:
    """No record."""


async def main() -> None:
    where = place()
    rows = Rows(Path(where["folder"]) / "rows.db") if where["commits"] else None
    keep = rows.keep if rows else _forget

    async def note(number: int) -> str:
        noted = Noted.note(number)
        await keep(noted)
        return noted

    model = Recorded(keep) if rows else Noop()
    agent = Agent(model, instructions=INSTRUCTIONS, tools=[Tool(note, name=TOOL, description=DESCRIPTION)])

    async def run_turn(_: str) -> str:
        return (await agent.run(QUESTION)).output

    await answer_turns(run_turn, {"durability": "bare rows, WAL, synchronous=FULL" if rows else "none"})
    if rows:
        rows.close()


asyncio.run(main())
