"""Journals of real runs, of this release and those before it, walked by the present build.

To store those of a new release: python -m orchestrion.testing.stored_journals tests/stored_journals
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from orchestrion.app import Rooms
from orchestrion.core import Datum
from orchestrion.interpreter import SEMANTICS
from orchestrion.testing.stored_journals import PROJECT, StoredJournal, Walked, opened, recorded_entries, walk_again

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent
PATHS = [path for path in sorted(FOLDER.glob("*/*.json")) if path.name != PROJECT]


@pytest.fixture(scope="module")
async def rooms() -> AsyncGenerator[Mapping[str, Rooms]]:
    """Release → its project, opened once for all of its journals."""
    async with AsyncExitStack() as stack:
        yield {
            folder.name: await stack.enter_async_context(
                opened(StoredJournal.load(next(folder.glob("[!p]*.json"))).files)
            )
            for folder in sorted(FOLDER.glob("[0-9]*"))
        }


def end_of(walked: Walked) -> Mapping[str, object]:
    return {"status": walked.run.status.value, "output": walked.run.output, "problem": walked.run.problem}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_a_finished_record_leads_to_the_same_end_and_nothing_is_performed(
    path: Path, rooms: Mapping[str, Rooms]
) -> None:
    stored = StoredJournal.load(path)
    walked = await walk_again(stored, rooms[path.parent.name], after=stored.last)
    assert end_of(walked) == stored.end
    assert walked.performed == []
    assert walked.entries == await recorded_entries(stored)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
async def test_every_state_it_was_in_leads_to_the_same_end(path: Path, rooms: Mapping[str, Rooms]) -> None:
    stored = StoredJournal.load(path)
    for after in range(stored.first, stored.last):
        walked = await walk_again(stored, rooms[path.parent.name], after=after)
        assert end_of(walked) == stored.end, f"after {after} changes"


async def test_a_change_of_what_a_task_means_is_noticed(
    rooms: Mapping[str, Rooms], monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Any = resolve_name("orchestrion.interpreter._evaluate:Evaluation.template")

    async def otherwise(self: Any, template: Any, dot: Datum, extra: Any = None) -> Datum:
        """Every object that a document makes has one member more."""
        made: Datum = await original(self, template, dot, extra)
        return Datum({**made.value, "more": True}, made.labels) if isinstance(made.value, Mapping) else made

    monkeypatch.setattr("orchestrion.interpreter._evaluate.Evaluation.template", otherwise)
    path = next(path for path in PATHS if path.stem == "set-switch-do")
    stored = StoredJournal.load(path)
    walked = await walk_again(stored, rooms[path.parent.name], after=stored.last - 1)
    assert end_of(walked) != stored.end


def test_every_journal_of_these_semantics_is_tried() -> None:
    """A release that raises `SEMANTICS` refuses open runs of those before: their journals then belong into no corpus any more."""
    assert {StoredJournal.load(path).semantics for path in PATHS} == {SEMANTICS}
