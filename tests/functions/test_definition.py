"""Functions of catalogs and addresses, from a real server on loopback, in whole workflows."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrion.app import open_app
from orchestrion.core import Entry, Journal, Json, Run, RunStatus, SystemClock, UserError
from orchestrion.egress import Egress
from orchestrion.engine import DryRun
from orchestrion.engine import Mock as Mocked
from orchestrion.expressions import Expressions
from orchestrion.functions import Definition, HttpFunction, Tokens
from orchestrion.journal import DurableJournal, MemoryJournal
from orchestrion.store import Store
from orchestrion.testing import (
    CrashingJournal,
    Moment,
    Stage,
    interpreting,
    read_document,
    run_command,
    run_of,
    serving,
    walk_document,
)

pytestmark = pytest.mark.anyio

GREET = """
input: { schema: { document: { type: object, required: [name], properties: { name: { type: string } } } } }
output: { as: '${ .text }' }
set: { text: '${ "Hello, " + .name }' }
"""
LETTER = """
call: http
with: { method: post, endpoint: URL/letters, body: { to: '${ .name }' } }
"""


@dataclass
class Catalog:
    """Definitions by path, and the letters that its functions had sent."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    letters: list[Json] = field(default_factory=list[Json])
    url: str = ""

    async def define(self, request: Request) -> Response:
        path = request.url.path
        self.asked.append((path, request.headers.get("authorization")))
        text = self.texts.get(path)
        return Response(status_code=404) if text is None else Response(text.replace("URL", self.url))

    async def post(self, request: Request) -> Response:
        self.letters.append(await request.json())
        return JSONResponse({"number": len(self.letters)})


@asynccontextmanager
async def catalog(**texts: str) -> AsyncGenerator[Catalog]:
    """Functions by name, in version 1.0.0, below `/c`."""
    found = Catalog({f"/c/functions/{name}/1.0.0/function.yaml": text for name, text in texts.items()})
    routes = [Route("/letters", found.post, methods=["POST"]), Route("/{path:path}", found.define)]
    async with serving(Starlette(routes=routes)) as url:
        found.url = url
        yield found


class Vault:
    def get(self, name: str) -> Json:
        return f"value-of-{name}"


@asynccontextmanager
async def staged(root: Path | None = None, allow: str = "127.0.0.1") -> AsyncGenerator[Stage]:
    async with Egress([allow], timeout_s=5) as egress:
        tokens = Tokens(egress)
        functions = (Definition(egress, tokens, SystemClock(), root=root), HttpFunction(egress, tokens))
        yield Stage(functions=functions, secrets=Vault())


HEAD = """
document: { dsl: '1.0.3', namespace: test, name: greeting, version: '1.0.0' }
use:
  secrets: [KEY]
  catalogs: { ours: { endpoint: 'URL/c' } }
do:
"""
CALL = "  - greet: { call: 'greet:1.0.0@ours', with: { name: '${ .name }' } }\n"
GIVEN: Json = {"name": "Ana"}


async def walked(
    text: str, url: str = "", *, head: str = HEAD, stage: Stage | None = None
) -> tuple[Run, Mapping[str, Entry]]:
    journal = MemoryJournal(SystemClock())
    document = read_document((head + text).replace("URL", url))
    async with staged() as usual, Expressions() as expressions:
        run = await walk_document(document, GIVEN, journal=journal, stage=stage or usual, evaluator=expressions)
    return run, {entry.key: entry for entry in await journal.entries(run.id)}


def problem(run: Run) -> Mapping[str, Json]:
    assert run.status is RunStatus.FAULTED, run.output
    return cast("Mapping[str, Json]", run.problem)


async def test_a_function_of_a_catalog_is_called() -> None:
    async with catalog(greet=GREET) as ours:
        run, entries = await walked(CALL, ours.url)
        assert ours.asked == [("/c/functions/greet/1.0.0/function.yaml", None)]
    assert run.output == "Hello, Ana"
    read = entries["/do/0/greet#1/definition"]
    assert read.function == "definition:1.0.0"
    output = cast("Mapping[str, Json]", read.output)
    assert len(str(output["digest"])) == 64
    assert str(output["address"]).endswith("/c/functions/greet/1.0.0/function.yaml")
    assert read.labels == {"": ["untrusted"]}
    assert entries["/do/0/greet#1/call/greet#1"].labels == {"": ["untrusted"]}


