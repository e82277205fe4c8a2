"""An OpenAI-compatible server on this machine, for tests: it says what a script tells it to, and misbehaves on request.

It is no language model and says so, in its `Server` header and in the `system_fingerprint` of every answer. It speaks HTTP over a
real socket, so clients meet real status codes, real cut connections and real silence. Who asks for a stream gets the same answer as
server-sent events.

```python
async with OpenAIServer([Status(429, retry_after=0), Says("Hello")]) as server:
    ...  # ask server.base_url twice
```
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias, assert_never

from ._crash import Moment

NAME = "orchestrion-test-server"
_JSON = "application/json"
_EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Says:
    """A text as the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Tool calls as the answer: (tool, arguments). Arguments given as text are sent as they are, be they JSON or not."""

    calls: Sequence[tuple[str, dict[str, Any] | str]]
    same_id: bool = False
    """Every call gets one and the same id; otherwise they are counted, in every answer anew. Providers do either."""


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error."""

    code: int
    retry_after: int | str | None = None
    """Seconds, or a date as HTTP writes one."""
    error: str = "the test wants it so"


@dataclass(frozen=True, slots=True)
class Raw:
    """Any body with status 200, such as half an answer."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Hangs:
    """Nothing, until the server stops."""


@dataclass(frozen=True, slots=True)
class Drops:
    """The connection is cut after the first bytes."""


@dataclass(frozen=True, slots=True)
class Silent:
    """An answer with nothing in it."""


@dataclass(frozen=True, slots=True)
class Refuses:
    """The model declines, as `refusal` in its answer says; with `filtered`, the provider's filter ended the answer."""

    text: str = "I cannot help with that."
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Dribbles:
    """A text whose body comes a byte at a time, with a pause after each."""

    text: str
    pause_s: float


@dataclass(frozen=True, slots=True)
class Streams:
    """A text in pieces, as server-sent events."""

    pieces: Sequence[str]
    pause_s: float = 0.0
    cut: bool = False
    """The connection ends after the last piece, in the middle of the answer."""
    stalls: bool = False
    """Nothing follows the last piece until the server stops."""


@dataclass(frozen=True, slots=True)
class Late:
    """Another answer, after a while."""

    seconds: float
    then: "Behaviour"


Behaviour: TypeAlias = Says | Calls | Status | Raw | Hangs | Drops | Silent | Refuses | Dribbles | Streams | Late


