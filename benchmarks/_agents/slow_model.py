"""A model that keeps everybody waiting until it is told to answer, behind the OpenAI-compatible API on a socket of this machine."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class SlowModel:
    says: str
    address: str = ""
    waiting: int = 0
    """Requests that have come and are not answered."""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer_one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.waiting += 1
        await self.may_answer.wait()
        self.waiting -= 1
        body = json.dumps(
            {
                "id": "slow",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "slow",
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": self.says},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20},
            }
        ).encode()
        lines = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(lines.encode() + body)
        await writer.drain()


@asynccontextmanager
async def slow_model(says: str) -> AsyncGenerator[SlowModel]:
    """One that answers at once until `may_answer` is cleared."""
    model = SlowModel(says)
    model.may_answer.set()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    model.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield model
    finally:
        server.close()
