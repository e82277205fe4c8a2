"""A dry run: decided as always, performed never, and answered by mocks, schemas or stated assumptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from orchestrion.core import (
    Allow,
    Call,
    Datum,
    Decision,
    Declaration,
    Deny,
    Entry,
    EntryKind,
    Evidence,
    Gate,
    Json,
    LeafContext,
    NeedsApproval,
    Outcome,
    Problem,
    Run,
    RunStatus,
    SystemClock,
    require_permit,
)
from orchestrion.engine import DryRun, Mock
from orchestrion.expressions import Expressions
from orchestrion.functions import Human
from orchestrion.journal import MemoryJournal
from orchestrion.spec import Document
from orchestrion.testing import Scripted, Stage, interpreting, read_document, run_of

pytestmark = pytest.mark.anyio

HEAD = "document: { dsl: '1.0.3', namespace: test, name: dry, version: '1.0.0' }\n"
COUNTED = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 3}}}


class Performed(Exception):
    """Something was really done."""


async def never(_: Mapping[str, Json], __: LeafContext) -> Outcome:
    raise Performed


async def doubled(arguments: Mapping[str, Json], _: LeafContext) -> Outcome:
    return Outcome(output=Datum({"doubled": cast("int", arguments["n"]) * 2}))


class Counting(Scripted):
    """Declares what it gives."""

    @property
    def declaration(self) -> Declaration:
        return replace(super().declaration, output_schema=COUNTED)


@dataclass
class Ruled:
    """Decides by the action's name, and keeps what it was asked."""

    decisions: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    asked: list[str] = field(default_factory=list[str])
    version: str = "ruled"

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        self.asked.append(call.action)
        decision = self.decisions.get(call.action, Allow(policies=("all",)))
        if isinstance(decision, NeedsApproval) and evidence.approved_by_role == decision.role:
            return Allow(policies=("approved",))
        return decision


@dataclass(frozen=True, kw_only=True)
class Ended:
    run: Run
    entries: Mapping[str, Entry]
    dry: DryRun

    def why(self, key: str) -> Json:
        return self.entries[key].why


async def walk(
    body: str,
    value: object = None,
    *,
    mocks: Mapping[str, Sequence[Mock]] | None = None,
    gate: Gate | None = None,
    children: Mapping[str, Document] | None = None,
    more: tuple[Scripted, ...] = (),
) -> Ended:
    document, journal, dry = read_document(HEAD + body), MemoryJournal(SystemClock()), DryRun(mocks=mocks or {})
    stage = Stage(
        functions=(
            Scripted(name="write", act=never, effect="write", idempotent=False),
            Counting(name="read", act=never, effect="read"),
            Scripted(name="double", act=doubled),
            Human(),
            *more,
        ),
        gate=gate or Ruled(),
        children=frozenset(children or {}),
        dry=dry,
    )
    async with (
        Expressions() as expressions,
        stage.engine(journal, interpreting({document.digest: document, **(children or {})}, expressions)) as engine,
    ):
        started = await engine.start(run_of(document, value))
        run = await engine.settle(started.id)
    return Ended(run=run, entries={each.key: each for each in await journal.entries(run.id)}, dry=dry)


async def test_reads_and_writes_are_made_up_from_what_the_function_declares() -> None:
    ended = await walk(
        "do:\n  - a: { call: read:1.0.0@default }\n  - b: { call: write:1.0.0@default, with: { n: '${ .n }' } }\n"
    )

    assert (ended.run.status, ended.run.output) == (RunStatus.COMPLETED, None)
    assert ended.entries["/do/0/a#1"].output == {"n": 3}
    assert ended.entries["/do/1/b#1"].input == {"n": 3}
    assert ended.why("/do/0/a#1") == {"simulated": "the output schema"}
    assert {noted.effect for noted in ended.dry.noted.values()} == {"read", "write"}


async def test_functions_without_effect_really_run() -> None:
    ended = await walk("do:\n  - a: { call: double:1.0.0@default, with: { n: 21 } }\n")

    assert (ended.run.output, ended.dry.noted) == ({"doubled": 42}, {})


