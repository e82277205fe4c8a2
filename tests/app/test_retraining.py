"""A router that learns from corrections is a candidate: it has to win, and touches neither files nor production."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrion.app import App, open_app, predictor_source, release, resolve, retrain_predictor, retrain_router
from orchestrion.core import Json, Run, RunStatus, UserError, dump
from orchestrion.models import train_predictor
from orchestrion.oversight import Plan
from orchestrion.project import Project
from orchestrion.registry import PRODUCTION

pytestmark = pytest.mark.anyio

SETTINGS = "routers: { desk: { examples: routers/desk.csv } }\n"
WORKFLOW = """
document: { dsl: 1.0.3, namespace: shop, name: sort, version: 1.0.0 }
do:
  - sort: { call: 'route:1.0.0@default', with: { router: desk, input: '${ .message }' } }
"""
POLICY = "permit (principal, action, resource);"
EVALUATION = """
workflow: sort
cases: [{ input: { message: my parcel 3 is late } }]
scorers:
  parcels: { exact: { at: /label, value: RIGHT }, gate: { at_least: 1 } }
"""
WORDS: Sequence[tuple[str, str]] = [
    ("charge", "billing"),
    ("refund", "billing"),
    ("login", "technical"),
    ("error", "technical"),
]
PARCELS = [(f"my parcel {number} is late", "billing") for number in range(9)]


def write(folder: Path, *, right: str = "billing") -> Path:
    examples = [f"please look at {word} number {n},{label}" for word, label in WORDS for n in range(9)]
    for name, text in {
        "orchestrion.yaml": SETTINGS,
        "workflows/sort.yaml": WORKFLOW,
        "policies/all.cedar": POLICY,
        "routers/desk.csv": "\n".join(["text,label", *examples, ""]),
        "evaluations/parcels.yaml": EVALUATION.replace("RIGHT", right),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def corrections(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    file = folder / "corrections.jsonl"
    file.write_text("\n".join(dump({"text": text, "label": label}) for text, label in rows))
    return file


async def label(app: App, message: str) -> Json:
    ended: Run = await app.engine.settle(
        (await app.start(await app.versions.choose("sort", "ana"), {"message": message})).id
    )
    assert ended.status is RunStatus.COMPLETED, ended.problem
    assert isinstance(ended.output, dict)
    return ended.output["label"]


async def test_one_that_wins_is_offered_and_nothing_is_touched_until_it_is_accepted(tmp_path: Path) -> None:
    examples = (write(tmp_path) / "routers/desk.csv").read_text()
    async with open_app(tmp_path) as app:
        await release(app, await resolve(app, "working", "sort"), PRODUCTION, by="ana", why="")
        assert await label(app, "my parcel 77 is late") is None
        found = await retrain_router(app, "desk", corrections(tmp_path, PARCELS), trial=None, by="ana")
        assert (found.won, found.contest.corrections, found.contest.lost) == (True, 9, 0)
        assert found.contest.gained >= 5
        (offer,) = found.offers
        assert (offer.proof.verdict, offer.rollout) == ("passed", None)
        assert await label(app, "my parcel 77 is late") is None
        assert (tmp_path / "routers/desk.csv").read_text() == examples
        await release(app, await resolve(app, "candidate", "sort"), PRODUCTION, by="ana", why="")
        assert await label(app, "my parcel 77 is late") == "billing"


async def test_one_that_passes_goes_on_trial_when_that_is_wanted(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        await release(app, await resolve(app, "working", "sort"), PRODUCTION, by="ana", why="")
        found = await retrain_router(app, "desk", corrections(tmp_path, PARCELS), trial=Plan(shares=(0.2,)), by="ana")
        (offer,) = found.offers
        assert offer.rollout is not None
        assert offer.rollout.candidate == offer.candidate.digest


async def test_wrong_corrections_do_not_win(tmp_path: Path) -> None:
    wrong = [
        (f"please look at {word} number {n}", "technical" if n % 2 else "billing")
        for word, _ in WORDS
        for n in range(9)
    ]
    async with open_app(write(tmp_path)) as app:
        found = await retrain_router(app, "desk", corrections(tmp_path, wrong[::2]), trial=None, by="ana")
        assert (found.won, found.offers) == (False, ())


async def test_one_that_fails_the_evaluation_is_not_offered(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, right="technical")) as app:
        plan = Plan(shares=(0.2,))
        found = await retrain_router(app, "desk", corrections(tmp_path, PARCELS), trial=plan, by="ana")
        (offer,) = found.offers
        assert (found.won, offer.proof.verdict, offer.rollout) == (False, "failed", None)
        with pytest.raises(UserError):
            await resolve(app, "candidate", "sort")


async def test_a_file_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    file = write(tmp_path) / "corrections.jsonl"
    file.write_text('{"text": "a", "label": "billing"}\n{"text": "b"}\n')
    async with open_app(tmp_path) as app:
        with pytest.raises(UserError, match=r"corrections.jsonl:2: a correction has texts under 'text' and 'label'"):
            await retrain_router(app, "desk", file, trial=None, by="ana")


LATE = """
description: Whether an invoice is paid late.
model: predictors/late.skops
input: { type: object, properties: { days: { type: integer }, country: { type: string } } }
labels: [on time, late]
train: { estimator: trees, label: was_late, target_precision: 0.9 }
"""
JUDGE = """
document: { dsl: 1.0.3, namespace: shop, name: judge, version: 1.0.0 }
do:
  - judge: { call: 'predict:1.0.0@default', with: { predictor: late, input: '${ . }' } }