async def test_a_function_is_called_by_its_address() -> None:
    async with catalog(greet=GREET) as ours:
        text = "  - greet: { call: 'URL/c/functions/greet/1.0.0/function.yaml', with: { name: Bo } }\n"
        run, _ = await walked(text, ours.url)
    assert run.output == "Hello, Bo"


async def test_a_catalog_is_asked_with_its_credentials_which_are_not_recorded() -> None:
    head = HEAD.replace(
        "{ endpoint: 'URL/c' }", "{ endpoint: { uri: 'URL/c/', authentication: { bearer: { use: KEY } } } }"
    )
    async with catalog(greet=GREET) as ours:
        run, entries = await walked(CALL, ours.url, head=head)
        assert ours.asked == [("/c/functions/greet/1.0.0/function.yaml", "Bearer value-of-KEY")]
    assert run.output == "Hello, Ana"
    assert "value-of-KEY" not in str(entries)


async def test_an_endpoint_may_be_an_expression() -> None:
    head = HEAD.replace("'URL/c'", "'${ \"URL/\" + $workflow.input.at }'")
    async with catalog(greet=GREET) as ours:
        journal = MemoryJournal(SystemClock())
        document = read_document((head + CALL).replace("URL", ours.url))
        async with staged() as stage, Expressions() as expressions:
            given = {"name": "Ana", "at": "c"}
            run = await walk_document(document, given, journal=journal, stage=stage, evaluator=expressions)
    assert run.output == "Hello, Ana"


async def test_a_run_knows_one_text_however_the_server_changes() -> None:
    """The first iteration changes what the server says; the second finds what the first had read."""
    text = """
  - each:
      for: { each: name, in: '${ ["Ana", "Bo"] }' }
      do:
        - greet: { call: 'greet:1.0.0@ours', with: { name: '${ $name }' }, export: { as: '${ [$context[]?, .] }' } }
        - change: { call: http, with: { method: get, endpoint: URL/change } }
      output: { as: '${ $context }' }
"""
    async with catalog(greet=GREET) as ours:
        ours.texts["/change"] = "changed"
        define = ours.define

        async def changing(request: Request) -> Response:
            answer = await define(request)
            if request.url.path == "/change":
                ours.texts["/c/functions/greet/1.0.0/function.yaml"] = GREET.replace("Hello", "Goodbye")
            return answer

        async with serving(Starlette(routes=[Route("/{path:path}", changing)])) as url:
            run, entries = await walked(text, url)
            assert run.output == ["Hello, Ana", "Hello, Bo"], run.problem
            again, _ = await walked(CALL, url)
            assert again.output == "Goodbye, Ana"
    assert len([key for key in entries if key.endswith("/definition")]) == 1


