"""The outside world of crash tests: an HTTP server that counts what was done to it."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ._crash import Moment

HANG_S = 20.0


class CountingServer:
    """Effects by path: how often each was asked for, and under how many idempotency keys.

    GET answers with the effects so far. POST /anything is done; /flaky fails twice per key with 503 before it is done; /missing is a 404; /hang never answers in time.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.done: dict[str, set[str]] = {}
        self.address = ""
        self.stopping = threading.Event()
        self.watch: Callable[[int, Moment], None] = lambda _, __: None
        """Called with the number of the request, before its effect and after it, while the client waits."""
        self._lock = threading.Lock()
        self._failures: Counter[str] = Counter()

    def receive(self, path: str, key: str) -> int:
        """Note a POST; the status to answer with."""
        with self._lock:
            self.requests[path] += 1
            number = self.requests.total()
        self.watch(number, "before")
        status = self._take(path, key)
        self.watch(number, "after")
        return status

    def _take(self, path: str, key: str) -> int:
        with self._lock:
            if path == "/missing":
                return 404
            if path == "/flaky" and self._failures[key] < 2:
                self._failures[key] += 1
                return 503
            self.done.setdefault(path, set()).add(key)
            return 200

    def forget(self) -> None:
        """Begin to count anew."""
        with self._lock:
            self.requests.clear()
            self.done.clear()
            self._failures.clear()

    def effects(self) -> dict[str, int]:
        """Path → how many different effects there were."""
        with self._lock:
            return {path: len(keys) for path, keys in sorted(self.done.items()) if path != "/hang"}


@contextmanager
def counting_server() -> Generator[CountingServer]:
    """A server on a free port of this machine."""
    server = CountingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            status = server.receive(self.path, self.headers.get("Idempotency-Key", ""))
            if self.path == "/hang":
                server.stopping.wait(HANG_S)
            answer = json.dumps({"path": self.path, "got": json.loads(body) if body else None}).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                return

        do_PUT = do_POST  # noqa: N815 the name http.server looks for

        def do_GET(self) -> None:
            answer = json.dumps(server.effects()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in http.server
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server.address = f"127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()
