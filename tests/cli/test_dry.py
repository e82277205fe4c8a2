"""`orchestrion run --dry`: what a project would do, with nothing leaving the process and nothing kept."""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from inline_snapshot import snapshot

from orchestrion.app import rehearse
from orchestrion.core import RunFilter, RunStatus
from orchestrion.testing import CountingServer, Result, counting_server, run_command

WORKFLOW = """\
document: { dsl: '1.0.3', namespace: shop, name: order, version: '1.0.0' }
do:
  - find:
      call: query:1.0.0@default
      with: { connection: shop, statement: select id from orders where id = :id, parameters: { id: '${ .id }' } }
      export: { as: '${ { found: .rows[0] } }' }
  - desk:
      call: agent:1.0.0@default
      with: { agent: helper, input: { order: '${ $workflow.input.id }' } }
      export: { as: '${ $context + { answer: . } }' }
  - pause: { wait: { hours: 3 } }
  - ask:
      call: human:1.0.0@default
      timeout: { after: { days: 1 } }
      with:
        role: lead
        title: Ship it?
        form: { type: object, required: [ship], properties: { ship: { type: boolean, default: true } } }
  - ship:
      if: .ship
      run: { workflow: { namespace: shop, name: shipping, version: latest, input: { order: '${ $workflow.input.id }' } } }
  - tell: { emit: { event: { with: { source: /shop, type: shop.shipped } } } }
  - done: { set: { found: '${ $context.found }', answer: '${ $context.answer }' } }
"""
SHIPPING = """\
document: { dsl: '1.0.3', namespace: shop, name: shipping, version: '1.0.0' }
do:
  - parcel: { call: http, with: { method: post, endpoint: 'http://ADDRESS/parcel', body: { order: '${ .order }' } } }
"""
AGENT = """\
name: helper
model: [desk-model]
input: { type: object, properties: { order: { type: string } } }
output: { type: object, required: [reply], properties: { reply: { type: string } } }
tools:
  - name: refund
    write: true
    parameters: { type: object, properties: { cents: { type: integer } } }
    http: { method: post, endpoint: 'http://ADDRESS/refund', body: { cents: '{cents}' } }
"""
SETTINGS = """\
egress: { allow: ['ADDRESS'] }
connections: { shop: { url: sqlite:///data/shop.db, write: true } }
models: { desk-model: { provider: 'openai:gpt-5-mini', base_url: 'http://ADDRESS/v1', key: { secret: key } } }
secrets: { key: { env: ORDER_TEST_KEY } }
telemetry: { endpoint: 'http://ADDRESS' }
roles: [lead]
"""
FOLLOWING = """\
document: { dsl: '1.0.3', namespace: shop, name: following, version: '1.0.0' }
schedule: { on: { one: { with: { type: shop.shipped } } } }
do: [ thank: { call: http, with: { method: post, endpoint: 'http://ADDRESS/thanks' } } ]
"""
POLICIES = """\
@id("all")
permit (principal, action, resource);
@id("parcels-need-a-lead")
forbid (principal, action == Action::"http", resource) unless { context has approval && context.approval.role == "lead" };
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[CountingServer]:
    """A project whose every effect would be seen, and the server that would see most of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDER_TEST_KEY", "k")
    with counting_server() as server:
        for name, text in {
            "orchestrion.yaml": SETTINGS,
            "workflows/order.yaml": WORKFLOW,
            "workflows/shipping.yaml": SHIPPING,
            "workflows/following.yaml": FOLLOWING,
            "agents/helper.yaml": AGENT,
            "policies/all.cedar": POLICIES,
        }.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text.replace("ADDRESS", server.address))
        yield server


def dry(*arguments: str) -> Result:
    return run_command("run", "order", "--dry", "--input", '{"id": "o-1"}', *arguments)


def fields(result: Result) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", result.json)


def would(result: Result) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", fields(result)["would"])


def test_nothing_leaves_the_process_and_nothing_is_kept(server: CountingServer) -> None:
    before = sorted(str(path) for path in Path().rglob("*"))
    result = dry("--json")

    assert (result.code, fields(result)["status"]) == (0, "completed")
    assert server.requests == {}
    assert sorted(str(path) for path in Path().rglob("*")) == before, (
        "no store, and no database where the connection points"
    )


