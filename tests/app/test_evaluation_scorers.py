"""Scorers of installed packages: what they are given and may say, and packages that are broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrion.app import Evaluated, evaluate
from orchestrion.core import UserError
from orchestrion.testing import Packages, packages_in, run_command

pytestmark = pytest.mark.anyio

GROUP = "orchestrion.scorers"
WORKFLOW = "document: { dsl: '1.0.3', namespace: test, name: echo, version: '1.0.0' }\ndo:\n  - say: { set: { reply: '${ .text }' } }\n"
EVALUATION = """
workflow: echo
cases:
  - { input: { text: hello }, expect: { least: 4 } }
  - { input: { text: bye }, expect: { least: 4 } }
scorers:
  long: { python: { name: NAME } }
"""
LONG = """
def long(case, seen, letters=0):
    assert (case["name"], case["input"]["text"]) in [("case 1", "hello"), ("case 2", "bye")]
    assert seen["status"] == "completed"
    length = len(seen["output"]["reply"])
    return {"value": length >= (letters or case["truth"]["least"]), "why": f"{length} letters"}
def length(case, seen): return len(seen["output"]["reply"])
def nothing(case, seen): return None if case["input"]["text"] == "bye" else True
def unsure(case, seen): return {"value": None, "why": "who knows"}
def text(case, seen): return "good"
def endless(case, seen): return float("nan")
def fails(case, seen): raise LookupError("no dictionary")
"""
NAMES = ("long", "length", "nothing", "unsure", "text", "endless", "fails")


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    with packages_in(tmp_path / "site") as made:
        yield made


@pytest.fixture
def lengths(packages: Packages) -> Packages:
    packages.install("lengths", LONG, "".join(f"{name} = lengths:{name}\n" for name in NAMES), GROUP)
    return packages


def write(folder: Path, scorer: str) -> Path:
    for name, text in {
        "orchestrion.yaml": "name: test\n",
        "workflows/echo.yaml": WORKFLOW,
        "evaluations/lengths.yaml": EVALUATION.replace("NAME", scorer),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def evaluated(folder: Path) -> Evaluated:
    def tell(_: int, __: int) -> None:
        pass

    return await evaluate(folder, None, version="working", against=None, fresh=False, by="ana", tell=tell)


@pytest.mark.parametrize(
    ("scorer", "values", "why", "is_share"),
    [
        ("long", [1.0, 0.0], "5 letters", True),
        ("long, with: { letters: 3 }", [1.0, 1.0], "5 letters", True),
        ("length", [5.0, 3.0], "", False),
        ("nothing", [1.0, None], "", True),
        ("unsure", [None, None], "who knows", True),
    ],
)
@pytest.mark.usefixtures("lengths")
async def test_what_it_says_is_the_score(
    scorer: str, values: list[float | None], why: str, is_share: bool, tmp_path: Path
) -> None:
    found = await evaluated(write(tmp_path, scorer))
    assert [each.value for each in found.scores["long"]] == values
    assert found.scores["long"][0].why == why
    (row,) = found.rows
    assert (row.is_share, row.left_out) == (is_share, values.count(None))


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ("text", "The scorer 'text' gave 'good' at case 1."),
        ("endless", "The scorer 'endless' gave nan at case 1."),
        ("fails", "The scorer 'fails' failed at case 1. LookupError: no dictionary"),
        ("long, with: { words: 3 }", "The scorer 'long' failed at case 1. TypeError: "),
    ],
)
@pytest.mark.usefixtures("lengths")
async def test_one_that_is_broken_is_named_with_the_case(scorer: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        await evaluated(write(tmp_path, scorer))
    assert (caught.value.code, said in caught.value.message) == ("broken-scorer", True)


async def test_one_that_cannot_be_imported_is_named(packages: Packages, tmp_path: Path) -> None:
    packages.install("torn", "import nowhere_to_be_found\n", "torn = torn:score\n", GROUP)
    with pytest.raises(UserError) as caught:
        await evaluated(write(tmp_path, "torn"))
    assert caught.value.code == "broken-scorer"
    assert "ModuleNotFoundError" in caught.value.message


def test_a_name_of_no_package_or_of_two_is_found_before_anything_runs(lengths: Packages, tmp_path: Path) -> None:
    found = run_command("validate", str(write(tmp_path, "lenght")))
    assert found.code == 2
    for words in (
        "evaluations/lengths.yaml:7:27",
        "unknown-scorer",
        "No installed package offers a scorer 'lenght'.",
        "There are: endless, fails, length, long, nothing, text, unsure.",
    ):
        assert words in " ".join(found.said.split())
    lengths.install("others", "def length(case, seen): return 1\n", "length = others:length\n", GROUP)
    found = run_command("validate", str(write(tmp_path, "length")))
    assert (found.code, "scorer-clash" in found.said) == (2, True)