async def test_a_function_that_hides_its_effect_gets_no_permit() -> None:
    async def sneak(_: Mapping[str, Json], __: LeafContext) -> Outcome:
        require_permit("A parcel")
        return Outcome(output=Datum("sent"))

    ended = await walk("do:\n  - a: { call: sneak:1.0.0@default }\n", more=(Scripted(name="sneak", act=sneak),))

    problem = cast("Mapping[str, Json]", ended.run.problem)
    assert (ended.run.status, problem["code"]) == (RunStatus.FAULTED, "ungoverned")


async def test_answers_carry_the_labels_that_policies_would_see() -> None:
    class Outside(Scripted):
        @property
        def declaration(self) -> Declaration:
            return replace(super().declaration, output_labels=frozenset({"untrusted"}))

    outside = Outside(name="outside", act=never, effect="read")
    ended = await walk(
        "do:\n  - a: { call: outside:1.0.0@default }\n  - b: { call: write:1.0.0@default, with: { text: '${ .said }' } }\n",
        mocks={"a": [Mock(output={"said": "pay me"})]},
        more=(outside,),
    )

    noted = ended.dry.noted[ended.run.id, "/do/1/b#1"]
    assert noted.call.labels == {"/text": frozenset({"untrusted"})}


async def test_a_mock_answers_by_name_or_pointer_with_an_output_or_an_error() -> None:
    timeout = Problem(type="https://example.com/slow", status=504, title="Too slow")
    body = (
        "do:\n  - a: { call: read:1.0.0@default }\n  - careful:\n      try: [ b: { call: write:1.0.0@default } ]\n"
        "      catch: { as: e, do: [ c: { set: { title: '${ $e.title }', at: '${ $e.instance }' } } ] }\n"
    )
    ended = await walk(body, mocks={"a": [Mock(output={"n": 7})], "/do/1/careful/try/0/b": [Mock(error=timeout)]})

    assert ended.entries["/do/0/a#1"].output == {"n": 7}
    assert ended.why("/do/0/a#1") == {"simulated": "mock a"}
    assert ended.run.output == {"title": "Too slow", "at": "/do/1/careful/try/0/b"}
    assert ended.dry.unused == []


async def test_a_list_of_mocks_answers_one_time_after_another_and_the_last_stays() -> None:
    away = Problem(type="https://example.com/away", status=503, title="Away")
    body = (
        "do:\n  - stubborn:\n      try: [ a: { call: write:1.0.0@default } ]\n"
        "      catch: { retry: { delay: { hours: 1 }, limit: { attempt: { count: 5 } } } }\n"
        "  - more: { for: { in: '${ [1, 2] }' }, do: [ b: { call: read:1.0.0@default, then: exit } ] }\n"
    )
    ended = await walk(
        body, mocks={"a": [Mock(error=away), Mock(error=away), Mock(output={"n": 1})], "never": [Mock()]}
    )

    assert ended.run.status is RunStatus.COMPLETED, "it did not wait an hour either"
    assert ended.entries["/do/0/stubborn#1/try~3/0/a#1"].output == {"n": 1}
    assert ended.dry.unused == ["never"]


async def test_the_mocks_of_extensions_come_first_and_may_be_for_dry_runs_only() -> None:
    body = (
        "use:\n  extensions:\n    - rehearsed: { extend: call, when: $runtime.metadata.dryRun,\n"
        "              before: [ given: { set: { n: 1000 }, then: exit } ] }\n"
        "do:\n  - a: { call: write:1.0.0@default }\n"
    )
    ended = await walk(body, mocks={"a": [Mock(output={"n": 7})]})

    assert (ended.run.output, ended.dry.noted, ended.dry.unused) == ({"n": 1000}, {}, ["a"])


async def test_what_policy_refuses_is_refused() -> None:
    gate = Ruled(decisions={"write": Deny(reason="Not today.")})
    ended = await walk("do:\n  - a: { call: write:1.0.0@default }\n", mocks={"a": [Mock(output=1)]}, gate=gate)

    assert ended.run.status is RunStatus.FAULTED
    assert cast("Mapping[str, Json]", ended.run.problem)["detail"] == "Not today."
    assert ended.dry.unused == ["a"], "a refused call is answered by nobody"


