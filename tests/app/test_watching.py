"""Watching: each thing counts once, whoever looks and whenever; feedback has consequences; alerts are told once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

import pytest

from orchestrion.app import (
    AlertBook,
    App,
    FeedbackBook,
    Watch,
    Watching,
    evaluate,
    open_app,
    open_journal,
    open_rooms,
    oversight_of,
    put_on_trial,
    release,
    resolve,
)
from orchestrion.core import Answer, Datum, Journal, Json, Run, RunFilter, RunStatus, SystemClock, UserError
from orchestrion.journal import DurableJournal
from orchestrion.oversight import Measures, Plan, Subject, SubjectKind
from orchestrion.project import Project
from orchestrion.registry import PRODUCTION, RolloutStatus
from orchestrion.store import Connection
from orchestrion.testing.journal_suite import HandClock

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
T = TypeVar("T")
WORKFLOW = """
document: { dsl: 1.0.3, namespace: shop, name: greet, version: 1.0.0 }
do:
  - ask: { call: 'human:1.0.0@default', with: { role: lead, title: May it?, form: { type: object } }, if: '${ .ask == true }' }
  - say: { call: 'agent:1.0.0@default', with: { agent: greeter, input: { message: hello } } }
  - check: { raise: { error: { type: https://shop.example/broken, status: 500 } }, if: '${ $workflow.input.broken == true }' }
  - tell: { set: { said: '${ $workflow.input.say // "one" }', desk: front } }
"""
NOTIFY = """
document: { dsl: 1.0.3, namespace: shop, name: notify, version: 1.0.0 }
do:
  - note: { set: { told: '${ .sentence }', runs: '${ .runs }' } }
"""
AGENT = """
name: greeter
input: { type: object, properties: { message: { type: string } } }
output: { type: object, required: [reply], properties: { reply: { type: string } } }
playbook: { name: greeter, rules: [{ name: all, answer: { reply: hello } }] }
"""
POLICY = '@id("all") permit (principal, action, resource);'
RULES = """
roles: [lead]
alerts:
  broken: { of: workflow, name: shop/greet, measure: errors_rate, above: 0.5, window: 1h, at_least: 3, run: notify }
"""


def write(folder: Path, settings: str = "roles: [lead]\n") -> Path:
    files = {
        "orchestrion.yaml": settings,
        "workflows/greet.yaml": WORKFLOW,
        "workflows/notify.yaml": NOTIFY,
        "agents/greeter.yaml": AGENT,
        "policies/all.cedar": POLICY,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def run(app: App, value: Json = None, workflow: str = "greet") -> Run:
    chosen = await app.versions.choose(workflow, "ana")
    return await app.engine.settle((await app.start(chosen, value or {}, subject="ana")).id)


def durable(journal: Journal) -> DurableJournal:
    assert isinstance(journal, DurableJournal)
    return journal


async def counted(journal: Journal, kind: SubjectKind, name: str) -> Measures:
    watch = Watch(durable(journal), CLOCK)
    await watch.catch_up()
    return (await watch.sums(kind, CLOCK.now() - 3600.0)).get(name, Measures())


async def test_each_thing_counts_once_whoever_looks(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        for _ in range(3):
            await run(app)
    async with open_app(tmp_path) as app:
        await run(app)
        async with open_journal(Project.load(tmp_path), mode="join", clock=CLOCK) as beside:
            assert (await counted(beside, "workflow", "shop/greet")).count == 4
            assert (await counted(app.journal, "workflow", "shop/greet")).count == 4
        assert (await counted(app.journal, "agent", "greeter")).count == 4
        assert (await counted(app.journal, "model", "playbook")).count == 4


class Overtaken:
    """A way into a store by which somebody else is always a little sooner."""

    def __init__(self, journal: DurableJournal) -> None:
        self._journal = journal

    async def look(self, work: Callable[[Connection], T]) -> T:
        return await self._journal.look(work)

    async def change(self, work: Callable[[Connection], T]) -> T:
        await Watch(self._journal, CLOCK).catch_up()
        return await self._journal.change(work)


async def test_who_comes_second_counts_nothing_twice(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        await run(app)
        await run(app, {"ask": True})
        await Watch(Overtaken(durable(app.journal)), CLOCK).look()
        found = await counted(app.journal, "workflow", "shop/greet")
        assert (found.count, found.asked) == (1, 1)


async def test_a_run_that_waits_counts_when_it_waits_and_its_end_when_it_ends(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        waiting = await run(app, {"ask": True})
        found = await counted(app.journal, "workflow", "shop/greet")
        assert (found.asked, found.count) == (1, 0)
        assert found.behind("asked") == [waiting.id]
        assert (await counted(app.journal, "agent", "greeter")).count == 0
        (request,) = await app.journal.requests(run_id=waiting.id)
        await app.answer(request, Answer(verdict="answered", by="ana", at=CLOCK.now(), value=Datum({})))
        await app.engine.settle(waiting.id)
        found = await counted(app.journal, "workflow", "shop/greet")
        assert (found.asked, found.count) == (1, 1)
        assert (await counted(app.journal, "agent", "greeter")).count == 1


async def test_a_run_that_is_retried_does_not_count_again_what_it_did_before(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        faulted = await run(app, {"broken": True})
        assert (await counted(app.journal, "workflow", "shop/greet")).errors == 1
        await app.engine.retry(faulted.id, "ana")
        await app.engine.settle(faulted.id)
        found = await counted(app.journal, "workflow", "shop/greet")
        assert (found.count, found.errors) == (2, 2)
        assert (await counted(app.journal, "agent", "greeter")).count == 1


async def test_a_run_that_takes_over_what_another_did_does_not_count_that(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        first = await run(app)
        again = await app.rerun(first, "tell", subject="ana")
        await app.engine.settle(again.id)
        assert (await counted(app.journal, "workflow", "shop/greet")).count == 2
        assert (await counted(app.journal, "agent", "greeter")).count == 1


async def test_feedback_counts_for_whoever_took_part(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        ended = await run(app)
        book = FeedbackBook(durable(app.journal), CLOCK)
        await book.give(ended, by="ana", correction={"desk": "back"}, note="wrong desk")
        await book.give(ended, by="ben", thumb="good")
        for kind, name in (("workflow", "shop/greet"), ("agent", "greeter")):
            found = await counted(app.journal, cast("SubjectKind", kind), name)
            assert (found.corrected, found.bad, found.good) == (1, 1, 1)
            assert found.behind("corrected_rate") == [ended.id]
        with pytest.raises(UserError) as error:
            await book.give(ended, by="ana", correction={"dsk": "back"})
        assert error.value.code == "correction-fits-nothing"
        with pytest.raises(UserError) as error:
            await book.give(ended, by="ana")
        assert error.value.code == "empty-feedback"


EVALUATION = """
workflow: greet
cases: [{ corrections: {} }]
scorers: { desk: { exact: { at: /desk, truth: /output/desk }, gate: { at_least: 1 } } }
"""


async def test_a_correction_is_a_case_of_an_evaluation(tmp_path: Path) -> None:
    async with open_app(write(tmp_path)) as app:
        wrong, right = await run(app, {"say": "a"}), await run(app, {"say": "b"})
        await run(app, {"say": "nobody said anything about this one"})
        book = FeedbackBook(durable(app.journal), CLOCK)
        await book.give(wrong, by="ana", correction={"desk": "nowhere"})
        await book.give(wrong, by="ana", correction={"desk": "back"})
        await book.give(right, by="ana", correction={"desk": "front"})
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "said.yaml").write_text(EVALUATION)
    found = await evaluate(
        tmp_path, "said", version="working", against=None, fresh=False, by="ana", tell=lambda done, of: None
    )
    assert [case.name for case in found.gathered.cases] == [
        f"run {right.id}, corrected",
        f"run {wrong.id}, corrected",
    ]
    assert [score.value for score in found.scores["desk"]] == [1, 0]
    assert cast("Mapping[str, Json]", found.gathered.cases[1].truth)["output"] == {"said": "a", "desk": "back"}
    assert not found.passed


async def test_a_run_that_is_corrected_before_it_is_judged_is_a_loss_of_its_version(tmp_path: Path) -> None:
    clock = HandClock()
    async with open_app(write(tmp_path), clock=clock) as app:
        await release(app, await resolve(app, "working", "greet", "ana"), PRODUCTION, by="ana", why="first")
    (tmp_path / "agents" / "greeter.yaml").write_text(AGENT.replace("reply: hello", "reply: hi"))
    async with open_app(tmp_path, clock=clock) as app:
        plan = Plan(shares=(0.5,), hold=3600)
        begun = await put_on_trial(app, await resolve(app, "working", "greet"), plan, by="ana")
        oversight, book = oversight_of(app), FeedbackBook(durable(app.journal), CLOCK)
        for _ in range(60):
            await run(app)
        assert (await oversight.comparison(begun)).pairs == 0
        for trial in await oversight.rollouts.runs(begun):
            if trial.side == "candidate":
                ended = await app.journal.run(trial.id)
                assert ended is not None
                await book.give(ended, by="ana", correction={"desk": "back"})
        assert (await oversight.comparison(begun)).pairs == 0
        clock.pass_s(3601)
        await oversight.look()
        over = await oversight.rollouts.find(begun.id)
        assert over.status is RolloutStatus.ROLLED_BACK


async def alerts(app: App, watching: Watching) -> tuple[int, list[Run]]:
    """How many are open, and the runs that told of any."""
    await watching.watch.catch_up()
    await watching.judge()
    told = await app.journal.runs(RunFilter(workflow="shop/notify"))
    return len(await watching.book.current()), [await app.engine.settle(each.id) for each in told]


async def test_an_alert_is_told_once_with_the_runs_behind_it_and_clears(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, RULES)) as app:
        watching = Watching(app, durable(app.journal))
        broken = [await run(app, {"broken": True}) for _ in range(2)]
        assert await alerts(app, watching) == (0, [])
        broken.append(await run(app, {"broken": True}))
        count, told = await alerts(app, watching)
        assert (count, len(told)) == (1, 1)
        assert (told[0].status, told[0].subject) == (RunStatus.COMPLETED, "Alert::broken")
        output = cast("Mapping[str, Json]", told[0].output)
        assert output["told"] == "workflow shop/greet: errors 100.0% of 3, above 50.0%, over 1 hour"
        assert output["runs"] == [each.id for each in broken]
        await run(app, {"broken": True})
        assert [each.id for each in (await alerts(app, watching))[1]] == [told[0].id]
        for _ in range(4):
            await run(app)
        assert (await alerts(app, watching))[0] == 0
        (alert,) = await watching.book.listed(10)
        assert alert.cleared_at is not None
        assert alert.run == told[0].id


async def test_all_of_it_works_on_postgresql(tmp_path: Path, postgresql: str) -> None:
    async with open_app(write(tmp_path, f"store: {postgresql}\n{RULES}")) as app:
        watching = Watching(app, durable(app.journal))
        ended = await run(app)
        waiting = await run(app, {"ask": True})
        await FeedbackBook(durable(app.journal), CLOCK).give(ended, by="ana", correction={"desk": "back"})
        for _ in range(3):
            await run(app, {"broken": True})
        found = await counted(app.journal, "workflow", "shop/greet")
        assert (found.count, found.errors, found.asked, found.corrected) == (4, 3, 1, 1)
        assert found.behind("asked") == [waiting.id]
        count, told = await alerts(app, watching)
        assert (count, len(told)) == (1, 1)
        await watching.watch.detect()
        (alert,) = await watching.book.current()
        assert (await watching.book.acknowledge(alert, "ana")).acknowledged_by == "ana"


async def test_an_alert_of_a_killed_process_is_told_by_the_next(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, RULES)) as app:
        book = AlertBook(durable(app.journal), CLOCK)
        subject = Subject("workflow", "shop/greet")
        body: Json = {"sentence": "it broke", "runs": []}
        assert await book.open("broken", subject, body, occasion="1")
        assert not await book.open("broken", subject, body, occasion="2")
    async with open_app(tmp_path) as app:
        told = await app.journal.runs(RunFilter(workflow="shop/notify"))
        assert len(told) == 1
        (alert,) = await AlertBook(durable(app.journal), CLOCK).listed(10)
        assert alert.run == told[0].id
        acknowledged = await AlertBook(durable(app.journal), CLOCK).acknowledge(alert, "ana")
        assert acknowledged.acknowledged_by == "ana"
        with pytest.raises(UserError) as error:
            await AlertBook(durable(app.journal), CLOCK).acknowledge(alert, "ben")
        assert error.value.code == "alert-acknowledged"


DRIFT = """
roles: [lead]
alerts:
  changed: { of: workflow, drift: true, window: 1d, run: notify }
"""


async def test_drift_is_found_and_told_once(tmp_path: Path) -> None:
    async with open_app(write(tmp_path, DRIFT)) as app:
        watching = Watching(app, durable(app.journal))
        for number in range(80):
            await run(app, {"broken": number >= 40})
        await watching.watch.catch_up()
        changed = await watching.watch.detect()
        assert (Subject("workflow", "shop/greet"), "errors") in [each[:2] for each in changed]
        count, told = await alerts(app, watching)
        assert (count, len(told)) == (1, 1)
        assert "errors has changed from 0.00 to" in str(cast("Mapping[str, Json]", told[0].output)["told"])
        assert await watching.watch.detect() == []
        assert len((await alerts(app, watching))[1]) == 1


@pytest.mark.parametrize(
    ("rule", "place", "says"),
    [
        ("{ of: agent, measure: errors_rate, above: 0.5, run: nobody }", "orchestrion.yaml:2:", "no workflow 'nobody'"),
        ("{ of: agent, measure: errors_rate, run: notify }", "orchestrion.yaml:2:", "`above` or `below`"),
        ("{ of: agent, measure: errors_rate, above: 1, window: 1s, run: notify }", "orchestrion.yaml:2:", "window"),
        ("{ of: agent, measure: mood, above: 1, run: notify }", "orchestrion.yaml:2:", "errors_rate"),
    ],
)
async def test_a_rule_that_cannot_work_is_a_finding(tmp_path: Path, rule: str, place: str, says: str) -> None:
    write(tmp_path, f"alerts:\n  one: {rule}\n")
    try:
        async with open_rooms(tmp_path) as rooms:
            found = "\n".join(map(str, rooms.checked.findings))
    except UserError as error:
        found = error.message
    assert place in found
    assert says in found
