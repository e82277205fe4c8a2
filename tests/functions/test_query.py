"""`query`: parameters, reading and writing, limits, values, errors."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pytest

from orchestrion.core import (
    BugError,
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Permit,
    PolicyDenied,
    UserError,
    permitted,
)
from orchestrion.functions import Connections, ConnectionSettings, Query

pytestmark = pytest.mark.anyio


class NoSecrets:
    def get(self, name: str) -> Json:
        raise UserError("unknown-secret", name)


CONTEXT = LeafContext(run_id="r", idempotency_key="key-1", secrets=NoSecrets())


def invocation(arguments: Json, labels: dict[str, frozenset[str]] | None = None) -> Invocation:
    return Invocation(key="/do/0/x~1", task="/do/0/x", function="query:1.0.0", arguments=Datum(arguments, labels or {}))


class Desk:
    """Two connections to one SQLite file, asked as the engine would."""

    def __init__(self, file: Path) -> None:
        self.file = file
        url = f"sqlite:///{quote(str(file))}"
        self.connections = Connections({
            "reading": ConnectionSettings(url=url),
            "writing": ConnectionSettings(url=url, write=True),
        })  # fmt: skip
        self.query = Query(self.connections)

    async def __call__(self, connection: str, statement: str, rows: int = 1000, **parameters: Json) -> dict[str, Any]:
        arguments: dict[str, Json] = {"connection": connection, "statement": statement, "rows": rows}
        if parameters:
            arguments["parameters"] = parameters
        with permitted(Permit(run_id="r", key="k")):
            outcome = await self.query.perform(invocation(arguments), CONTEXT)
        return cast("dict[str, Any]", outcome.output.value)

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Straight into the file, around the platform."""
        with sqlite3.connect(self.file) as connection:
            found = connection.execute(statement).fetchall()
        connection.close()
        return found


@pytest.fixture(params=["delete", "wal"])
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    folder = tmp_path / "a bank? #1 100%"
    folder.mkdir()
    made = Desk(folder / "bank.db")
    made.sql(f"pragma journal_mode = {request.param}")
    made.sql("create table refunds (id text primary key, cents integer not null check (cents > 0), note text) strict")
    yield made
    made.connections.close()


async def refuses(code: str, call: Callable[[], Any]) -> str:
    with pytest.raises((UserError, Faulted, PolicyDenied)) as caught:
        await call()
    assert caught.value.code == code
    return f"{caught.value.message} {caught.value.problem.hint}"


async def test_rows_come_back_by_column(desk: Desk) -> None:
    await desk("writing", "insert into refunds values ('a', :cents, null), ('b', 2, 'x')", cents=1)

    found = await desk("reading", "select * from refunds order by id")

    assert found == {
        "rows": [{"id": "a", "cents": 1, "note": None}, {"id": "b", "cents": 2, "note": "x"}],
        "rowcount": 2,
    }


async def test_values_are_bound_and_never_become_sql(desk: Desk) -> None:
    evil = "x'); drop table refunds; --"
    await desk("writing", "insert into refunds values (:id, 5, ':not_a_parameter -- :neither')", id=evil)

    assert desk.sql("select id, note from refunds") == [(evil, ":not_a_parameter -- :neither")]


async def test_a_list_stands_for_several_values(desk: Desk) -> None:
    await desk("writing", "insert into refunds (id, cents) values ('a', 1), ('b', 2), ('c', 3)")

    assert (await desk("reading", "select id from refunds where id in :ids", ids=["a", "c", "z"]))["rowcount"] == 2
    assert (await desk("reading", "select id from refunds where id in :ids", ids=[]))["rowcount"] == 0


async def test_writing_counts_the_rows_it_touched(desk: Desk) -> None:
    insert = "with new(id) as (values ('a'), ('b')) insert into refunds select id, 7, null from new"

    assert (await desk("writing", insert)) == {"rows": [], "rowcount": 2}
    assert (await desk("writing", "update refunds set cents = 8 returning id")) == {
        "rows": [{"id": "a"}, {"id": "b"}],
        "rowcount": 2,
    }
    assert (await desk("writing", "delete from refunds where id = 'a'"))["rowcount"] == 1


async def test_an_insert_that_binds_the_key_happens_once(desk: Desk) -> None:
    insert = "insert into refunds (id, cents) values (:idempotency_key, 5) on conflict (id) do nothing"

    assert (await desk("writing", insert))["rowcount"] == 1
    assert (await desk("writing", insert))["rowcount"] == 0
    assert desk.sql("select * from refunds") == [("key-1", 5, None)]


async def test_a_broken_constraint_is_named_without_data(desk: Desk) -> None:
    insert = "insert into refunds (id, cents) values (:id, :cents)"
    await desk("writing", insert, id="secret-7", cents=1)

    again = await refuses("constraint-violated", lambda: desk("writing", insert, id="secret-7", cents=1))
    negative = await refuses("constraint-violated", lambda: desk("writing", insert, id="secret-8", cents=-1))

    assert "refunds.id" in again
    assert "cents > 0" in negative
    assert "secret" not in again + negative
    assert "on conflict" in again


