"""`retrieve`: passages with labels, and the digest of the index that was asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.core import Datum, Invocation, LeafContext
from orchestrion.functions import Retrieve, violations
from orchestrion.knowledge import Base, Knowledge, Place
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio


async def test_it_gives_labelled_passages_and_says_which_index_was_asked(tmp_path: Path) -> None:
    folder = tmp_path / "forum"
    folder.mkdir()
    (folder / "talk.md").write_text("# Talk\n\nCards are blue.\n", encoding="utf-8")
    base = Base(folder=folder, deep=True, labels=frozenset({"untrusted"}))
    knowledge = Knowledge({"forum": base}, lambda: Place(file=tmp_path / "index.db"))
    retrieve = Retrieve(knowledge)
    invocation = Invocation(
        key="/do/0/r#1~1",
        task="/do/0/r",
        function="retrieve:1.0.0",
        arguments=Datum({"knowledge": "forum", "query": "blue card", "k": 3}),
    )
    assert violations(dict(retrieve.declaration.input_schema), invocation.arguments.value) == []
    outcome = await retrieve.perform(invocation, LeafContext(run_id="r", idempotency_key="", secrets=NoSecrets()))
    knowledge.close()

    assert violations(dict(retrieve.declaration.output_schema), outcome.output.value) == []
    found = cast("Mapping[str, Any]", outcome.output.value)
    assert found["passages"][0]["text"] == "Cards are blue."
    assert found["passages"][0]["source"] == {
        "file": "talk.md",
        "heading": "Talk",
        "page": None,
        "row": None,
        "lines": [3, 3],
    }
    assert outcome.output.labels == {"/passages": frozenset({"untrusted"})}
    why = cast("Mapping[str, Any]", outcome.why)
    assert why["index"] == found["index"]
    assert outcome.model == f"knowledge:forum@{found['index'][:12]}"


def test_a_base_that_does_not_exist_is_found_when_a_project_is_read(tmp_path: Path) -> None:
    bases = {"forum": Base(folder=tmp_path, deep=True, labels=frozenset())}
    for known, name in ((bases, "forum"), ({}, "default")):
        schema = Retrieve(Knowledge(known, lambda: Place(file=tmp_path / "index.db"))).declaration.input_schema
        assert violations(dict(schema), {"knowledge": name, "query": "q"}) == []
        (wrong,) = violations(dict(schema), {"knowledge": "nowhere", "query": "q"})
        assert (wrong.pointer, name in wrong.message) == ("/knowledge", True)
