"""Cases of evaluations from what happened: past runs, what people answered and decided in them, and what they say to approvals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from orchestrion.app import App, Evaluated, evaluate, open_app
from orchestrion.core import Answer, Clock, Datum, Json, Run, RunStatus, SystemClock, UserError, Verdict
from orchestrion.testing import counting_server

pytestmark = pytest.mark.anyio

HEAD = "document: { dsl: '1.0.3', namespace: shop, name: NAME, version: '1.0.0' }\n"
FILES = {
    "orchestrion.yaml": "roles: [lead]\negress: { allow: ['127.0.0.1'] }\n",
    "workflows/order.yaml": HEAD.replace("NAME", "order")
    + """
do:
  - charge: { call: http, with: { method: post, endpoint: 'http://SHOP/charges', body: '${ . }', output: raw } }
  - done: { set: { paid: '${ $workflow.input.cents }' } }
""",
    "workflows/sort.yaml": HEAD.replace("NAME", "sort")
    + """
do:
  - first: { set: { desk: '${ if (.text | test("card")) then "cards" else "front" end }' } }
  - look: { call: 'human:1.0.0@default', with: { role: lead, title: Which desk?, form: { type: object } }, if: '${ .desk == "front" }' }
  - last: { set: { desk: '${ .desk }' } }
""",
    "workflows/greet.yaml": HEAD.replace("NAME", "greet")
    + "do:\n  - say: { set: { said: '${ \"Hello \" + .name }' } }\n",
    "policies/all.cedar": """
@id("rest") permit (principal, action, resource) unless { action == Action::"http" };
@id("charge") permit (principal, action == Action::"http", resource)
when { context has approval && context.approval.role == "lead" };
""",
}


class Later(SystemClock):
    """Three days from now."""

    def now(self) -> float:
        return super().now() + 3 * 86_400


def write(folder: Path, address: str = "127.0.0.1:1", **evaluations: str) -> Path:
    for name, text in {**FILES, **{f"evaluations/{each}.yaml": text for each, text in evaluations.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("SHOP", address))
    return folder


async def run(app: App, workflow: str, value: Json, verdict: Verdict | None = None, said: Json = None) -> Run:
    """A run; its request, if it comes to one, gets the verdict, or nobody answers."""
    chosen = await app.versions.choose(workflow, "ana")
    found = await app.engine.settle((await app.start(chosen, value, subject="ana")).id)
    for request in await app.journal.requests(run_id=found.id):
        if verdict is not None:
            at = SystemClock().now()
            await app.engine.answer(request.id, Answer(verdict=verdict, by="lea", at=at, value=Datum(said)))
    return await app.engine.settle(found.id)


async def evaluated(folder: Path, name: str, clock: Clock | None = None) -> Evaluated:
    def tell(_: int, __: int) -> None:
        pass

    return await evaluate(folder, name, version="working", against=None, fresh=False, by="ana", tell=tell, clock=clock)


def values(found: Evaluated, scorer: str) -> Sequence[float | None]:
    return [each.value for each in found.scores[scorer]]


GREETINGS = """
workflow: greet
cases: { runs: RUNS }
scorers: { same: { exact: { truth: /output } }, ended: { exact: { at: /said, truth: /status } } }
"""


async def test_past_runs_are_cases_and_what_they_gave_is_right(tmp_path: Path) -> None:
    write(tmp_path, all=GREETINGS.replace("RUNS", "{ limit: 2 }"))
    async with open_app(tmp_path) as app:
        runs = [await run(app, "greet", {"name": name}) for name in ("Ana", "Bo", "Cy")]
        await run(app, "sort", {"text": "my card"})
        failed = await run(app, "greet", {"name": 7})
    assert [each.status for each in (*runs, failed)] == [RunStatus.COMPLETED] * 3 + [RunStatus.FAULTED]

    found = await evaluated(tmp_path, "all")
    assert [each.input for each in found.gathered.cases] == [{"name": "Cy"}, {"name": "Bo"}], "the newest first"
    assert found.gathered.cases[0].name == f"run {runs[2].id}"
    assert (values(found, "same"), values(found, "ended")) == ([1.0, 1.0], [0.0, 0.0])

    flow = tmp_path / "workflows/greet.yaml"
    flow.write_text(flow.read_text().replace("Hello", "Hi"))
    assert values(await evaluated(tmp_path, "all"), "same") == [0.0, 0.0]


async def test_past_runs_are_chosen_by_how_they_ended_and_when(tmp_path: Path) -> None:
    write(
        tmp_path,
        failed=GREETINGS.replace("RUNS", "{ status: [faulted] }"),
        recent=GREETINGS.replace("RUNS", "{ days: 2 }"),
        month=GREETINGS.replace("RUNS", "{ days: 30, status: [completed, faulted] }"),
    )
    async with open_app(tmp_path) as app:
        for name in ("Ana", 7):
            await run(app, "greet", {"name": name})
    assert [each.input for each in (await evaluated(tmp_path, "failed")).gathered.cases] == [{"name": 7}]
    assert len((await evaluated(tmp_path, "recent")).gathered.cases) == 1
    assert len((await evaluated(tmp_path, "month", Later())).gathered.cases) == 2
    with pytest.raises(UserError) as caught:
        await evaluated(tmp_path, "recent", Later())
    assert (caught.value.code, caught.value.hint) == (
        "no-cases",
        "Its files have no rows, or no run fits its query.",
    )


ORDERS = """
workflow: order
cases: { people: { task: charge } }
scorers:
  paid: { exact: { at: /paid, truth: /output/paid } }
  asked: { policy: { verdicts: { http: needs-approval } } }
