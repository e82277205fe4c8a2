"""Functions that installed packages offer: what they take and give, and packages that are broken."""

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from inline_snapshot import snapshot

from orchestrion.core import (
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    OrchestrionError,
    Outcome,
    TransientError,
    UserError,
)
from orchestrion.functions import DefaultCatalog, Human, PythonFunction
from orchestrion.testing import Packages, packages_in
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    with packages_in(tmp_path) as made:
        yield made


TAX = """
import asyncio, threading
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated
from pydantic import BaseModel, Field
from orchestrion.core import TransientError, UserError
from orchestrion.functions import declares

class Line(BaseModel):
    cents: Annotated[int, Field(ge=0, description="Net, in cents.")]
    on: date = date(2026, 1, 1)

@dataclass
class Due:
    cents: int
    per_cent: Decimal

@declares(effect="read")
def vat(lines: list[Line], country: str = "DE", copy: bool = False) -> Due:
    '''What is due on some lines.

    Rounded to the cent.
    '''
    assert threading.current_thread() is not threading.main_thread()
    rate = {"DE": 19, "CH": 8}[country]
    return Due(cents=sum(line.cents for line in lines) * rate // 100, per_cent=Decimal(rate))

async def book(cents: int, idempotency_key: str) -> dict[str, str | int]:
    await asyncio.sleep(0)
    if cents == 1:
        raise UserError("too-little", "A cent is not booked.")
    if cents == 2:
        raise TransientError("closed", "The ledger is closed.")
    return {"booked": cents, "key": idempotency_key}

@declares(effect="read", labels={"untrusted"})
def look(name: str) -> int:
    return name
"""
TAX_POINTS = """
    vat:1.0.0 = tax:vat
    book:1.0.0 = tax:book
    book:2.0.0 = tax:book
    look:1.0.0 = tax:look
"""


async def call(name: str, arguments: Json, labels: frozenset[str] = frozenset()) -> Outcome:
    function = DefaultCatalog([Human()]).resolve(name)
    assert isinstance(function, PythonFunction)
    given = Datum(arguments, {"": labels} if labels else {})
    invocation = Invocation(key="k", task="t", function=function.declaration.id, arguments=given)
    return await function.perform(invocation, LeafContext(run_id="r", idempotency_key="i-1", secrets=NoSecrets()))


async def failing(name: str, arguments: Json) -> OrchestrionError:
    with pytest.raises(OrchestrionError) as caught:
        await call(name, arguments)
    return caught.value


