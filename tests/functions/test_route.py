"""`route`: a label with its evidence, or none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.core import Datum, Invocation, Json, LeafContext, Outcome, UserError
from orchestrion.functions import Route, violations
from orchestrion.models import Routers, RouterSettings, RouterSource
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio

ROWS = [
    *((text, "billing") for text in ("charged twice", "refund please", "wrong invoice", "fee too high", "my bill")),
    *((text, "technical") for text in ("app crashes", "cannot log in", "screen is black", "error again", "app error")),
]


@pytest.fixture
def route(tmp_path: Path) -> Route:
    path = tmp_path / "intents.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS), encoding="utf-8")
    source = RouterSource(examples=path, settings=RouterSettings(threshold=0.6))
    return Route(Routers({"intents": source}, folder=tmp_path / "cache"))


async def routed(route: Route, **arguments: Json) -> Outcome:
    invocation = Invocation(
        key="/do/0/r#1~1",
        task="/do/0/r",
        function="route:1.0.0",
        arguments=Datum({"router": "intents", **arguments}, {"/input": frozenset({"untrusted"})}),
    )
    assert violations(dict(route.declaration.input_schema), invocation.arguments.value) == []
    outcome = await route.perform(invocation, LeafContext(run_id="r", idempotency_key="k", secrets=NoSecrets()))
    assert violations(dict(route.declaration.output_schema), outcome.output.value) == []
    return outcome


async def test_it_gives_the_label_and_the_nearest_examples(route: Route) -> None:
    outcome = await routed(route, input="I was charged twice")
    found = cast("Mapping[str, Any]", outcome.output.value)
    assert found["label"] == "billing"
    assert found["abstained"] is False
    assert found["nearest"][0]["text"] == "charged twice"
    told = cast("Mapping[str, Any]", outcome.why)
    assert told["nearest"] == found["nearest"]
    assert told["threshold"] == 0.6


async def test_it_abstains_with_null(route: Route) -> None:
    found = cast("Mapping[str, Any]", (await routed(route, input="zzz")).output.value)
    assert found == {"label": None, "confidence": 0.0, "abstained": True, "nearest": []}


async def test_choices_are_kept_to(route: Route) -> None:
    found = cast("Mapping[str, Any]", (await routed(route, input="charged twice", choices=["technical"])).output.value)
    assert found["label"] is None


async def test_it_computes_and_touches_nothing(route: Route) -> None:
    assert route.nature({}).effect == "none"
    assert route.declaration.effect == "none"


async def test_an_unknown_router_is_named(route: Route) -> None:
    with pytest.raises(UserError, match="no router 'x'"):
        await routed(route, router="x", input="hello")
