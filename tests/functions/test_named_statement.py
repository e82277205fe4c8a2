"""Statements with a name: what their files say, everything that can be wrong with one, and calling them."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest
from inline_snapshot import snapshot

from orchestrion.core import (
    Datum,
    Invocation,
    Json,
    LeafContext,
    Outcome,
    Permit,
    UserError,
    permitted,
)
from orchestrion.functions import (
    Connections,
    ConnectionSettings,
    NamedStatement,
    StatementFunction,
    read_named_statement,
)
from orchestrion.project import Connection
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio

SETTINGS = {
    "bank": Connection(url="sqlite:///bank.db", write=True),
    "archive": Connection(url="sqlite:///archive.db"),
}
FIND = """\
-- connection: bank
-- description: Fees of a customer.
-- parameters:
--   customer: string
--   kinds: { type: array, items: { type: string } }
--   since: { type: [string, 'null'], format: date }

-- those that were paid back are left out: every ; and :colon in a comment is one
select id, cents from fees where customer = :customer and kind in :kinds
and (:since is null or booked_on >= :since) order by id;
"""
PAY = """\
-- { connection: bank, write: true, parameters: { fee: { type: integer, minimum: 1 } } }
insert into refunds (id, fee) values (:idempotency_key, :fee) on conflict (id) do nothing
"""


def findings(text: str, name: str = "find") -> list[str]:
    named, found = read_named_statement(
        dedent(text).encode(), file=f"statements/{name}.sql", name=name, connections=SETTINGS
    )
    assert (named is None) == bool(found)
    return [str(each).removeprefix(f"statements/{name}.sql:") for each in found]


def sound(text: str, name: str = "find") -> NamedStatement:
    named, found = read_named_statement(text.encode(), file="f.sql", name=name, connections=SETTINGS)
    assert named is not None, found
    return named


def test_a_file_is_sound() -> None:
    assert findings(FIND) == []
    assert findings(FIND.replace("\n", "\r\n")) == []
    assert findings("\ufeff" + PAY) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select 1\n", snapshot(['1:1 error[bad-statement] The statement says nothing of itself. Begin the file with `-- connection: NAME`, `-- description: …`, and `-- parameters: { id: string }`.'])),
        ("", snapshot(['1:1 error[bad-statement] The statement says nothing of itself. Begin the file with `-- connection: NAME`, `-- description: …`, and `-- parameters: { id: string }`.'])),
        ("-- connection: bank\n", snapshot(['2:1 error[empty-statement] The statement is empty.'])),
        ("-- connection: bnk\nselect 1", snapshot(["1:16 error[bad-statement] There is no connection 'bnk'. Known: archive, bank."])),
        ("-- conection: bank\nselect 1", snapshot(["1:4 error[bad-statement] 'connection' is missing.", "1:4 error[bad-statement] 'conection' is not known here."])),
        ("-- connection: bank\n--  description: x\nselect 1", snapshot(['2:16 error[yaml-syntax] This is not YAML: mapping values are not allowed here. Put text that holds a colon and a space in single quotes, or check the indentation.'])),
        ("-- connection: bank\n-- parameters: { a: text, b: { minimum: 1 }, c: { type: text } }\nselect :a, :b, :c", snapshot(["2:21 error[bad-statement] 'text' is no type. Write one of string, integer, number, boolean, or a JSON Schema.", "2:30 error[bad-statement] The parameter 'b' has no type. Add `type:` or `enum:`.", '2:49 error[bad-statement] This is not a usable JSON Schema: "text" is not valid under any of the schemas listed in the \'anyOf\' keyword. References to other documents are not followed; write the schema in place.'])),
        ("-- connection: bank\n-- parameters: { idempotency_key: string }\nselect 1", snapshot(["2:18 error[bad-statement] 'idempotency_key' is bound by the platform. Leave it out here."])),
        ("-- connection: bank\n-- parameters:\n--   id: string\n--   old: string\n\nselect *\n  from t where id = :id and n = :name", snapshot(["7:34 error[bad-statement] The parameter 'name' is not declared. Add it under `parameters` in the header: `name: string`.", "4:6 error[bad-statement] The statement does not mention the parameter 'old'. Use it as `:old`, or remove it."])),
        ("-- connection: bank\nselect 1;\n\n  delete from t", snapshot(['4:3 error[several-statements] A query is one statement; this text has several.'])),
        ("-- connection: bank\nselect 'x", snapshot(["2:8 error[unfinished-statement] A ' in the statement is never closed."])),
        ("-- connection: bank\n\n drop table t", snapshot(["3:2 error[statement-not-supported] A query cannot begin with 'drop'. It begins with select, with, values, insert, update, delete, replace or merge."])),
        ("-- connection: bank\n/* why */ delete from t", snapshot(['2:11 error[bad-statement] The statement changes something. Say so: `-- write: true`.'])),
        ("-- connection: archive\n-- write: true\ndelete from t", snapshot(["1:16 error[bad-statement] The connection 'archive' is for reading. Set `write: true` for the connection 'archive' in orchestrion.yaml."])),
        ("-- connection: bank\n-- write: true\n-- idempotent: true\nselect 1", snapshot(['2:11 error[bad-statement] The statement only reads. Remove `write`.', '3:16 error[bad-statement] Reading is idempotent anyway. Remove `idempotent`.'])),
        ("-- connection: bank\n-- version: one\n-- rows: 0\nselect 1", snapshot(["2:13 error[bad-statement] String should match pattern '^\\d+\\.\\d+\\.\\d+$'.", '3:10 error[bad-statement] Input should be greater than or equal to 1.'])),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(text: str, said: object) -> None:
    assert findings(text) == said


def test_a_file_must_be_text_and_its_name_a_name() -> None:
    assert read_named_statement(b"-- a\n\xff", file="f.sql", name="f", connections={})[1][0].line == 2
    assert findings("-- connection: bank\nselect 1", name="2 fast") == snapshot(
        ["1:4 error[bad-statement] '2 fast' is no name of a function. Use letters, digits, - and _."]
    )


def test_parameters_are_what_the_function_takes(tmp_path: Path) -> None:
    declaration = StatementFunction(sound(FIND), Connections({})).declaration
    assert (declaration.id, declaration.description) == ("find:1.0.0", "Fees of a customer.")
    assert declaration.input_schema == snapshot(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["customer", "kinds"],
            "properties": {
                "customer": {"type": "string"},
                "kinds": {"type": "array", "items": {"type": "string"}},
                "since": {"type": ["string", "null"], "format": "date"},
            },
        }
    )


def test_reading_may_be_repeated_and_writing_only_if_it_can_tell() -> None:
    writing = "-- connection: bank\n-- write: true\nupdate t set a = 1"
    texts = {
        "reads": FIND,
        "binds the key": PAY,
        "writes": writing,
        "says so": writing.replace("-- write", "-- idempotent: true\n-- write"),
    }
    natures = {why: StatementFunction(sound(text), Connections({})).nature({}) for why, text in texts.items()}
    assert {why: (each.effect, each.idempotent) for why, each in natures.items()} == {
        "reads": ("read", True),
        "binds the key": ("write", True),
        "writes": ("write", False),
        "says so": ("write", True),
    }
    assert {each.resource for each in natures.values()} == {("Connection", "bank")}


async def perform(folder: Path, text: str, arguments: Mapping[str, Json]) -> Outcome:
    settings = ConnectionSettings(url=f"sqlite:///{folder / 'bank.db'}", write=True)
    connections = Connections({"bank": settings})
    try:
        function = StatementFunction(sound(text), connections)
        invocation = Invocation(key="k", task="t", function="find:1.0.0", arguments=Datum(dict(arguments)))
        with permitted(Permit(run_id="r", key="k")):
            return await function.perform(
                invocation, LeafContext(run_id="r", idempotency_key="key-1", secrets=NoSecrets())
            )
    finally:
        connections.close()


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "bank.db") as made:
        made.executescript("""
            create table fees (id integer primary key, customer text, kind text, cents integer, booked_on text);
            insert into fees values (1, 'C-1', 'card', 100, '2026-01-01'), (2, 'C-1', 'top-up', 200, '2026-02-01'),
                (3, 'C-2', 'card', 300, '2026-02-01');
            create table refunds (id text primary key, fee integer);
        """)
    made.close()
    return tmp_path


async def test_rows_are_given(bank: Path) -> None:
    found = await perform(bank, FIND, {"customer": "C-1", "kinds": ["card", "top-up"]})
    assert found.output.value == {"rows": [{"id": 1, "cents": 100}, {"id": 2, "cents": 200}], "rowcount": 2}
    assert found.why == {"statement": "find", "version": sound(FIND).version}
    found = await perform(bank, FIND, {"customer": "C-1", "kinds": ["card", "top-up"], "since": "2026-01-15"})
    assert found.output.value == {"rows": [{"id": 2, "cents": 200}], "rowcount": 1}


async def test_what_binds_the_key_happens_once(bank: Path) -> None:
    counts = [(await perform(bank, PAY, {"fee": 1})).output.value for _ in range(2)]
    assert counts == [{"rows": [], "rowcount": 1}, {"rows": [], "rowcount": 0}]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kinds": []}, "customer is missing"),
        ({"customer": 7, "kinds": []}, "customer must be text"),
        ({"customer": "C-1", "kinds": ["card"], "since": "soon"}, "since must be a date"),
        ({"customer": "C-1", "kinds": ["card"], "statement": "drop table fees"}, "statement is not expected here"),
    ],
)
async def test_what_does_not_fit_is_not_asked(bank: Path, arguments: Mapping[str, Json], words: str) -> None:
    with pytest.raises(UserError) as caught:
        await perform(bank, FIND, arguments)
    assert caught.value.code == "bad-arguments"
    assert words in caught.value.message