def test_type_hints_are_what_a_function_takes_and_gives(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    declaration = DefaultCatalog([]).resolve("vat:1.0.0").declaration
    assert (declaration.title, declaration.effect, declaration.idempotent) == (
        "What is due on some lines",
        "read",
        True,
    )
    assert declaration.description == "What is due on some lines.\n\nRounded to the cent."
    assert declaration.input_schema == snapshot(
        {
            "$defs": {
                "Line": {
                    "properties": {
                        "cents": {"description": "Net, in cents.", "minimum": 0, "title": "Cents", "type": "integer"},
                        "on": {"default": "2026-01-01", "format": "date", "title": "On", "type": "string"},
                    },
                    "required": ["cents"],
                    "title": "Line",
                    "type": "object",
                }
            },
            "additionalProperties": False,
            "properties": {
                "lines": {"items": {"$ref": "#/$defs/Line"}, "title": "Lines", "type": "array"},
                "country": {"title": "Country", "type": "string"},
                "copy": {"title": "Copy", "type": "boolean"},
            },
            "required": ["lines"],
            "type": "object",
        }
    )
    assert declaration.output_schema == snapshot(
        {
            "properties": {
                "cents": {"title": "Cents", "type": "integer"},
                "per_cent": {"title": "Per Cent", "type": "string"},
            },
            "required": ["cents", "per_cent"],
            "title": "Due",
            "type": "object",
        }
    )


async def test_values_become_what_the_hints_say_and_results_become_json(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    outcome = await call("vat", {"lines": [{"cents": 1000, "on": "2026-03-01"}, {"cents": 50}]}, frozenset({"pii"}))
    assert outcome.output.value == {"cents": 199, "per_cent": "19"}
    assert outcome.output.labels == {"": {"pii"}}
    assert outcome.why == {"package": "tax 1.2"}
    booked = await call("book:1.0.0", {"cents": 7})
    assert booked.output.value == {"booked": 7, "key": "i-1"}
    assert booked.output.labels == {}


def test_a_function_writes_and_is_not_repeated_unless_it_says_otherwise(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    catalog = DefaultCatalog([])
    natures = {name: cast("PythonFunction", catalog.resolve(name)).nature({}) for name in ("vat", "book", "look")}
    assert {name: (each.effect, each.idempotent, each.resource) for name, each in natures.items()} == {
        "vat": ("read", True, ("Function", "vat")),
        "book": ("write", False, ("Function", "book")),
        "look": ("read", True, ("Function", "look")),
    }


def test_a_bare_name_is_the_highest_version(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    catalog = DefaultCatalog([])
    assert catalog.resolve("book:1.0.0").declaration.id == "book:1.0.0"
    assert catalog.resolve("book").declaration.id == "book:2.0.0"


@pytest.mark.parametrize(
    ("name", "arguments", "code", "words"),
    [
        ("vat", {}, "bad-arguments", "lines is missing"),
        ("vat", {"lines": [{"cents": -1}]}, "bad-arguments", "lines[0].cents must be at least 0"),
        ("vat", {"lines": [], "contry": "DE"}, "bad-arguments", "contry is not expected here"),
        ("vat", {"lines": [{"cents": 1, "on": "2026-02-31"}]}, "bad-arguments", "a date"),
        ("book", {"cents": 5, "idempotency_key": "mine"}, "bad-arguments", "idempotency_key is not expected here"),
        ("book", {"cents": 1}, "too-little", "A cent is not booked."),
        ("vat", {"lines": [], "country": "secret land"}, "function-raised", "raised a KeyError at"),
        ("look", {"name": "secret name"}, "bad-result", "gave a str"),
    ],
)
async def test_what_goes_wrong_is_a_problem(
    packages: Packages, name: str, arguments: Json, code: str, words: str
) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    error = await failing(name, arguments)
    assert error.code == code
    assert words in str(error)
    assert "secret" not in str(error)


async def test_families_are_kept(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    assert isinstance(await failing("book", {"cents": 1}), UserError)
    assert isinstance(await failing("book", {"cents": 2}), TransientError)
    assert isinstance(await failing("look", {"name": "x"}), Faulted)


async def test_a_call_that_hangs_in_its_thread_is_left(packages: Packages) -> None:
    code = """
        import threading
        begun, go_on = threading.Event(), threading.Event()
        def hang(x: int) -> int:
            begun.set()
            go_on.wait()
            return x
    """
    packages.install("slow", code, "hang:1.0.0 = slow:hang\n")
    calling = asyncio.ensure_future(call("hang", {"x": 1}))
    await asyncio.sleep(0)
    slow = importlib.import_module("slow")
    await asyncio.to_thread(cast("threading.Event", slow.begun).wait)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(calling, 2)
    slow.go_on.set()


BROKEN = {
    "import nowhere_to_be_found": "ModuleNotFoundError",
    "1 / 0": "ZeroDivisionError",
    "raise SystemExit": "SystemExit",
    "def f(x): ...": "does not say what it returns",
    "def f(x) -> int: ...": "'x' has no type",
    "def f(*x: int) -> int: ...": "'x' has no name to call it by",
    "def f(x: 'Nowhere') -> int: ...": "NameError",
    "class C: ...\ndef f(x: C) -> int: ...": "PydanticSchemaGenerationError",
    "f = 7": "It is no function",
    "": "AttributeError",
}


@pytest.mark.parametrize(("code", "words"), BROKEN.items(), ids=list(BROKEN.values()))
def test_a_broken_package_is_named_and_breaks_nothing_else(packages: Packages, code: str, words: str) -> None:
    packages.install("rotten", code, "f:1.0.0 = rotten:f\n")
    packages.install("tax", TAX, TAX_POINTS)
    catalog = DefaultCatalog([])
    with pytest.raises(UserError) as caught:
        catalog.resolve("f:1.0.0")
    assert caught.value.code == "broken-function"
    assert "'f:1.0.0' (rotten:f) of the package rotten 1.2" in caught.value.message
    assert words in caught.value.message
    assert catalog.resolve("vat").declaration.id == "vat:1.0.0"


def test_nothing_is_imported_before_it_is_named(packages: Packages) -> None:
    packages.install("tax", TAX, TAX_POINTS)
    packages.install("other", "def g(x: int) -> int: ...", "g:1.0.0 = other:g\n")
    catalog = DefaultCatalog([Human()])
    catalog.resolve("human")
    assert not catalog.installed.looked
    catalog.resolve("vat")
    assert catalog.installed.looked
    assert ("tax" in sys.modules, "other" in sys.modules) == (True, False)


def test_a_name_belongs_to_one_package_and_never_to_one_that_takes_ours(packages: Packages) -> None:
    packages.install("one", "def g(x: int) -> int: ...", "g:1.0.0 = one:g\nhuman:9.0.0 = one:g\nG = one:g\n")
    packages.install("two", "def g(x: int) -> int: ...", "g:2.0.0 = two:g\nh:1.0.0 = two:g\n")
    catalog = DefaultCatalog([Human()])
    assert [str(each) for each in catalog.installed.findings()] == snapshot(
        [
            "one-1.2.dist-info/entry_points.txt:4:1 warning[bad-function-name] The package one 1.2 offers a function under 'G'. Write `name:version`, such as `vat:1.0.0`.",
            "one-1.2.dist-info/entry_points.txt:3:1 warning[function-clash] The package one 1.2 offers 'human:9.0.0', which would be taken for another function of that name. Its own name must be another one. What is offered is not used.",
            "one-1.2.dist-info/entry_points.txt:2:1 warning[function-clash] The function 'g' is offered more than once, by one 1.2 and two 1.2. A name belongs to one package, for policies speak of names. Remove one of them.",
            "two-1.2.dist-info/entry_points.txt:2:1 warning[function-clash] The function 'g' is offered more than once, by one 1.2 and two 1.2. A name belongs to one package, for policies speak of names. Remove one of them.",
        ]
    )
    assert catalog.resolve("human").declaration.version == "1.0.0"
    for name in ("g", "g:1.0.0", "human:9.0.0"):
        with pytest.raises(UserError):
            catalog.resolve(name)
    assert catalog.resolve("h").declaration.id == "h:1.0.0"