"""


async def test_decisions_on_approvals_are_cases_and_are_given_again(tmp_path: Path) -> None:
    with counting_server() as server:
        write(tmp_path, server.address, orders=ORDERS)
        async with open_app(tmp_path) as app:
            paid = await run(app, "order", {"cents": 100}, "approved")
            refused = await run(app, "order", {"cents": 900}, "rejected")
            open_ = await run(app, "order", {"cents": 5})
        statuses = [each.status for each in (paid, refused, open_)]
        assert statuses == [RunStatus.COMPLETED, RunStatus.FAULTED, RunStatus.WAITING]

        found = await evaluated(tmp_path, "orders")
        assert server.effects() == {"/charges": 1}, "what is evaluated charges nobody"

    assert [(each.name, each.approve) for each in found.gathered.cases] == [
        (f"run {refused.id}, charge", False),
        (f"run {paid.id}, charge", True),
    ], "the one that nobody decided is none"
    said = [cast("Mapping[str, Json]", each.truth) for each in found.gathered.cases]
    assert [(each["verdict"], each["by"]) for each in said] == [("rejected", "lea"), ("approved", "lea")]
    assert [each.status for each in found.seen] == ["faulted", "completed"]
    assert (values(found, "paid"), values(found, "asked")) == ([None, 1.0], [1.0, 1.0]), "a refused order gave nothing"


SORTED = """
workflow: sort
cases: { people: CASES }
scorers: { desk: { exact: { at: /desk, truth: /answer/desk } } }
"""


async def test_answers_of_people_are_what_a_later_version_is_measured_by(tmp_path: Path) -> None:
    write(tmp_path, desks=SORTED.replace("CASES", "{}"), one=SORTED.replace("CASES", "{ limit: 1 }"))
    async with open_app(tmp_path) as app:
        for text, desk in (("my PIN", "cards"), ("a loan", "loans")):
            assert (await run(app, "sort", {"text": text}, "answered", {"desk": desk})).output == {"desk": desk}
    found = await evaluated(tmp_path, "desks")
    assert [each.approve for each in found.gathered.cases] == [None, None], "a question is no approval"
    assert [each.status for each in found.seen] == ["waiting", "waiting"]

    flow = tmp_path / "workflows/sort.yaml"
    flow.write_text(flow.read_text().replace('test("card")', 'test("card|PIN|loan")'))
    assert values(await evaluated(tmp_path, "desks"), "desk") == [0.0, 1.0], "it sends the loan to the cards"
    assert values(await evaluated(tmp_path, "one"), "desk") == [0.0]


APPROVED = """
workflow: order
cases:
  - { input: { cents: 1 } }
  - { input: { cents: 2 }, approve: true }
  - { input: { cents: 3 }, approve: false }
scorers: { ended: { ended: completed } }
"""


@pytest.mark.parametrize(
    ("for_all", "ends"),
    [
        ("", ["waiting", "completed", "faulted"]),
        ("approve: true\n", ["completed", "completed", "faulted"]),
        ("approve: false\n", ["faulted", "completed", "faulted"]),
    ],
)
async def test_what_people_say_to_approvals_is_written_for_all_and_for_one(
    tmp_path: Path, for_all: str, ends: Sequence[str]
) -> None:
    write(tmp_path, orders=for_all + APPROVED)
    assert [each.status for each in (await evaluated(tmp_path, "orders")).seen] == ends