@pytest.mark.anyio
async def test_what_it_emits_begins_nothing(server: CountingServer) -> None:
    async with rehearse(Path()) as rehearsal:
        app = rehearsal.app
        run = await app.start(app.checked.shelf.named("order"), {"id": "o-1"})
        assert (await app.engine.settle(run.id)).status is RunStatus.COMPLETED
        assert sorted(each.workflow for each in await app.journal.runs(RunFilter())) == ["order", "shipping"]


def test_everything_it_would_do_is_listed_with_the_decision_and_the_answer(server: CountingServer) -> None:
    listed = [
        " ".join(
            str(part)
            for part in (
                each["does"],
                each["task"].rpartition("/")[2],
                each["what"],
                each["on"] and "/".join(each["on"]).replace(server.address, "HOST"),
                each["decision"] and each["decision"]["verdict"],
                each["approval"] and each["approval"]["role"],
                each["answered"],
            )
            if part
        )
        for each in would(dry("--json"))
    ]
    assert listed == snapshot(
        [
            "read find query Connection/shop allow the output schema",
            "read desk model Model/desk-model allow",
            "write desk agent Function/agent the output schema",
            "wait pause",
            "ask ask lead the form",
            "start ship shop/shipping:1.0.0 a dry run of it",
            "write parcel http Host/HOST allow lead the output schema",
            "emit tell shop.shipped",
        ]
    )


def test_mocks_answer_and_what_nobody_asked_for_is_named(server: CountingServer) -> None:
    Path("mocks.yaml").write_text(
        "find: { output: { rows: [{ id: o-1 }], rowcount: 1 } }\ndesk: { output: { reply: Of course. } }\n"
        "ask: { output: { ship: false } }\nparcel: { error: { type: communication } }\n"
    )
    result = dry("--mock", "mocks.yaml", "--json")

    assert fields(result)["output"] == {"found": {"id": "o-1"}, "answer": {"reply": "Of course."}}
    assert fields(result)["unused_mocks"] == ["parcel"]
    assert not any(each["does"] == "start" for each in would(result))


def test_a_fault_is_exit_code_1_and_names_the_task(server: CountingServer) -> None:
    Path("mocks.yaml").write_text(
        "parcel: [{ error: { type: communication, status: 502, detail: The van is broken. } }]\n"
    )
    result = dry("--mock", "mocks.yaml", "--json")

    assert (result.code, fields(result)["problem"]["detail"]) == (1, "The van is broken.")
    assert server.requests == {}


def test_a_rejected_approval_is_a_refusal(server: CountingServer) -> None:
    Path("mocks.yaml").write_text("parcel/http: { rejected: No parcels today. }\n")
    result = dry("--mock", "mocks.yaml", "--json")

    assert (result.code, server.requests) == (1, {})
    (parcel,) = (each for each in would(result) if each["what"] == "http")
    assert (parcel["decision"]["verdict"], parcel["approval"]["verdict"]) == ("deny", "rejected")


def test_people_see_a_tree_and_a_list(server: CountingServer) -> None:
    result = dry()

    assert result.code == 0
    for words in (
        "shop/order 1.0.0 would complete",
        "not performed: the answer is made up from its output schema",
        "nobody was asked: the answer is made up from the form",
        "read find: query on Connection shop",
        "ask ask: lead, “Ship it?”",
        "wait pause: 3 h; passed at once here",
        "shop/shipping: parcel: http on Host",
        "needs the approval of lead, assumed here",
        "emit tell: shop.shipped",
        "Made up: find, desk, ask and parcel.",
        "Nothing was performed, and nothing is kept.",
    ):
        assert words in result.said, result.out


def test_a_workflow_without_effects_says_so(server: CountingServer) -> None:
    Path("workflows/plain.yaml").write_text(
        "document: { dsl: '1.0.3', namespace: shop, name: plain, version: '1.0.0' }\ndo: [ a: { set: { x: 1 } } ]\n"
    )
    assert "It would do nothing outside, and wait for nobody." in run_command("run", "plain", "--dry").said