@dataclass
class OpenAIServer:
    """Serves `script`, one behaviour a request; the last one goes on for ever."""

    script: Sequence[Behaviour]
    by_answers: bool = False
    """The behaviour is chosen by how many answers the conversation has already, so that who asks again is told the same."""
    watch: Callable[[int, Moment], None] = field(default=lambda _, __: None)
    """Called with the number of the request, before it is answered and after, while the client waits."""
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Bodies of all requests, as they came."""
    keys: list[str] = field(default_factory=list[str])
    """Their `Authorization` headers."""
    base_url: str = ""

    @property
    def address(self) -> str:
        """Host and port."""
        return self.base_url.removeprefix("http://").removesuffix("/v1")

    async def __aenter__(self) -> "OpenAIServer":
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # a stream handler runs in a task
        self._open.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked: dict[str, Any] = json.loads(body) if body else {}
        at = answers_in(asked) if self.by_answers else len(self.requests)
        self.requests.append(asked)
        self.keys.append(headers.get("authorization", ""))
        number = len(self.requests)
        self.watch(number, "before")
        goes_on = await self._behave(self.script[min(at, len(self.script) - 1)], writer, bool(asked.get("stream")))
        self.watch(number, "after")
        return goes_on

    async def _behave(self, behaviour: Behaviour, writer: asyncio.StreamWriter, streaming: bool) -> bool:
        match behaviour:
            case Late(seconds=seconds, then=then):
                await asyncio.sleep(seconds)
                return await self._behave(then, writer, streaming)
            case Says() | Calls() | Silent() | Refuses():
                await _send(writer, 200, self._answer(behaviour, streaming), kind=_EVENTS if streaming else _JSON)
            case Status(code=code, retry_after=retry_after, error=error):
                extra = {} if retry_after is None else {"Retry-After": str(retry_after)}
                await _send(writer, code, json.dumps({"error": {"message": error, "type": "test"}}).encode(), extra)
            case Raw(body=body):
                await _send(writer, 200, body, kind=_EVENTS if streaming else _JSON)
            case Dribbles(text=text, pause_s=pause_s):
                whole = self._answer(Says(text), streaming)
                await self._dribble(writer, whole, pause_s, _EVENTS if streaming else _JSON)
            case Streams():
                await self._stream(writer, behaviour)
                return False
            case Hangs():
                await self._stop.wait()
                return False
            case Drops():
                kind = _EVENTS if streaming else _JSON
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n{{".encode())
                await writer.drain()
                return False
            case _:
                assert_never(behaviour)
        return True

    def _answer(self, behaviour: Says | Calls | Silent | Refuses, streaming: bool) -> bytes:
        message, reason = _message(behaviour)
        return self._events(message, reason) if streaming else self._completion(message, reason)

    async def _dribble(self, writer: asyncio.StreamWriter, body: bytes, pause_s: float, kind: str) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for at in range(len(body)):
            writer.write(body[at : at + 1])
            await writer.drain()
            await asyncio.sleep(pause_s)

    async def _stream(self, writer: asyncio.StreamWriter, wanted: Streams) -> None:
        head = f"HTTP/1.1 200 OK\r\nServer: {NAME}\r\nContent-Type: {_EVENTS}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        for piece in wanted.pieces:
            writer.write(self._event({"role": "assistant", "content": piece}))
            await writer.drain()
            await asyncio.sleep(wanted.pause_s)
        if wanted.stalls:
            await self._stop.wait()
        if wanted.cut or wanted.stalls:
            return
        writer.write(self._ending("stop"))
        await writer.drain()

    def _events(self, message: dict[str, Any], reason: str) -> bytes:
        """A whole answer as events: arguments of calls come in two pieces."""
        calls: list[dict[str, Any]] = message.get("tool_calls", [])
        found = b"" if calls else self._event(message)
        for index, call in enumerate(calls):
            arguments: str = call["function"]["arguments"]
            half = len(arguments) // 2
            begun = {**call, "function": {**call["function"], "arguments": arguments[:half]}}
            found += self._event({"role": "assistant", "tool_calls": [{"index": index, **begun}]})
            found += self._event({"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]})
        return found + self._ending(reason)

    def _event(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        return self._data(choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

    def _ending(self, reason: str) -> bytes:
        usage = json.loads(self._completion({}, reason))["usage"]
        return self._event({}, reason) + self._data(choices=[], usage=usage) + b"data: [DONE]\n\n"

    def _data(self, **more: Any) -> bytes:
        whole = json.loads(self._completion({}, ""))
        shared = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint")}
        return f"data: {json.dumps({**shared, 'object': 'chat.completion.chunk', **more})}\n\n".encode()

    def _completion(self, message: dict[str, Any], reason: str) -> bytes:
        return json.dumps(
            {
                "id": f"test-{len(self.requests)}",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "gpt-4o-mini",
                "system_fingerprint": NAME,
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
            }
        ).encode()


def answers_in(asked: Mapping[str, Any]) -> int:
    """How many answers the conversation of a request holds."""
    return sum(message["role"] == "assistant" for message in asked["messages"])


def _message(behaviour: Says | Calls | Silent | Refuses) -> tuple[dict[str, Any], str]:
    """What is said, and why it ends."""
    match behaviour:
        case Says(text=text):
            return {"role": "assistant", "content": text}, "stop"
        case Calls():
            return _tool_calls(behaviour), "tool_calls"
        case Silent():
            return {"role": "assistant", "content": None}, "stop"
        case Refuses(text=text, filtered=filtered):
            said = {"role": "assistant", "content": None, **({} if filtered else {"refusal": text})}
            return said, "content_filter" if filtered else "stop"


def _tool_calls(wanted: Calls) -> dict[str, Any]:
    calls = [
        {
            "id": "call" if wanted.same_id else f"call-{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(wanted.calls)
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


async def _send(
    writer: asyncio.StreamWriter, code: int, body: bytes, extra: dict[str, str] | None = None, *, kind: str = _JSON
) -> None:
    headers = {
        "Server": NAME,
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        **(extra or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {code} Status\r\n{lines}\r\n".encode("latin-1") + body)
    await writer.drain()