async def test_approvals_are_assumed_and_decided_again_with_them() -> None:
    gate = Ruled(decisions={"write": NeedsApproval(role="lead", reason="It is much.")})
    ended = await walk("do:\n  - a: { call: write:1.0.0@default }\n", gate=gate)

    assert ended.run.status is RunStatus.COMPLETED
    assert gate.asked == ["write", "write"]
    assert ended.why("/do/0/a#1/approval/1") == {"simulated": "assumed"}
    decision = cast("Mapping[str, Json]", ended.entries["/do/0/a#1"].decision)
    assert (decision["verdict"], decision["approved_by"], decision["approved_by_role"]) == ("allow", "dry run", "lead")


async def test_a_mock_rejects_an_approval() -> None:
    gate = Ruled(decisions={"write": NeedsApproval(role="lead", reason="It is much.")})
    for name in ("a", "a/write", "/do/0/a"):
        ended = await walk(
            "do:\n  - a: { call: write:1.0.0@default }\n", mocks={name: [Mock(rejected="Too much.")]}, gate=gate
        )
        assert ended.run.status is RunStatus.FAULTED
        assert cast("Mapping[str, Json]", ended.run.problem)["detail"] == "dry run rejected it: Too much."


ASK = (
    "do:\n  - ask:\n      call: human:1.0.0@default\n      timeout: { after: { hours: 1 } }\n"
    "      with: { role: lead, title: How many?, form: FORM }\n  - say: { set: { n: '${ .n }', by: '${ .by }' } }\n"
)


async def test_questions_are_answered_from_the_form_or_a_mock() -> None:
    body = ASK.replace("FORM", "{ type: object, required: [n], properties: { n: { type: integer, default: 12 } } }")
    assert (await walk(body)).run.output == {"n": 12, "by": "dry run"}
    ended = await walk(body, mocks={"ask": [Mock(output={"n": 3})]})
    assert ended.run.output == {"n": 3, "by": "dry run"}
    unfit = await walk(body, mocks={"ask": [Mock(output={"n": "many"})]})
    assert cast("Mapping[str, Json]", unfit.run.problem)["code"] == "answer-does-not-fit"


async def test_a_mock_lets_nobody_answer_in_time() -> None:
    late = Problem(
        type="https://open-workflow-specification.org/spec/1.0.0/errors/timeout", status=408, title="Timeout"
    )
    body = (
        "do:\n  - careful:\n      try:\n        - ask: { call: human:1.0.0@default, timeout: { after: PT1H }, "
        "with: { role: lead, title: Well?, form: { type: object } } }\n"
        "      catch: { errors: { with: { status: 408 } }, do: [ late: { set: { late: true } } ] }\n"
    )
    assert (await walk(body, mocks={"ask": [Mock(error=late)]})).run.output == {"late": True}


async def test_waits_pass_at_once_and_say_so() -> None:
    ended = await walk("do:\n  - pause: { wait: { days: 30 } }\n")

    assert ended.run.status is RunStatus.COMPLETED
    entry = ended.entries["/do/0/pause#1"]
    assert (entry.kind, entry.why) == (EntryKind.TIMER, {"simulated": "no wait"})
    assert cast("Mapping[str, float]", entry.output)["until"] > (entry.started_at or 0) + 29 * 86400


CHILD = "do:\n  - other: { run: { workflow: { namespace: test, name: child, version: latest, input: { n: 1 } } } }\n"


async def test_a_child_is_walked_as_dry_as_its_parent() -> None:
    child = read_document(HEAD + "do:\n  - inner: { call: write:1.0.0@default }\n  - said: { set: { child: done } }\n")
    ended = await walk(CHILD, children={"child": child})

    assert ended.run.output == {"child": "done"}
    assert [noted.call.action for noted in ended.dry.noted.values()] == ["write"]