async def test_a_connection_for_reading_cannot_write(desk: Desk) -> None:
    told = await refuses("read-only-connection", lambda: desk("reading", "insert into refunds values ('a', 1, null)"))

    assert "write: true" in told
    assert desk.sql("select * from refunds") == []


@pytest.mark.parametrize("write", ["insert into refunds values ('a', 1, null)", "create temporary table t (i integer)"])
async def test_the_database_enforces_reading_even_where_writing_is_allowed(desk: Desk, write: str) -> None:
    """The reading side of the pool is opened read-only: a write in disguise fails in SQLite itself."""
    engine = desk.connections._engine  # pyright: ignore[reportPrivateUsage]  no statement known to us gets past the scanner
    settings = desk.connections.settings("writing")

    with engine("writing", settings, False).connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql(write)


async def test_nothing_opens_without_a_permit(desk: Desk) -> None:
    with pytest.raises(BugError) as caught:
        await desk.query.perform(invocation({"connection": "reading", "statement": "select 1"}), CONTEXT)

    assert caught.value.code == "ungoverned"


async def test_sql_made_from_untrusted_data_is_refused(desk: Desk) -> None:
    arguments = {"connection": "reading", "statement": "select 1"}
    labelled = invocation(arguments, {"/statement": frozenset({"untrusted"})})

    with permitted(Permit(run_id="r", key="k")):
        await refuses("untrusted-statement", lambda: desk.query.perform(labelled, CONTEXT))


async def test_more_rows_than_allowed_are_an_error_that_says_so(desk: Desk) -> None:
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 4) select i from n"

    assert (await desk("reading", numbers, rows=4))["rowcount"] == 4
    assert "more than 3 rows" in await refuses("too-many-rows", lambda: desk("reading", numbers, rows=3))


async def test_a_write_that_gives_too_many_rows_is_undone(desk: Desk) -> None:
    insert = "insert into refunds (id, cents) values ('a', 1), ('b', 2) returning id"

    await refuses("too-many-rows", lambda: desk("writing", insert, rows=1))

    assert desk.sql("select * from refunds") == []


@pytest.mark.parametrize(
    ("statement", "parameters", "code", "says"),
    [
        ("select :a", {}, "missing-parameter", "'a'"),
        ("select 1", {"a": 1}, "unused-parameter", "'a'"),
        ("select :a", {"a": {"x": 1}}, "bad-parameter", "tojson"),
        ("select :idempotency_key", {"idempotency_key": "mine"}, "reserved-parameter", "leave it out"),
        ("select nope from refunds", {}, "statement-failed", "nope"),
        ("selekt 1", {}, "statement-not-supported", "'selekt'"),
        ("select 1 as a, 2 as a", {}, "duplicate-column", "'a'"),
        ("select 9e999 as big", {}, "not-a-number", "'big'"),
    ],
)
async def test_mistakes_are_named(
    desk: Desk, statement: str, parameters: dict[str, Json], code: str, says: str
) -> None:
    assert says in await refuses(code, lambda: desk("reading", statement, 1000, **parameters))


async def test_an_unknown_connection_names_the_known_ones(desk: Desk) -> None:
    assert "reading, writing" in await refuses("unknown-connection", lambda: desk("bank", "select 1"))


async def test_connecting_never_creates_a_file(tmp_path: Path) -> None:
    missing = Desk(tmp_path / "missing.db")

    await refuses("no-database", lambda: missing("reading", "select 1"))
    await refuses("no-database", lambda: missing("writing", "delete from t"))

    missing.connections.close()
    assert not missing.file.exists()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("sqlite://", "bad-connection-url"),
        ("no url", "bad-connection-url"),
        ("nosuch://h/d", "bad-connection-url"),
        ("mssql+pymssql://h/d", "missing-driver"),
    ],
)
async def test_a_url_that_cannot_work(url: str, code: str) -> None:
    connections = Connections({"it": ConnectionSettings(url=url)})
    with permitted(Permit(run_id="r", key="k")):
        asked = invocation({"connection": "it", "statement": "select 1"})
        await refuses(code, lambda: Query(connections).perform(asked, CONTEXT))
    connections.close()


async def test_binary_values_are_base64(desk: Desk) -> None:
    assert (await desk("reading", "select x'00ff' as b"))["rows"] == [{"b": "AP8="}]


def test_settings_do_not_show_the_password() -> None:
    assert "hunter2" not in repr(ConnectionSettings(url="postgresql://u:hunter2@h/d"))


@pytest.mark.parametrize(
    ("statement", "effect", "idempotent"),
    [
        ("select 1", "read", True),
        ("insert into t values (1)", "write", False),
        ("insert into t values (:idempotency_key)", "write", True),
        ("insert into t values (':idempotency_key')", "write", False),
    ],
)
def test_nature_follows_the_statement(statement: str, effect: str, idempotent: bool) -> None:
    nature = Query(Connections({})).nature({"connection": "bank", "statement": statement})

    assert (nature.effect, nature.idempotent, nature.resource) == (effect, idempotent, ("Connection", "bank"))


def test_arguments_that_do_not_fit_are_named() -> None:
    with pytest.raises(UserError, match="statement is missing; row is not expected here") as caught:
        Query(Connections({})).nature({"connection": "bank", "row": 5})
    assert caught.value.code == "bad-arguments"
