"""docs/reference/functions.md says what the functions declare.

It is generated: ORCHESTRION_WRITE_DOCS=1 .venv/bin/pytest tests/house/test_functions_documented.py
"""

import os
from importlib import import_module
from pathlib import Path

from orchestrion.core import Declaration
from orchestrion.functions import documentation

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference" / "functions.md"


def declarations() -> list[Declaration]:
    """Those that stand in the room's files."""
    files = sorted((ROOT / "src" / "orchestrion" / "functions").glob("_[a-z]*.py"))
    modules = [import_module(f"orchestrion.functions.{file.stem}") for file in files]
    found = {each.id: each for module in modules for each in vars(module).values() if isinstance(each, Declaration)}
    return [found[name] for name in sorted(found)]


def test_the_reference_is_what_the_functions_declare() -> None:
    parts = [
        "# Functions\n\nWhat a task can `call`. Each declares what it takes and gives; this page comes from that.\n"
    ]
    text = "\n".join([*parts, *(documentation(each) for each in declarations())])
    if os.environ.get("ORCHESTRION_WRITE_DOCS"):
        REFERENCE.write_text(text)

    assert REFERENCE.read_text() == text, f"run with ORCHESTRION_WRITE_DOCS=1 ({__file__})"


UNDESCRIBED = {"http:1.0.0 headers"}
"""This list only shrinks."""


def test_every_function_says_what_its_fields_mean() -> None:
    found: set[str] = set()
    for each in declarations():
        properties = each.input_schema.get("properties", {})
        assert isinstance(properties, dict)
        for name, field in properties.items():
            assert isinstance(field, dict)
            if not field.get("description") and "enum" not in field:
                found.add(f"{each.id} {name}")

    assert found == UNDESCRIBED