Opening = Callable[[], AbstractAsyncContextManager[Journal]]


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Opens the journal, the same one each time."""
    clock, memory = SystemClock(), MemoryJournal(SystemClock())
    place = request.getfixturevalue("postgresql") if request.param == "postgresql" else tmp_path / "runs.db"

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Journal]:
        if request.param == "memory":
            yield memory
            return
        with closing(Store.open(place, mode="own", clock=clock, blobs=str(tmp_path / "blobs"))) as store:
            yield (journal := DurableJournal(store, clock))
            await journal.close()

    return opened


def kill_points() -> list[Any]:
    """Before and after each of the first eight writes; some of them at each build."""
    moments: tuple[Moment, Moment] = ("before", "after")
    points = [(at, moment) for at in range(1, 9) for moment in moments]
    sampled = random.Random(20261130).sample(points, 5)
    return [pytest.param(*point, marks=[] if point in sampled else pytest.mark.soak) for point in points]


@pytest.mark.parametrize(("at", "moment"), kill_points())
async def test_a_killed_run_goes_on_with_the_text_it_began_with(opening: Opening, at: int, moment: Moment) -> None:
    """The server says something else by the second walk, or nothing; letters go out once."""
    text = CALL.replace("greet", "write").replace(" } }\n", " }, metadata: { idempotent: true } }\n")
    text += "  - again: { call: 'write:1.0.0@ours', with: { name: Bo } }\n"
    post = "do:\n" + "".join(
        f"  - step{i}: {{ call: http, with: {{ method: put, endpoint: URL/letters/{i}, body: {{ n: {i} }} }} }}\n"
        for i in (1, 2)
    )
    sent: list[str] = []

    async def put(request: Request) -> Response:
        key = request.headers["idempotency-key"]
        if key not in sent:
            sent.append(key)
        return JSONResponse({"sent": request.url.path})

    found = Catalog({"/c/functions/write/1.0.0/function.yaml": post})
    routes = [Route("/letters/{n}", put, methods=["PUT"]), Route("/{path:path}", found.define)]
    async with serving(Starlette(routes=routes)) as url, Expressions() as expressions:
        found.url = url
        document = read_document((HEAD + text).replace("URL", url))
        interpret = interpreting({document.digest: document}, expressions)
        async with opening() as inner, staged() as stage:
            crashing = CrashingJournal(inner, at=at, moment=moment)
            async with stage.engine(crashing.journal, interpret) as engine:
                await engine.start(run_of(document, GIVEN, "run-1"))
                ended = asyncio.ensure_future(engine.settle("run-1"))
                crashed = asyncio.ensure_future(crashing.crashed.wait())
                await asyncio.wait([ended, crashed], return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                assert crashing.crashed.is_set()
                await crashing.bury(engine)
        async with opening() as inner, staged() as stage:
            if any(entry.key.endswith("/definition") for entry in await inner.entries("run-1")):
                found.texts.clear()
            async with stage.engine(inner, interpret) as engine:
                left = await inner.run("run-1")
                assert left is not None
                left = await inner.run("run-1")
                assert left is not None
                engine.advance(left)
                run = await engine.settle("run-1")
        assert run.status is RunStatus.COMPLETED, run.problem
        assert run.output == {"sent": "/letters/2"}
    assert len(sent) == 4


async def test_branches_that_read_at_once_agree() -> None:
    both = "  - both: { fork: { branches: [ { a: A }, { b: A } ] } }\n"
    text = both.replace("A", "{ call: 'greet:1.0.0@ours', with: { name: Bo } }")
    numbers = iter(range(9))
    async with catalog() as ours:

        async def counting(_: Request) -> Response:
            return Response(GREET.replace("Hello", f"Hello {next(numbers)}"))

        async with serving(Starlette(routes=[Route("/{path:path}", counting)])) as url:
            run, _ = await walked(text, url)
    assert ours.asked == []
    first, second = cast("list[str]", run.output)
    assert first == second


@pytest.mark.parametrize(
    ("definition", "code", "words"),
    [
        (None, "document-unavailable", "404"),
        ("set: {", "bad-function", "1:"),
        ("- a", "bad-function", "wrong-type"),
        ("nothing: true", "bad-function", "no-kind"),
        ("run: { script: { language: js, code: x } }", "bad-function", "unsupported-run-script"),
        ("call: 'other:1.0.0@ours'", "bad-function", "unknown-catalog"),
        ("call: ftp://x/y", "bad-function", "bad-uri"),
        ("set: { x: '${ $secrets.KEY }' }", "secrets-in-expression", "secrets"),
        ("set: { x: '${ .a | }' }", "expression-syntax", "line 1"),
        ("set: { x: " + "y" * 140_000 + " }", "response-too-big", "131,072"),
        (
            "{ call: http, with: { method: get, endpoint: { uri: 'http://x', authentication: { bearer: { use: KEY } } } } }",
            "bad-function",
            "unknown-secret",
        ),
    ],
)
async def test_a_definition_that_cannot_be_used_is_a_clear_problem(
    definition: str | None, code: str, words: str
) -> None:
    async with catalog(**({} if definition is None else {"greet": definition})) as ours:
        run, _ = await walked(CALL, ours.url)
    told = problem(run)
    assert told["code"] == code, told
    assert words in str(told["detail"]), told
    assert str(told["instance"]).startswith(("/do/0/greet", "/functions/greet:1.0.0@ours")), told


async def test_arguments_are_checked_against_the_functions_input() -> None:
    async with catalog(greet=GREET) as ours:
        run, _ = await walked(CALL.replace("'${ .name }'", "7"), ours.url)
    assert problem(run)["code"] == "schema-mismatch"


async def test_a_failed_read_can_be_tried_again() -> None:
    text = """
  - often:
      try: [ GREET ]
      catch: { retry: { delay: PT0.01S, limit: { attempt: { count: 3 } } } }