"""


def invoices(folder: Path, file: str, rows: Sequence[tuple[int, str, int]]) -> Path:
    path = folder / file
    path.write_text(
        "\n".join(["days,country,was_late", *(f"{days},{country},{late}" for days, country, late in rows), ""])
    )
    return path


def write_predictor(folder: Path) -> Path:
    """Trained where long terms are late in Austria; of Belgium it has seen only that nothing is."""
    rows = [(days, "AT", int(days > 30)) for days in range(60)] + [(days, "BE", 0) for days in range(60)]
    for name, text in {
        "predictors/late.yaml": LATE,
        "workflows/judge.yaml": JUDGE,
        "policies/all.cedar": POLICY,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    data = invoices(folder, "invoices.csv", rows)
    train_predictor(predictor_source(Project.load(folder), "late"), data)
    return data


async def judged(app: App, days: int, country: str) -> Json:
    chosen = await app.versions.choose("judge", "ana")
    ended = await app.engine.settle((await app.start(chosen, {"days": days, "country": country})).id)
    assert isinstance(ended.output, dict), ended.problem
    return ended.output["label"]


async def test_a_predictor_that_wins_is_offered_and_files_stay(tmp_path: Path) -> None:
    data = write_predictor(tmp_path)
    model = (tmp_path / "predictors/late.skops").read_bytes()
    fixed = invoices(tmp_path, "fixed.csv", [(days, "BE", 1) for days in range(31, 60)])
    async with open_app(tmp_path) as app:
        await release(app, await resolve(app, "working", "judge"), PRODUCTION, by="ana", why="")
        assert await judged(app, 45, "BE") == "on time"
        found = await retrain_predictor(app, "late", data, fixed, trial=None, by="ana")
        assert (found.won, found.contest.cases, found.contest.corrections) == (True, 120, 29)
        assert found.contest.gained > 20
        assert await judged(app, 45, "BE") == "on time"
        assert (tmp_path / "predictors/late.skops").read_bytes() == model
        await release(app, await resolve(app, "candidate", "judge"), PRODUCTION, by="ana", why="")
        assert await judged(app, 45, "BE") == "late"
        assert await judged(app, 10, "BE") == "on time"


async def test_a_predictor_with_wrong_corrections_does_not_win(tmp_path: Path) -> None:
    data = write_predictor(tmp_path)
    noise = invoices(tmp_path, "noise.csv", [(days, "AT", int(days % 2)) for days in range(0, 60, 3)])
    async with open_app(tmp_path) as app:
        found = await retrain_predictor(app, "late", data, noise, trial=None, by="ana")
        assert (found.won, found.offers) == (False, ())
        with pytest.raises(UserError, match="cannot be read"):
            await retrain_predictor(app, "late", data, tmp_path / "none.csv", trial=None, by="ana")
