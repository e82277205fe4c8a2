"""A project with every new kind of tool: Python of a package, named statements, and a server that is a process."""

import asyncio
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.agents import Known, read_agent
from orchestrion.app import open_app, open_rooms
from orchestrion.core import Entry, Json, Run, RunStatus, SystemClock
from orchestrion.functions import DefaultCatalog, read_named_statement
from orchestrion.journal import MemoryJournal
from orchestrion.project import Connection
from orchestrion.testing import (
    ANYTHING,
    CountingServer,
    CrashingJournal,
    Packages,
    Result,
    Scenario,
    packages_in,
    play_with_crash,
    run_command,
    write_project,
)

pytestmark = pytest.mark.anyio

SETTINGS = """
connections: { shop: { url: 'sqlite:///shop.db', write: true } }
processes: { allow: [[PYTHON, office.py]] }
mcp: { office: { command: [PYTHON, office.py], environment: { DESK: '7' } } }
"""
OFFICE = """
import os
from mcp.server.mcpserver import MCPServer
server = MCPServer("office", log_level="CRITICAL")

@server.tool()
def stock(item: str) -> dict[str, int]:
    '''How much is left.'''
    return {"left": len(item) + int(os.environ["DESK"])}

server.run("stdio")
"""
TAX = """
from typing import Annotated
from pydantic import Field
from orchestrion.functions import declares

@declares(effect="read")
def vat(cents: Annotated[int, Field(ge=0)], country: str = "DE") -> dict[str, int]:
    '''What is due on an amount.'''
    return {"cents": cents * {"DE": 19, "CH": 8}[country] // 100}
"""
FIND = """\
-- connection: shop
-- description: An order's price.
-- parameters: { id: integer }

select id, cents from orders where id = :id
"""
WORKFLOW = """
document: { dsl: '1.0.3', namespace: shop, name: price, version: '1.0.0' }
do:
  - find: { call: 'find_order:1.0.0@default', with: { id: '${ .id }' } }
  - due:
      call: vat:1.0.0@default
      with: { cents: '${ .rows[0].cents }' }
      export: { as: '${ { due: .cents } }' }
  - tell: { call: 'agent:1.0.0@default', with: { agent: desk, input: { id: '${ $workflow.input.id }' } } }
  - all: { set: { due: '${ $context.due }', reply: '${ .reply }' } }
"""
AGENT = """
name: desk
input: { type: object, required: [id], properties: { id: { type: integer } } }
tools:
  - { function: { name: find_order }, bind: { id: input.id } }
  - { function: { name: vat } }
  - { mcp: { server: office, include: [stock] } }
playbook:
  rules:
    - { name: find, when: { not: { done: find_order } }, call: find_order }
    - { name: tax, when: { not: { done: vat } }, call: vat, arguments: { cents: 500, country: CH } }
    - { name: count, when: { not: { done: stock } }, call: stock, arguments: { item: box } }
    - { name: say, answer: { reply: '{tools.find_order.rowcount} order, {tools.vat.cents} due, {tools.stock.left} left' } }
"""
POLICY = """
permit (principal is Workflow, action in [Action::"find_order", Action::"vat", Action::"agent"], resource);
permit (principal is Agent, action == Action::"model", resource);
permit (principal == Agent::"desk", action == Action::"find_order", resource == Connection::"shop");
permit (principal == Agent::"desk", action == Action::"vat", resource) when { context.arguments.cents < 1000 };
permit (principal == Agent::"desk", action in [Action::"mcp", Action::"stock"], resource == Process::"office");
"""
FILES = {
    "orchestrion.yaml": SETTINGS,
    "office.py": OFFICE,
    "statements/find_order.sql": FIND,
    "workflows/price.yaml": WORKFLOW,
    "agents/desk.yaml": AGENT,
    "policies/all.cedar": POLICY,
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PYTHON", sys.executable), encoding="utf-8")
    with sqlite3.connect(folder / "shop.db") as made:
        made.executescript(
            "create table orders (id integer primary key, cents integer); insert into orders values (7, 1000);"
        )
    made.close()
    return folder


async def in_thread(*arguments: str) -> Result:
    """A command, which has an event loop of its own."""
    return await asyncio.get_running_loop().run_in_executor(None, run_command, *arguments)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    with packages_in(tmp_path / "site") as made:
        made.install("tax", TAX, "vat:1.0.0 = tax:vat\n")
        yield made


async def run_in(folder: Path) -> tuple[Run, Mapping[str, Entry]]:
    async with open_app(folder) as app:
        run = await app.start(app.checked.shelf.named("price"), {"id": 7})
        run = await app.engine.settle(run.id)
        return run, {entry.key: entry for entry in await app.journal.entries(run.id)}


async def said_of(folder: Path) -> list[str]:
    async with open_rooms(folder) as rooms:
        return [str(finding) for finding in rooms.checked.findings]


async def test_workflows_and_agents_use_them(packages: Packages, tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", FILES)
    assert await said_of(folder) == []
    run, entries = await run_in(folder)
    assert run.status is RunStatus.COMPLETED, run.problem
    assert run.output == {"due": 190, "reply": "1 order, 40 due, 10 left"}
    offers = [key for key in entries if key.endswith("/offers/0")]
    assert len(offers) == 1
    assert "stock" in str(entries[offers[0]].output)


@pytest.mark.parametrize("action", ["find_order", "vat", "stock"])
async def test_policies_decide_about_each(packages: Packages, tmp_path: Path, action: str) -> None:
    denied = POLICY + f'forbid (principal is Agent, action == Action::"{action}", resource);'
    folder = write(tmp_path / "shop", {**FILES, "policies/all.cedar": denied})
    _, entries = await run_in(folder)
    tools = [each for each in entries.values() if each.subject == "Agent::desk" and "/tool/" in each.key]
    assert [cast("Mapping[str, Json]", each.decision)["verdict"] for each in tools if each.decision].count("deny") >= 1


async def test_a_function_that_cannot_be_used_is_found_where_it_is_named(packages: Packages, tmp_path: Path) -> None:
    packages.install("rotten", "import nowhere_to_be_found", "rot:1.0.0 = rotten:f\n")
    workflow = WORKFLOW.replace("vat:1.0.0@default", "rot:1.0.0@default")
    agent = AGENT.replace("{ name: vat }", "{ name: rot }")
    folder = write(tmp_path / "shop", {**FILES, "workflows/price.yaml": workflow, "agents/desk.yaml": agent})
    said = await said_of(folder)
    assert [each.partition(" error")[0] for each in said if "the package rotten 1.2" in each] == [
        "agents/desk.yaml:6:25",
        "workflows/price.yaml:6:13",
    ]


async def test_a_process_that_is_not_allowed_is_found(packages: Packages, tmp_path: Path) -> None:
    settings = SETTINGS.replace("[[PYTHON, office.py]]", "[[PYTHON, office.py, --more], [PYTHON]]")
    folder = write(tmp_path / "shop", {**FILES, "orchestrion.yaml": settings})
    shown = await in_thread("validate", str(folder))
    assert shown.code == 2
    assert "orchestrion.yaml:4:27" in shown.out + shown.err
    assert "process-refused" in shown.out + shown.err


async def test_a_statement_that_takes_a_functions_name_is_found(packages: Packages, tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", {**FILES, "statements/query.sql": FIND})
    assert [each.partition(" There")[0] for each in await said_of(folder)] == [
        "statements/query.sql:1:1 error[function-clash]"
    ]


async def test_the_doctor_looks_at_every_package(packages: Packages, tmp_path: Path) -> None:
    packages.install("rotten", "1 / 0", "rot:1.0.0 = rotten:f\nhttp:9.0.0 = rotten:f\n")
    folder = write(tmp_path / "shop", FILES)
    shown = await in_thread("doctor", "--project", str(folder))
    assert shown.code == 0, shown
    for words in ("vat:1.0.0 of tax 1.2", "ZeroDivisionError", "'http:9.0.0'"):
        assert words in shown.out


async def test_an_agents_version_tells_one_text_of_a_function_from_another(packages: Packages, tmp_path: Path) -> None:
    versions: list[str] = []
    for text in (FIND, FIND.replace("id = :id", "id <= :id")):
        async with open_rooms(write(tmp_path / "shop", {**FILES, "statements/find_order.sql": text})) as rooms:
            versions.append(rooms.checked.agents["desk"].version)
        (tmp_path / "shop" / "shop.db").unlink()
    assert versions[0] != versions[1]


def test_what_the_guide_shows_is_sound(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "tools.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    code: dict[str, str] = dict(reversed(blocks))
    agent, findings = read_agent(code["yaml"], file="agents/desk.yaml", known=Known())
    assert (agent is not None, findings) == (True, [])
    shop = {"shop": Connection(url="sqlite:///shop.db")}
    named, findings = read_named_statement(code["sql"].encode(), file="f.sql", name="f", connections=shop)
    assert (named is not None, findings) == (True, [])
    with packages_in(tmp_path) as made:
        made.install("acme_tax", code["python"], code["toml"].partition("\n")[2].replace('"', ""))
        assert DefaultCatalog([]).resolve("vat").declaration.effect == "read"


# --- killed between every two writes ---

NOTE = """\
-- connection: shop
-- write: true
-- parameters: { what: string }

insert into notes (id, what) values (:idempotency_key, :what) on conflict (id) do nothing
"""
LEDGER = """
import sqlite3
from orchestrion.functions import declares

def _write(key: str, what: str) -> dict[str, str]:
    with sqlite3.connect("DATABASE") as ledger:
        ledger.execute("insert into notes (id, what) values (?, ?) on conflict (id) do nothing", (key, what))
    ledger.close()
    return {"wrote": what}

@declares(idempotent=True)
def keep(what: str, idempotency_key: str) -> dict[str, str]:
    return _write(idempotency_key, what)

def post(what: str, idempotency_key: str) -> dict[str, str]:
    with sqlite3.connect("DATABASE") as ledger:
        ledger.execute("insert into letters values (?)", (what,))
    ledger.close()
    return {"posted": what}
"""
DESK = """
import sqlite3
from mcp.server.mcpserver import MCPServer
server = MCPServer("desk", log_level="CRITICAL")

@server.tool()
def post(what: str) -> dict[str, str]:
    with sqlite3.connect("DATABASE") as ledger:
        ledger.execute("insert into letters values (?)", (what,))
    ledger.close()
    return {"posted": what}

server.run("stdio")
"""


class Ledger(CountingServer):
    """What was done to a database, in place of a server; letters cannot be taken back, and notes are made once."""

    def __init__(self, database: Path) -> None:
        super().__init__()
        self._database = database
        self._ask("create table notes (id text primary key, what text)")
        self._ask("create table letters (what text)")

    def forget(self) -> None:
        self._ask("delete from notes")
        self._ask("delete from letters")

    def effects(self) -> dict[str, int]:
        found = {f"/{what}": count for what, count in self._ask("select what, count(*) from notes group by what")}
        letters = self._ask("select count(*) from letters")[0][0]
        return {**found, "/letter": letters} if letters else found

    def _ask(self, statement: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self._database) as database:
            rows = database.execute(statement).fetchall()
        database.close()
        return rows


def scenario(name: str, steps: str, effects: Mapping[str, int], *, interrupted: bool = False) -> Scenario:
    settings = """
connections: { shop: { url: 'sqlite:///shop.db', write: true } }
processes: { allow: [[PYTHON, desk.py]] }
mcp: { desk: { command: [PYTHON, desk.py] } }
"""
    return Scenario(
        name=name,
        text="do:\n" + steps,
        effects=effects,
        output=ANYTHING,
        files={"orchestrion.yaml": settings.replace("PYTHON", sys.executable), "statements/note.sql": NOTE},
        promises_interrupted=interrupted,
    )


SCENES = [
    scenario(
        "notes",
        "  - one: { call: 'note:1.0.0@default', with: { what: one } }\n"
        "  - two: { call: 'keep:1.0.0@default', with: { what: two } }\n"
        "  - three: { call: 'note:1.0.0@default', with: { what: three } }\n",
        {"/one": 1, "/two": 1, "/three": 1},
    ),
    scenario(
        "python", "  - post: { call: 'post:1.0.0@default', with: { what: x } }\n", {"/letter": 1}, interrupted=True
    ),
    scenario(
        "process",
        "  - post: { call: 'mcp:1.0.0@default', with: { server: desk, method: tools/call, "
        "parameters: { name: post, arguments: { what: x } } } }\n",
        {"/letter": 1},
        interrupted=True,
    ),
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda each: each.name)
async def test_effects_happen_once_however_often_the_engine_is_killed(scene: Scenario, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "crash", scene, "")
    database = folder / "shop.db"
    (folder / "desk.py").write_text(DESK.replace("DATABASE", str(database)))
    ledger = Ledger(database)
    with packages_in(tmp_path / "site") as made:
        made.install(
            "ledger", LEDGER.replace("DATABASE", str(database)), "keep:1.0.0 = ledger:keep\npost:1.0.0 = ledger:post\n"
        )
        async with open_rooms(folder) as rooms:
            at, killed = 1, True
            while killed:
                for moment in ("before", "after"):
                    ledger.forget()
                    dying = CrashingJournal(MemoryJournal(SystemClock()), at=at, moment=moment)
                    run = await play_with_crash(rooms, scene, ledger, dying)
                    killed = dying.crashed.is_set()
                    where = f"killed {moment} write {at}"
                    assert run.status is RunStatus.COMPLETED, f"{where}: {run.problem}"
                    assert ledger.effects() == scene.effects, where
                at += 1
            assert at > 3