def test_what_would_wait_for_an_event_is_exit_code_3_and_says_which(server: CountingServer) -> None:
    Path("workflows/hear.yaml").write_text(
        "document: { dsl: '1.0.3', namespace: shop, name: hear, version: '1.0.0' }\n"
        "do: [ paid: { listen: { to: { one: { with: { type: paid, data: '${ .cents > 100 }' } } } } } ]\n"
    )
    result = run_command("run", "hear", "--dry")
    assert (result.code, "shop/hear 1.0.0 would wait" in result.said) == (3, True)
    assert "listen paid: paid no event that a dry run could make up fits" in result.said
    assert "Give the events that paid would wait for with --mock FILE." in result.said
    Path("mocks.yaml").write_text("paid: { output: { cents: 500 } }\n")
    assert run_command("run", "hear", "--dry", "--mock", "mocks.yaml").code == 0


@pytest.mark.parametrize(
    ("mocks", "findings"),
    [
        (
            "fnd: { output: 1 }\n",
            snapshot(
                "mocks.yaml:1:1 error[unknown-mock] There is no task or tool 'fnd' that could be mocked. Did you mean 'find'?"
            ),
        ),
        (
            "desk/refnd: { output: 1 }\n",
            snapshot(
                "mocks.yaml:1:1 error[unknown-mock] There is no task or tool 'desk/refnd' that could be mocked. Did you mean 'desk/refund'?"
            ),
        ),
        (
            "find: { output: 1, error: { type: timeout } }\n",
            snapshot(
                "mocks.yaml:1:7 error[bad-mock] An answer is one of `output`, `error` and `rejected`. Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
            ),
        ),
        (
            "find: {}\n",
            snapshot(
                "mocks.yaml:1:7 error[bad-mock] An answer is one of `output`, `error` and `rejected`. Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
            ),
        ),
        (
            "find:\n  - output: 1\n  - { error: { type: timeout, status: 99 } }\n",
            snapshot(
                "mocks.yaml:3:39 error[bad-mock] Input should be greater than or equal to 100. Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
            ),
        ),
        (
            "find: { outptu: 1 }\n",
            snapshot(
                "mocks.yaml:1:9 error[bad-mock] 'outptu' is not known here. Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
            ),
        ),
        (
            "find: 12\n",
            snapshot(
                "mocks.yaml:1:7 error[bad-mock] This is no answer. Write `output: …`, `error: { type: timeout }` or, for an approval, `rejected: why`."
            ),
        ),
        (
            "- find\n",
            snapshot("mocks.yaml:1:1 error[bad-mock] A mock file is an object. Write `taskName: { output: … }`."),
        ),
        (
            "find: [\n",
            snapshot(
                "mocks.yaml:2:1 error[yaml-syntax] This is not YAML: expected the node content, but found '<stream end>'. Check the indentation and the brackets around this place."
            ),
        ),
    ],
)
def test_mistakes_in_a_mock_file(server: CountingServer, mocks: str, findings: str) -> None:
    Path("mocks.yaml").write_text(mocks)
    result = dry("--mock", "mocks.yaml")

    assert (result.code, result.said) == (2, findings)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mock", "missing.yaml"), "'missing.yaml' cannot be read"),
        (("--express",), "A dry run does not go with --express."),
        (("--key", "k", "--each", "orders.csv"), "A dry run does not go with --each and --key."),
        (("--input", "{"), "The input is not JSON."),
    ],
)
def test_misuse(server: CountingServer, options: Sequence[str], words: str) -> None:
    result = dry(*options)
    assert (result.code, words in result.said) == (2, True), result.said


def test_mocks_are_for_dry_runs_alone(server: CountingServer) -> None:
    assert run_command("run", "order", "--mock", "mocks.yaml").code == 2
    assert not Path(".orchestrion").exists()


def test_help_teaches(server: CountingServer) -> None:
    said = run_command("run", "--help").said
    assert "--dry" in said
    assert "Perform nothing" in said