async def test_a_mocked_child_is_not_started() -> None:
    ended = await walk(CHILD, mocks={"other": [Mock(output={"child": "mocked"})]})
    assert ended.run.output == {"child": "mocked"}
    assert ended.why("/do/0/other#1") == {"simulated": "mock other"}
    failed = Problem(type="https://example.com/failed", status=500, title="Failed")
    faulted = await walk(CHILD, mocks={"other": [Mock(error=failed)]})
    assert cast("Mapping[str, Json]", faulted.run.problem)["title"] == "Failed"


async def test_branches_race_and_join_as_always() -> None:
    branches = "[ l: { call: read:1.0.0@default }, r: { call: write:1.0.0@default } ]"
    ended = await walk(f"do:\n  - both: {{ fork: {{ branches: {branches} }} }}\n", mocks={"r": [Mock(output=2)]})
    assert ended.run.output == [{"n": 3}, 2]
    raced = await walk(
        f"do:\n  - one: {{ fork: {{ compete: true, branches: {branches} }} }}\n", mocks={"r": [Mock(output=2)]}
    )
    assert raced.run.output in ({"n": 3}, 2)


async def test_a_loop_that_waits_for_the_world_is_stopped_with_a_hint() -> None:
    body = (
        "do:\n  - look: { call: read:1.0.0@default }\n"
        "  - again: { switch: [ ready: { when: .n > 5, then: end }, notYet: { then: look } ] }\n"
    )
    ended = await walk(body)

    problem = cast("Mapping[str, Json]", ended.run.problem)
    assert (ended.run.status, problem["code"]) == (RunStatus.FAULTED, "dry-run-too-long")
    assert (await walk(body, mocks={"look": [Mock(output={"n": 1}), Mock(output={"n": 6})]})).run.output == {"n": 6}


LISTEN = "do:\n  - hear: { listen: { to: { STRATEGY } } }\n"
ONE = LISTEN.replace("STRATEGY", "one: { with: { type: order.paid, data: '${ .cents > 100 }' } }")


async def test_an_event_is_made_up_from_what_is_listened_for() -> None:
    both = "all: [ { with: { type: a, source: /shop } }, { with: { type: b } } ]"
    ended = await walk(LISTEN.replace("STRATEGY", both).replace(" } }\n", ", read: envelope } }\n"))

    assert ended.run.status is RunStatus.COMPLETED
    heard = cast("Sequence[Mapping[str, Json]]", ended.run.output)
    assert [(each["type"], each["source"], each["data"]) for each in heard] == [
        ("a", "/shop", {}),
        ("b", "/dry-run", {}),
    ]
    assert cast("Mapping[str, Json]", ended.why("/do/0/hear#1/event/0"))["simulated"] == "the filter"


async def test_a_mock_gives_events_one_each_and_their_filter_holds() -> None:
    ended = await walk(ONE, mocks={"hear": [Mock(output={"cents": 500})]})
    assert ended.run.output == [{"cents": 500}]
    whole: Json = {"specversion": "1.0", "type": "order.paid", "source": "/bank", "data": {"cents": 700}}
    assert (await walk(ONE, mocks={"hear": [Mock(output=whole)]})).run.output == [{"cents": 700}]
    unfit = await walk(ONE, mocks={"hear": [Mock(output={"cents": 5})]})
    assert cast("Mapping[str, Json]", unfit.run.problem)["code"] == "event-does-not-fit"


async def test_where_no_event_fits_it_would_wait() -> None:
    ended = await walk(ONE)
    assert ended.run.status is RunStatus.WAITING


async def test_listening_on_takes_each_mocked_event_once() -> None:
    until = "any: [ { with: { type: a } } ], until: '${ length == 2 }'"
    ended = await walk(
        LISTEN.replace("STRATEGY", until), mocks={"hear": [Mock(output=1), Mock(output=2), Mock(output=3)]}
    )

    assert ended.run.output == [1, 2]


async def test_what_is_emitted_goes_to_nobody_and_is_kept_in_the_run() -> None:
    ended = await walk("do:\n  - tell: { emit: { event: { with: { source: /a, type: told } } } }\n")

    assert ended.run.status is RunStatus.COMPLETED
    assert cast("Mapping[str, Json]", ended.entries["/do/0/tell#1"].output)["type"] == "told"
