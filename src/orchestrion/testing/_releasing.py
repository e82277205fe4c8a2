"""Deploying, trying, promoting and taking back a version of a small project, in a process that dies at a place of the registry's writing."""

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import anyio

from orchestrion.app import App, open_app, oversight_of, put_on_trial, release, resolve, retrain_router, roll_back
from orchestrion.journal import DurableJournal
from orchestrion.oversight import Plan, Rule
from orchestrion.registry import PRODUCTION, Rollout, RolloutStatus
from orchestrion.store import Connection

T = TypeVar("T")

Act = Literal["deploy", "try", "promote", "take back", "roll back", "retrain"]
WORKFLOW = """
document: { dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }
do: [say: { set: { said: SAID } }]
"""
SORTING: Mapping[str, str] = {
    "orchestrion.yaml": "routers: { desk: { examples: desk.csv } }\n",
    "workflows/greet.yaml": WORKFLOW.replace(
        "say: { set: { said: SAID } }",
        "say: { call: 'route:1.0.0@default', with: { router: desk, input: '${ .said }' } }",
    ),
    "policies/all.cedar": "permit (principal, action, resource);\n",
    "evaluations/parcels.yaml": """
workflow: greet
cases: [{ input: { said: my parcel 3 is late } }]
scorers: { parcels: { exact: { at: /label, value: billing }, gate: { at_least: 1 } } }
""",
    "desk.csv": "\n".join(
        ["text,label"]
        + [
            f"please look at {word} number {number},{label}"
            for word, label in (
                ("charge", "billing"),
                ("refund", "billing"),
                ("login", "technical"),
                ("error", "technical"),
            )
            for number in range(9)
        ]
    ),
    "corrections.csv": "\n".join(["text,label", *(f"my parcel {number} is late,billing" for number in range(9))]),
}
PLAN = Plan(shares=(0.5,), loss='.output.said == "rude"', rule=Rule(alpha=0.2, tolerance=0.9))
_TABLES = ("pieces", "bundles", "moves", "rollouts")


def write_greeting(folder: Path, said: str, *, store: str | None = None) -> None:
    """A project with one workflow, which says this."""
    (folder / "workflows").mkdir(parents=True, exist_ok=True)
    (folder / "workflows" / "greet.yaml").write_text(WORKFLOW.replace("SAID", said), encoding="utf-8")
    if store is not None:
        (folder / "orchestrion.yaml").write_text(f"store: '{store}'\n", encoding="utf-8")


def _write_sorting(folder: Path) -> None:
    """The same workflow sorts by a router, which has not learned of parcels yet."""
    for name, text in SORTING.items():
        place = folder / name
        place.parent.mkdir(exist_ok=True)
        known = place.read_text(encoding="utf-8") if place.exists() and name == "orchestrion.yaml" else ""
        place.write_text(known + text, encoding="utf-8")


def begin_releases(folder: str, act: Act) -> None:
    """What an act goes on from: 'fine' in production, and for a verdict another version on trial, which the files are then."""
    place = Path(folder)

    async def begin() -> None:
        if act == "retrain":
            _write_sorting(place)
            async with open_app(place) as app:
                await release(app, await resolve(app, "working", "greet", "ana"), PRODUCTION, by="ana", why="fine")
            return
        for said in ("first", "fine") if act == "roll back" else ("fine",):
            write_greeting(place, said)
            async with open_app(place) as app:
                await release(app, await resolve(app, "working", "greet", "ana"), PRODUCTION, by="ana", why=said)
        write_greeting(place, "rude" if act == "take back" else "kind")
        if act in {"promote", "take back"}:
            async with open_app(place) as app:
                await put_on_trial(app, await resolve(app, "working", "greet", "ana"), PLAN, by="ana")

    anyio.run(begin)


def play_release(folder: str, act: Act, at: int) -> None:
    """Play an act, and die at its `at`-th place, counting from 1; 0 lives. It prints how many places there were."""
    passed = _mortal(at)

    async def act_out() -> None:
        async with open_app(Path(folder)) as app:
            await _ACTS[act](app)

    anyio.run(act_out)
    sys.stdout.write(json.dumps({"places": passed()}))


async def _deploy(app: App) -> None:
    await release(app, await resolve(app, "working", "greet", "ana"), PRODUCTION, by="ana", why="kind")


async def _try(app: App) -> None:
    if not await oversight_of(app).rollouts.running():
        await put_on_trial(app, await resolve(app, "working", "greet", "ana"), PLAN, by="ana")


async def _until_verdict(app: App) -> None:
    (begun,) = await oversight_of(app).rollouts.listed(2)
    while begun.status is RolloutStatus.RUNNING:
        chosen = await app.versions.choose("greet", "ana")
        await app.engine.settle((await app.start(chosen, {}, subject="ana")).id)
        begun: Rollout = await oversight_of(app).rollouts.find(begun.id)


async def _roll_back(app: App) -> None:
    registry = app.versions.registry
    assert registry is not None
    if len(await registry.moves("shop/greet")) == 2:
        await roll_back(app, "greet", None, by="ana", why="back")


async def _retrain(app: App) -> None:
    if not await oversight_of(app).rollouts.running():
        found = await retrain_router(app, "desk", app.project.root / "corrections.csv", trial=PLAN, by="ana")
        assert found.won


_ACTS: Mapping[Act, Callable[[App], Awaitable[None]]] = {
    "deploy": _deploy,
    "try": _try,
    "promote": _until_verdict,
    "take back": _until_verdict,
    "roll back": _roll_back,
    "retrain": _retrain,
}
ACTS: Sequence[Act] = tuple(_ACTS)


class _Counting:
    """A connection in a transaction that stops before and after each statement about the registry's tables."""

    def __init__(self, connection: Connection, place: Callable[[], None]) -> None:
        self._connection = connection
        self._place = place
        self.wrote = False

    def execute(self, text: str, values: Sequence[Any] = ()) -> Any:
        writes = text.split()[0] != "select" and any(f" {table} " in f" {text} " for table in _TABLES)
        if writes:
            self._place()
        found = self._connection.execute(text, values)
        self.wrote = self.wrote or writes
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _mortal(at: int) -> Callable[[], int]:
    """From now on this process dies at a place; how many it has passed."""
    count = 0

    def place() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    change = DurableJournal.change

    async def dying(self: DurableJournal, work: Callable[[Connection], T]) -> T:
        wrote = False

        def counted(connection: Connection) -> T:
            nonlocal wrote
            counting = _Counting(connection, place)
            done = work(cast("Connection", counting))
            wrote = counting.wrote
            if wrote:
                place()
            return done

        done = await change(self, counted)
        if wrote:
            place()
        return done

    DurableJournal.change = dying
    return lambda: count
