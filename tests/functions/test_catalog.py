"""The catalog: resolving names, suggesting near ones, documenting from declarations; and what importing it costs."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
from inline_snapshot import snapshot

import orchestrion.functions
from orchestrion.core import Catalog, Declaration, Invocation, Json, LeafContext, Nature, Outcome, UserError
from orchestrion.functions import Connections, DefaultCatalog, Human, Query, Transform, documentation


class Echo:
    """A function of any name and version."""

    def __init__(self, name: str, version: str = "1.0.0", **schemas: Mapping[str, Json]) -> None:
        self.declaration = Declaration(
            name=name,
            version=version,
            title=name.capitalize(),
            description="Gives back what it gets.",
            input_schema=schemas.get("input_schema", {"type": "object"}),
            output_schema=schemas.get("output_schema", {"description": "The same."}),
            effect="none",
            idempotent=True,
        )

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="none", idempotent=True, resource=("Function", self.declaration.name))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        return Outcome(output=invocation.arguments)


def test_a_name_means_its_highest_version() -> None:
    old, new, newest = Echo("echo", "1.9.0"), Echo("echo", "1.10.0"), Echo("echo", "2.0.0")
    catalog: Catalog = DefaultCatalog([newest, old, new])

    assert catalog.resolve("echo") is newest
    assert DefaultCatalog([new, old]).resolve("echo") is new
    assert catalog.resolve("echo:1.10.0") is new
    assert [each.id for each in catalog.declarations()] == ["echo:1.9.0", "echo:1.10.0", "echo:2.0.0"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ecko", "Did you mean 'echo:1.0.0'?"),
        ("echo:3.0.0", "Did you mean 'echo:1.0.0'?"),
        ("zzz", "There are: echo:1.0.0, human:1.0.0."),
    ],
)
def test_an_unknown_function_names_near_ones(name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        DefaultCatalog([Echo("echo"), Human()]).resolve(name)

    assert (caught.value.code, caught.value.hint) == ("unknown-function", hint)
    assert repr(name) in caught.value.message


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match=r"echo:1\.0\.0"):
        DefaultCatalog([Echo("echo"), Echo("echo")])


def test_documentation_comes_from_the_schemas() -> None:
    schema: Mapping[str, Json] = {
        "required": ["text"],
        "properties": {
            "text": {"type": "string", "description": "What | to say."},
            "times": {"type": "integer", "default": 1},
            "how": {"enum": ["loud", "low"]},
            "who": {"type": "array", "items": {"type": ["string", "null"]}},
            "x": {},
        },
    }

    assert documentation(Echo("echo", input_schema=schema).declaration) == snapshot("""\
## Echo

`call: echo:1.0.0@default`

Gives back what it gets.

*Effect:* computes within the platform. Repeating it is harmless.

### `with`

| field | type | required | meaning |
| --- | --- | --- | --- |
| `text` | string | yes | What \\| to say. |
| `times` | integer | no | Default: `1`. |
| `how` | `"loud"` or `"low"` | no |  |
| `who` | list of string or null | no |  |
| `x` | any value | no |  |

### Output

Any value. The same.
""")


@pytest.mark.parametrize("function", [Query(Connections({})), Transform(), Human()])
def test_the_functions_here_document_themselves(function: Query | Transform | Human) -> None:
    text = documentation(function.declaration)

    assert text.count("| --- |") >= 1
    assert "any value |  |" not in text


def test_importing_the_room_brings_no_large_library() -> None:
    program = (
        "import sys, orchestrion.functions\n"
        "large = {'sqlalchemy', 'sklearn', 'pydantic_ai', 'httpx', 'httpx2', 'numpy', 'jsonschema_rs'}\n"
        "print(sorted(large & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_every_exported_name_exists() -> None:
    assert all(getattr(orchestrion.functions, name) is not None for name in orchestrion.functions.__all__)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        getattr(orchestrion.functions, "nothing_of_the_kind")  # noqa: B009  a name that type checkers know is missing