"""
    answers = iter([Response(status_code=503), Response("nonsense: 1"), Response(GREET)])

    async def failing(_: Request) -> Response:
        return next(answers)

    async with serving(Starlette(routes=[Route("/{path:path}", failing)])) as url:
        run, _ = await walked(text.replace("GREET", CALL.strip().removeprefix("- ").join("{}")), url)
    assert run.output == "Hello, Ana", run.problem


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ({"greet": "call: URL/c/functions/greet/1.0.0/function.yaml"}, "recursive-function"),
        (
            {
                "greet": "do: [ { a: { call: URL/c/functions/b/1.0.0/function.yaml } } ]",
                "b": "do: [ { b: { call: URL/c/functions/greet/1.0.0/function.yaml } } ]",
            },
            "recursive-function",
        ),
        (
            {"greet": "call: URL/c/functions/f0/1.0.0/function.yaml"}
            | {f"f{i}": f"call: URL/c/functions/f{i + 1}/1.0.0/function.yaml" for i in range(9)}
            | {"f9": "set: { a: 1 }"},
            "functions-too-deep",
        ),
    ],
)
async def test_functions_that_call_each_other_for_ever_are_refused(texts: dict[str, str], code: str) -> None:
    async with catalog(**texts) as ours:
        run, _ = await walked(CALL, ours.url)
    assert problem(run)["code"] == code
    assert " → " in str(problem(run)["detail"])


async def test_functions_call_functions() -> None:
    async with catalog(greet="call: URL/c/functions/b/1.0.0/function.yaml\nwith: { name: Bo }", b=GREET) as ours:
        run, entries = await walked(CALL, ours.url)
    assert run.output == "Hello, Bo"
    assert "/do/0/greet#1/call/greet#1/definition" in entries


async def test_a_function_sees_its_arguments_and_nothing_of_the_workflow() -> None:
    text = "  - first: { set: { a: 1 }, export: { as: '${ { secret: 7 } }' } }\n" + CALL
    text = text.replace("'${ .name }'", "Ana") + "  - last: { set: { context: '${ $context }', it: '${ . }' } }\n"
    spy = "set: { c: '${ $context }', i: '${ $workflow.input }', t: '${ $task.definition }' }\nexport: { as: '${ 8 }' }"
    async with catalog(greet=spy) as ours:
        run, _ = await walked(text, ours.url)
    found = cast("Mapping[str, Json]", run.output)
    assert found["context"] == {"secret": 7}
    it = cast("Mapping[str, Json]", found["it"])
    assert (it["c"], it["i"]) == (None, {"name": "Ana"})
    assert "set" in cast("Mapping[str, Json]", it["t"])


async def test_egress_decides_where_definitions_come_from() -> None:
    async with catalog(greet=GREET) as ours, staged(allow="10.9.9.9") as stage:
        run, _ = await walked(CALL, ours.url, stage=stage)
        assert (problem(run)["code"], ours.asked) == ("egress-refused", [])


async def test_a_dry_run_asks_nobody_and_takes_a_mock_for_the_call() -> None:
    async with catalog(greet=GREET) as ours, staged() as stage:
        run, _ = await walked(CALL, ours.url, stage=replace(stage, dry=DryRun()))
        assert problem(run)["code"] == "description-not-asked"
        dry = DryRun(mocks={"greet": [Mocked(output="Hi")]})
        run, _ = await walked(CALL, ours.url, stage=replace(stage, dry=dry))
        assert (run.output, ours.asked) == ("Hi", [])


PROJECT = {
    "orchestrion.yaml": "egress: { allow: ['127.0.0.1'] }\n",
    "workflows/greeting.yaml": HEAD.replace("URL/c", "file:catalog") + CALL,
    "policies/all.cedar": "permit (principal, action, resource);\n",
    "catalog/functions/greet/1.0.0/function.yaml": GREET,
}


def project(folder: Path, **changes: str) -> Path:
    for name, text in (PROJECT | {name.replace("__", "/"): text for name, text in changes.items()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


async def test_a_catalog_may_be_a_folder_of_the_project(tmp_path: Path) -> None:
    async with open_app(project(tmp_path)) as app:
        run = await app.start(app.checked.shelf.named("greeting"), GIVEN)
        run = await app.engine.settle(run.id)
        entries = {entry.key: entry for entry in await app.journal.entries(run.id)}
    assert run.output == "Hello, Ana", run.problem
    assert not entries["/do/0/greet#1/definition"].labels


def test_a_broken_function_of_a_folder_is_found_when_the_project_is_checked(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "catalog/functions/greet/1.0.0/function.yaml").write_text("nothing: true\n")
    shown = run_command("validate", str(folder))
    assert shown.code == 2, shown
    assert "workflows/greeting.yaml:7:20" in shown.out + shown.err, shown
    assert "bad-function" in shown.out + shown.err
    assert "no-kind" in shown.out + shown.err
    (folder / "catalog/functions/greet/1.0.0/function.yaml").write_text("set: { x: '${ .a | }' }\n")
    shown = run_command("validate", str(folder))
    assert "bad-expression" in shown.out + shown.err
    (folder / "catalog/functions/greet/1.0.0/function.yaml").unlink()
    shown = run_command("validate", str(folder))
    assert "no-such-function" in shown.out + shown.err


async def test_a_run_of_a_project_keeps_the_text_in_its_store(tmp_path: Path) -> None:
    """The durable journal: a run that waits goes on with what it read, though the catalog has gone since."""
    text = HEAD + "  - first: { call: 'greet:1.0.0@ours', with: { name: A } }\n"
    text += "  - nap: { wait: { milliseconds: 300 } }\n" + CALL.replace("'${ .name }'", "Ana")
    async with catalog(greet=GREET) as ours:
        folder = project(tmp_path)
        (folder / "workflows/greeting.yaml").write_text(text.replace("URL", ours.url))
        async with open_app(folder) as app:
            run = await app.start(app.checked.shelf.named("greeting"), GIVEN)
            while not any(  # noqa: ASYNC110 the journal tells nobody of its writes
                entry.key.startswith("/do/1/") for entry in await app.journal.entries(run.id)
            ):
                await asyncio.sleep(0.01)
    async with open_app(folder) as app:
        again = await app.journal.run(run.id)
        assert again is not None
        app.engine.advance(again)
        run = await app.engine.settle(run.id)
    assert run.output == "Hello, Ana", run.problem


def test_reading_checks_where_functions_are() -> None:
    for call, code in (
        ("greet@ours", "no-version"),
        ("greet:1.0.0@theirs", "unknown-catalog"),
        ("../greet:1.0.0@ours", "bad-name"),
        ("http://a b/function.yaml", "bad-uri"),
    ):
        with pytest.raises(UserError, match=code):
            read_document(HEAD.replace("URL", "https://a") + f"  - it: {{ call: '{call}' }}\n")
    for endpoint, code in (
        ("/etc", "bad-uri"),
        ("https://a/{x}", "bad-uri"),
        ("{ uri: 'https://a', authentication: { use: b } }", "unknown-authentication"),
    ):
        with pytest.raises(UserError, match=code):
            read_document(HEAD.replace("'URL/c'", endpoint if endpoint.startswith("{ ") else f"'{endpoint}'") + CALL)
    with pytest.raises(UserError, match="reserved-name"):
        read_document(HEAD.replace("ours", "default").replace("URL", "https://a") + "  - it: { set: { a: 1 } }\n")
