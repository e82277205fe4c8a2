"""Rooms keep their surface, their size and their libraries to themselves."""

import ast
import importlib
import re
from collections.abc import Sequence, Set
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "orchestrion"
ROOMS = sorted(folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").exists())
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text()) for file in FILES}
CHECKED = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]

OVER_HTTP = {f"functions/_{name}.py" for name in ("a2a_wire", "bodies", "credentials", "fetch", "http", "tokens")}
HOMES = {
    "a2a": {"functions/_a2a_stream.py", "functions/_a2a_wire.py", "server/_a2a.py"}
    | {f"server/_a2a_{name}.py" for name in ("card", "messages", "runs", "server", "tasks")},
    "alembic": {"store"},
    "cedarpy": {"governance"},
    "cronsim": {"spec"},
    "fastapi": {"server"},
    "fsspec": {"store"},
    "genai_prices": {"models", "agents"},
    "google": {"functions/_a2a_stream.py", "functions/_a2a_wire.py", "server/_a2a_messages.py", "server/_a2a_tasks.py"},
    "httpx": {"egress", "models", "agents", "testing/_served.py", *OVER_HTTP},
    "httpx2": {"egress", "models", "agents", "functions/_credentials.py", "functions/_mcp_session.py"},
    "jq": {"expressions"},
    "jsonschema_rs": {"spec", "functions/_schema.py"},
    "mcp": {"functions/_mcp_process.py", "functions/_mcp_session.py", "server/_mcp.py", "server/_mcp_server.py"},
    "mcp_types": {"functions/_mcp_session.py"}
    | {f"server/_mcp_{name}.py" for name in ("resources", "server", "tools")},
    "openai": {"models"},
    "opentelemetry": {"telemetry"},
    "psycopg": {"store"},
    "pydantic_ai": {"agents", "models", "testing"},
    "pydantic_graph": {"agents"},
    "pypdf": {"knowledge/_apart.py"},
    "rich": {"cli"},
    "river": {"oversight/_drift.py"},
    "ruamel": {"spec", "project", "openapi"},
    "sklearn": {"models"},
    "skops": {"models"},
    "starlette": {"server"},
    "sqlalchemy": {"store", "journal", "knowledge/_tables.py", "functions/_connections.py", "functions/_faults.py"},
    "tokenizers": {"embeddings/_embedder.py"},
    "typer": {"cli"},
    "uvicorn": {"server/_serving.py", "testing/_serving.py"},
}
"""Library → where it may be imported. `journal` writes its queries with the tables of `store`."""

OPENING = {"store", "functions/_connections.py", "knowledge/_tables.py", "models/_line.py"}
"""Where a database may be opened. The index of documents is a file of its own, made again from them at any time; the line before
a model is in memory where there is no store."""


def place(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def allowed(file: Path, homes: set[str]) -> bool:
    return any(place(file) == home or place(file).startswith(home + "/") for home in homes)


@cache
def imports(tree: ast.AST) -> Sequence[str]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return found


@cache
def names(tree: ast.AST) -> Set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found |= {node.attr, ast.unparse(node)}
        elif isinstance(node, ast.alias):
            found.add(node.name)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_it_says(room: str) -> None:
    module = importlib.import_module(f"orchestrion.{room}")

    assert module.__doc__
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), f"{room}.__all__ names {name}, which does not exist"


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_at_home(library: str) -> None:
    elsewhere = {
        place(file)
        for file, tree in TREES.items()
        if any(name.partition(".")[0] == library for name in imports(tree)) and not allowed(file, HOMES[library])
    }

    assert not elsewhere, f"{library} belongs to {sorted(HOMES[library])}"


def test_rooms_know_of_each_other_only_what_is_exported() -> None:
    private = re.compile(r"orchestrion\.(\w+)\._")
    found = {
        f"{place(file)}: {name}"
        for file, tree in TREES.items()
        for name in imports(tree)
        if (match := private.match(name)) and not place(file).startswith(match[1] + "/")
    }

    assert not found


def test_databases_are_opened_in_few_places() -> None:
    openers = {"create_engine", "create_async_engine", "sqlite3.connect"}
    found = {place(file) for file, tree in TREES.items() if openers & names(tree) and not allowed(file, OPENING)}

    assert not found


def test_only_the_engines_gate_gives_permits() -> None:
    found = {place(file) for file, tree in TREES.items() if "permitted" in names(tree)}

    assert {at for at in found if not at.startswith("engine/")} == {"core/__init__.py"}


LONG_FILES = {"testing/journal_suite.py"}
"""A suite is a list. This one only shrinks."""


def test_files_and_functions_stay_readable() -> None:
    long_files = {place(file) for file in FILES if len(file.read_text().splitlines()) > 600} - LONG_FILES
    long_functions = {
        f"{place(file)}: {node.name}"
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > 60
        if "migrations" not in file.parts  # a migration is one list
    }

    assert not long_files
    assert not long_functions


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_ignores_carry_a_rule_and_a_reason() -> None:
    bare = re.compile(r"# (?:type: ignore|pyright: ignore)(?!\[[\w, -]+\])|# noqa(?!: [A-Z]+\d)")
    silent = re.compile(r"# pyright: ignore\[[\w, -]+\]\s*$")
    found = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in CHECKED
        if file != Path(__file__)
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if bare.search(line) or silent.search(line)
    ]

    assert not found


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b")
    assert not [place(file) for file in FILES if later.search(file.read_text())]
