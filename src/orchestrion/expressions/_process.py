"""One child process that runs jq, seen from this side."""

import asyncio
import importlib.util
import signal
import socket
import subprocess
import sys
from pathlib import Path

from orchestrion.core import BugError

from ._worker import OUT_OF_MEMORY

_EXITS = {-signal.SIGPROF: "deadline", -signal.SIGABRT: "memory", OUT_OF_MEMORY: "memory", -signal.SIGKILL: "killed"}
"""Why a process ended, by its exit code. SIGABRT is jq's answer to a failed allocation."""


class WorkerEnded(Exception):
    """The process ended before it answered."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Worker:
    """A child process and the socket to it; one request at a time.

    Reads with `add_reader` on a socket pair: half the time per round trip that asyncio's pipes and transports take.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", ours: socket.socket) -> None:
        self._process = process
        self._socket = ours
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None
        self.alive = True
        self._loop.add_reader(ours.fileno(), self._readable)

    @classmethod
    def start(cls, cpu_s: float, memory_bytes: int, result_bytes: int) -> "Worker":
        """Begin a process; it loads while the first request is on its way."""
        spec = importlib.util.find_spec("jq")
        if spec is None or spec.origin is None:
            raise BugError("jq-missing", "The jq extension is not installed.")
        script = str(Path(__file__).with_name("_worker.py"))
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(  # noqa: S603  every argument is ours
                [sys.executable, "-I", "-S", script, spec.origin, str(cpu_s), str(memory_bytes), str(result_bytes)],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for the process that owns the work, which then ends this one
            )
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Send a request and wait for its answer. Raises: WorkerEnded."""
        answer = self._answer = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, _fail, answer, TimeoutError())
        try:
            await self._send(len(request).to_bytes(4, "little") + request)
            return await answer
        except (EOFError, BrokenPipeError, ConnectionResetError):
            code = await asyncio.to_thread(self._process.wait)
            raise WorkerEnded(_EXITS.get(code, "crashed")) from None
        except TimeoutError:
            raise WorkerEnded("deadline") from None
        finally:
            timer.cancel()
            self._answer = None
            if not answer.cancel() and not answer.cancelled():
                answer.exception()  # it may have failed while the request was still being sent; nobody else looks

    async def stop(self) -> None:
        """Kill the process and collect it."""
        self._ended()
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self._socket.close()

    async def _send(self, frame: bytes) -> None:
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            sent = 0
        if sent < len(frame):
            await self._loop.sock_sendall(self._socket, memoryview(frame)[sent:])

    def _readable(self) -> None:
        try:
            part = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            part = b""
        if not part:
            self._ended()
            return
        self._received += part
        if len(self._received) >= 4 + int.from_bytes(self._received[:4], "little"):
            frame = bytes(self._received[4:])
            self._received.clear()
            if self._answer and not self._answer.done():
                self._answer.set_result(frame)

    def _ended(self) -> None:
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._socket.fileno())
        if self._answer:
            _fail(self._answer, EOFError())


def _fail(answer: "asyncio.Future[bytes]", error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
