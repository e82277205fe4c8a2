"""What simulations are made of: documents that the standard accepts, and expressions that mean what jq says."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest

from orchestrion.core import Json, UserError
from orchestrion.expressions import Expressions, variables_of
from orchestrion.spec import ExpressionAt, read
from orchestrion.testing.simulation import evaluate, generate

SEEDS = range(120)


def documents() -> list[Mapping[str, Any]]:
    return [document for seed in SEEDS for document in generate(random.Random(seed), size=1 + seed % 14)]


def test_generated_documents_are_valid_by_the_standard(test_data: Path) -> None:
    schema = read((test_data / "open-workflow/schema/workflow.yaml").read_text()).source
    assert schema is not None
    validator = jsonschema_rs.validator_for(cast("dict[str, object]", schema.json))
    for document in documents():
        assert [error.message for error in validator.iter_errors(document)] == []


def test_every_kind_of_task_is_generated() -> None:
    words = ("set", "call", "switch", "for", "fork", "try", "wait", "emit", "raise", "do", "run", "listen")
    text = str(documents())
    assert [word for word in words if f"'{word}': " not in text] == []


VALUES: tuple[Json, ...] = (None, 0, 2, 3, "text", [1], {"a": 1, "status": 503}, {"a": None, "ncount1": 2})


@pytest.mark.anyio
async def test_expressions_mean_what_jq_says() -> None:
    programs = sorted({each.program for document in documents() for each in _read(document)})
    async with Expressions() as jq:
        for number, program in enumerate(programs):
            chosen = random.Random(number)
            variables: dict[str, Json] = {name: chosen.choice(VALUES) for name in variables_of(program)}
            variables |= {".": chosen.choice(VALUES), "__now": 1.0}
            assert _simulated(program, variables) == await _real(jq, program, variables), (program, variables)


def _read(document: Mapping[str, Any]) -> Sequence[ExpressionAt]:
    found = read(json.dumps(document)).document
    assert found is not None
    return found.expressions


def _simulated(program: str, variables: Mapping[str, Json]) -> Json:
    try:
        return evaluate(program, variables)
    except UserError:
        return "it failed"


async def _real(jq: Expressions, program: str, variables: Mapping[str, Json]) -> Json:
    try:
        return (await jq.evaluate([program], variables))[0]
    except UserError:
        return "it failed"
