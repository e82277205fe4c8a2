"""Spans as a collector receives them, over OTLP, from real runs."""

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from orchestrion.app import open_app
from orchestrion.core import Run, RunStatus

pytestmark = pytest.mark.anyio

PARENT = """
document: { dsl: '1.0.3', namespace: test, name: parent, version: '1.0.0' }
do:
  - ask: { call: http, with: { method: get, endpoint: 'http://127.0.0.1:%d/hello' } }
  - begin: { run: { workflow: { namespace: test, name: child, version: '1.0.0', input: {} } } }
"""
CHILD = """
document: { dsl: '1.0.3', namespace: test, name: child, version: '1.0.0' }
do:
  - rest: { wait: { milliseconds: 5 } }
"""
FAILING = """
document: { dsl: '1.0.3', namespace: test, name: failing, version: '1.0.0' }
do:
  - ask: { call: http, with: { method: get, endpoint: 'http://127.0.0.1:%d/secret-of-a-customer' } }
"""
POLICY = "permit (principal, action, resource);\n"


class Listener(ThreadingHTTPServer):
    """A collector and, at other paths, a service; both on one port."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.spans: list[Span] = []
        self.authorization: set[str | None] = set()
        self.traceparents: list[str | None] = []
        self.port: int = self.server_address[1]


class _Answering(BaseHTTPRequestHandler):
    server: Listener  # pyright: ignore[reportIncompatibleVariableOverride] it is never another one

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        self.server.authorization.add(self.headers.get("Authorization"))
        self.server.spans += [
            span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        self._answer(200, b"")

    def do_GET(self) -> None:
        self.server.traceparents.append(self.headers.get("traceparent"))
        self._answer(200 if self.path == "/hello" else 404, b"hello")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
        pass


@contextmanager
def listening() -> Generator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def project(folder: Path, port: int, telemetry: str) -> Path:
    (folder / "workflows").mkdir()
    (folder / "policies").mkdir()
    (folder / "policies" / "all.cedar").write_text(POLICY)
    (folder / "token").write_text("Bearer of-the-collector")
    (folder / "orchestrion.yaml").write_text(
        f"egress: {{ allow: ['127.0.0.1:{port}'] }}\nsecrets: {{ token: {{ file: token }} }}\n{telemetry}"
    )
    for name, text in (("parent", PARENT), ("child", CHILD), ("failing", FAILING)):
        (folder / "workflows" / f"{name}.yaml").write_text(text % port if "%d" in text else text)
    return folder


async def ran(folder: Path, name: str) -> Run:
    async with open_app(folder) as app:
        run = await app.start(app.checked.shelf.named(name), {})
        return await app.engine.settle(run.id)


def telemetry(endpoint: str) -> str:
    return f"telemetry: {{ endpoint: '{endpoint}', headers: {{ Authorization: {{ secret: token }} }} }}\n"


async def test_a_run_and_what_it_called_are_one_trace(tmp_path: Path) -> None:
    with listening() as server:
        run = await ran(project(tmp_path, server.port, telemetry(f"http://127.0.0.1:{server.port}")), "parent")

    assert run.status is RunStatus.COMPLETED, run.problem
    spans = {span.name: span for span in server.spans}
    assert {span.trace_id.hex() for span in server.spans} == {run.id.replace("-", "")}
    assert sorted(spans) == ["http", "run test/child", "run test/parent", "test/child", "timer"]
    above = {span.span_id: span.name for span in server.spans}
    assert {name: above.get(span.parent_span_id) for name, span in spans.items()} == {
        "run test/parent": None,
        "http": "run test/parent",
        "test/child": "run test/parent",
        "run test/child": "test/child",
        "timer": "run test/child",
    }
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in server.spans)
    assert server.traceparents == [f"00-{spans['http'].trace_id.hex()}-{spans['http'].span_id.hex()}-01"]
    assert server.authorization == {"Bearer of-the-collector"}


async def test_a_failure_is_told_by_its_code_and_without_data(tmp_path: Path) -> None:
    with listening() as server:
        run = await ran(project(tmp_path, server.port, telemetry(f"http://127.0.0.1:{server.port}")), "failing")

    assert run.status is RunStatus.FAULTED
    assert {span.name: span.status.code for span in server.spans} == {
        "http": Status.STATUS_CODE_ERROR,
        "run test/failing": Status.STATUS_CODE_ERROR,
    }
    assert "secret-of-a-customer" not in str(server.spans)


async def test_runs_do_not_care_whether_the_collector_is_there(tmp_path: Path) -> None:
    with listening() as server:
        nobody = telemetry("http://127.0.0.1:1").replace(" }\n", ", timeout: 0.2 }\n")
        run = await ran(project(tmp_path, server.port, nobody), "parent")

    assert run.status is RunStatus.COMPLETED
    assert server.spans == []


async def test_nothing_is_sent_and_no_header_added_unless_it_is_set(tmp_path: Path) -> None:
    with listening() as server:
        await ran(project(tmp_path, server.port, ""), "parent")

    assert server.spans == []
    assert server.traceparents == [None]
