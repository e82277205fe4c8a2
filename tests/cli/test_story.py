"""What a run's story says, for runs that ended in every way."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytest
from inline_snapshot import snapshot

from orchestrion.cli._phrases import amount_of, lasting, percent, said, sure, titled
from orchestrion.cli._place import places_of
from orchestrion.cli._step import Cost, Step, Story
from orchestrion.cli._story import moments, story, summary
from orchestrion.core import Entry, EntryKind, EntryStatus, Json, Request, Run, RunStatus
from orchestrion.spec import Document


class Played(Protocol):
    """What the fixture holds: a run as a command would find it."""

    run: Run
    entries: list[Entry]
    requests: list[Request]
    document: Document
    story: Story


Plays = Mapping[str, Played]


def step(told: Story, name: str) -> Step:
    return next(each for each in told.every() if each.name == name)


def why(told: Story, name: str) -> list[str]:
    return [reason.text for reason in step(told, name).reasons]


def test_a_small_refund_is_paid_at_once(played: Plays) -> None:
    assert moments(played["paid"].story) == snapshot(
        [
            "query: findCustomer",
            "route: billing (0.93)",
            "engage: billing",
            "agent billing",
            "rule look up what we owe",
            "find_charges",
            "rule pay back what we owe",
            "refund 25.00",
            "rule refunded",
            "guard: checkReply",
            "apologise skipped",
        ]
    )


def test_a_large_refund_waits_and_says_how_to_go_on(played: Plays) -> None:
    told = played["waiting"].story
    [request] = played["waiting"].requests
    assert moments(told)[-1] == "refund 250.00 needs approval by support-lead"
    [waits] = told.waits
    assert waits.command == f"orchestrion approvals approve {request.id[:8]}"
    assert waits.until == pytest.approx(told.created_at + 3 * 24 * 3600, abs=60), (
        "the workflow ends before the approval does"
    )
    assert told.became.startswith("It waits for support-lead to approve refund 250.00 (until ")
    assert step(told, "billingDesk").status == "waiting"
    assert step(told, "billingDesk").ended_at is None
    assert "checkReply" not in [each.name for each in told.every()]


def test_an_approved_refund_names_who_approved_and_which_policy_asked(played: Plays) -> None:
    told = played["approved"].story
    assert moments(told)[6:12] == snapshot(
        [
            "rule pay back what we owe",
            "refund 250.00 needs approval by support-lead",
            "approved by ana",
            "refund 250.00",
            "rule refunded",
            "guard: checkReply",
        ]
    )
    ruling = step(told, "refund 250.00").ruling
    assert ruling is not None
    assert (ruling.verdict, ruling.policies) == ("allow", ("refund-above-100",))
    assert (ruling.approved_by, ruling.approved_by_role) == ("ana", "support-lead")
    assert why(told, "refund 250.00") == snapshot(
        ["allowed by policy refund-above-100, approved by ana (support-lead)"]
    )


def test_a_rejected_refund_is_denied_by_the_person(played: Plays) -> None:
    told = played["rejected"].story
    assert moments(told)[7:10] == snapshot(
        ["refund 250.00 needs approval by support-lead", "rejected by ana", "refund 250.00 denied"]
    )
    assert why(told, "refund 250.00") == snapshot(["refused: ana rejected it (policy refund-above-100)"])


def test_an_order_in_a_message_is_denied_by_the_policy(played: Plays) -> None:
    told = played["denied"].story
    assert "refund 900.00 denied by refund-cap-500" in moments(told)
    assert step(told, "refund 900.00").status == "denied"
    assert why(told, "refund 900.00") == snapshot(
        ["refused: Policy 'refund-cap-500' forbids it: The service desk pays back 500.00 euros at most."]
    )
    assert step(told, "billingDesk").status == "done", "a refused tool is something the agent deals with"


def test_why_each_branch_was_taken(played: Plays) -> None:
    told = played["paid"].story
    assert why(told, "chooseDesk") == snapshot(
        [
            "router support-intents is 93 % sure of billing",
            'nearest example: "I was charged two times" (billing, 81 % alike)',
        ]
    )
    assert why(told, "engage") == snapshot(['because .label == "billing"; went on with billingDesk'])
    assert why(told, "billingDesk") == snapshot(
        ["answered by the rules of playbook billing; no language model was asked"]
    )
    assert why(told, "rule pay back what we owe") == snapshot(
        ["By the bank's own rules it owes this back.", "because there is facts.owed"]
    )
    assert why(told, "apologise") == snapshot(["its condition did not hold: $context.route == null"])
    assert why(played["person"].story, "chooseDesk") == snapshot(
        [
            "router support-intents abstained: billing at 41 %, less than the 80 % it needs",
            'nearest example: "I was charged two times" (billing, 81 % alike)',
        ]
    )
    assert why(played["person"].story, "engage") == snapshot(
        ["because none of the cases before it held; went on with askPerson"]
    )


def test_a_person_is_asked_and_answers(played: Plays) -> None:
    asked = step(played["person"].story, "askPerson")
    assert asked.waits is not None
    assert (asked.waits.whom, asked.status) == ("support", "waiting")
    assert asked.waits.until == pytest.approx((asked.started_at or 0) + 8 * 3600, abs=5)
    answered = step(played["answered"].story, "askPerson")
    assert (answered.status, answered.result, answered.who) == ("done", "We look into it.", "User::bo")
    assert moments(played["answered"].story)[3] == "askPerson: asked support, answered by bo"


def test_loops_retries_branches_and_children(played: Plays) -> None:
    told = played["shapes"].story
    assert [line for line in moments(told) if not line.startswith(("work: count", "pause"))] == snapshot(
        [
            "each: 15 rounds",
            "charge: 2 attempts",
            "flaky: pay failed (bank-away)",
            "flaky: pay",
            "lenient: failure caught",
            "both: 2 branches at once",
            "work: left",
            "work: right",
            "fastest: 2 branches at once",
            "work: quick",
            "sleepy: slow abandoned",
            "tell",
            "workflow test/child:1.0.0",
        ]
    )
    assert [each.name for each in step(told, "each").steps[:2]] == ["round 1", "round 2"]
    assert step(told, "charge").attempts == 2
    assert why(told, "charge") == ["tried 2 times", "waited 5 ms before trying again"]
    assert step(told, "slow").status == "abandoned"
    assert why(told, "quick")[0] == "came first; the others were stopped"
    assert {each.kind for each in told.steps} >= {"loop", "try", "branches", "wait", "event", "group", "workflow"}


def test_a_fault_marks_everything_around_it(played: Plays) -> None:
    told = played["raising"].story
    assert [(each.name, each.kind, each.status) for each in told.every()] == snapshot(
        [("first", "set", "done"), ("second", "group", "failed"), ("stop", "raise", "failed")]
    )
    problem = step(told, "stop").problem
    assert problem is not None
    assert problem.title == "Out of stock"
    assert told.became == "It stopped at a problem: Nothing is left."
    failing = step(played["failing"].story, "pay").problem
    assert failing is not None
    assert failing.hint == "Try again later."


def test_what_was_tried_again_keeps_its_failure_as_a_note(played: Plays) -> None:
    told = played["again"].story
    assert told.attempt == 2
    pay = step(told, "pay")
    assert (pay.status, pay.attempts) == ("done", 2)
    [note] = pay.steps
    assert (note.kind, note.status, note.reasons[0].text) == snapshot(
        ("note", "failed", "set aside: the run was tried again after attempt 1")
    )
    assert why(told, "tried again") == ["tried again by ana"]


def test_what_was_interrupted_waits_for_a_person(played: Plays) -> None:
    told = played["interrupted"].story
    assert step(told, "send").status == "interrupted"
    assert told.became == "It waits for somebody to find out whether send happened."
    [waits] = told.waits
    assert (waits.command or "").startswith("orchestrion approvals show ")


def test_a_cancelled_run_says_by_whom(played: Plays) -> None:
    told = played["cancelled"].story
    assert moments(told)[-2:] == ["askPerson: asked support, abandoned", "cancelled"]
    assert not told.waits


def test_the_summary_is_one_line(played: Plays) -> None:
    for each in played.values():
        line = summary(each.story)
        assert "\n" not in line
        assert each.run.status in line
    assert "refund 250.00" in summary(played["waiting"].story)


def test_a_story_can_be_told_at_every_moment_and_without_the_document(played: Plays) -> None:
    for each in played.values():
        running = replace(each.run, status=RunStatus.RUNNING, ended_at=None, problem=None, output=None, fault_key=None)
        for count in range(len(each.entries) + 1):
            assert story(running, each.entries[:count], each.requests, each.document).status == "running"
        told = story(each.run, each.entries, each.requests, None)
        assert moments(told)
        assert told.status == each.story.status


# --- what a test cannot make happen at will, written as the engine writes it ---


def entry(
    key: str, kind: EntryKind = EntryKind.LEAF, status: EntryStatus = EntryStatus.COMPLETED, **more: object
) -> Entry:
    return replace(Entry(key=key, kind=kind, status=status, started_at=100.0, ended_at=101.0), **more)


def a_run(status: RunStatus = RunStatus.COMPLETED, **more: object) -> Run:
    run = Run(
        id="r1",
        namespace="test",
        workflow="made",
        version="1.0.0",
        digest="d",
        semantics=1,
        status=status,
        created_at=100.0,
    )
    return replace(run, **more)


def test_a_fallback_model_says_who_failed_first_and_costs_add_up() -> None:
    base = "/do/0/ask#1/turn/0/model/0"
    away: Json = {
        "type": "x",
        "status": 503,
        "title": "Model away",
        "detail": "The model does not answer.",
        "code": "model-away",
    }
    cost: Json = {"usd_micros": 1200, "input_tokens": 100, "output_tokens": 50}
    who = "Agent::billing"
    made = [
        entry(base, status=EntryStatus.FAILED, input={"model": "openai:a"}, problem=away, subject=who),
        entry(
            f"{base}/fallback/1",
            model="openai:b",
            input={"model": "openai:b"},
            output={"parts": [{"part_kind": "tool-call", "tool_name": "refund", "args": '{"amount": 12.5}'}]},
            why={"answered_by": "language model", "price_known": True, "seconds": 0.5},
            cost=cost,
            subject=who,
        ),
        entry(f"{base}/tool/0", function="http:1.0.0", subject=who),
        entry(
            "/do/0/ask#1/turn/0/model/1",
            model="openai:b",
            output={"parts": [{"part_kind": "text", "content": "Paid."}]},
            why={"answered_by": "language model", "price_known": False},
            cost=cost,
            subject=who,
        ),
    ]
    told = story(a_run(), made, [], None)
    assert moments(told) == ["agent billing", "answer 1 of openai:b", "refund 12.50", "answer 2 of openai:b"]
    assert why(told, "answer 1 of openai:b") == ["openai:a was asked first: The model does not answer."]
    assert why(told, "ask") == ["answered by openai:b in 2 answers"]
    assert step(told, "ask").cost == Cost(usd_micros=2400, tokens=300, known=False)
    assert step(told, "ask").output == "Paid."
    assert told.cost == step(told, "ask").cost


def test_a_deadline_that_came_first_is_why_a_task_failed() -> None:
    late: Json = {"type": "x", "status": 408, "title": "Timed out", "code": "timed-out"}
    made = [
        entry("/do/0/slow#1/deadline", EntryKind.CHOICE, output={"at": 130.0, "first": "deadline"}),
        entry("/do/0/slow#1", status=EntryStatus.ABANDONED, function="http:1.0.0"),
        entry("/do/0/slow#1!late", EntryKind.NOTE, function="http:1.0.0", output={"ok": True}),
    ]
    told = story(a_run(RunStatus.FAULTED, problem=late, fault_key="/do/0/slow#1/deadline"), made, [], None)
    slow = step(told, "slow")
    assert (slow.status, slow.reasons[0].text) == ("failed", "its time of 30.0 s was up")
    assert slow.steps[0].reasons[0].text == "its outcome came too late and did not count"


def test_a_function_of_the_document_counts_once() -> None:
    model = "/do/0/ask#1/call/ours#1/turn/0/model/0"
    made = [
        entry(model, model="openai:b", cost={"usd_micros": 700}, output={"parts": []}),
        entry("/do/1/pay#1/call/ours#1", function="http:1.0.0", cost={"usd_micros": 5}),
    ]
    told = story(a_run(), made, [], None)
    assert [(each.name, each.kind, each.cost.usd_micros) for each in told.steps] == [
        ("ask", "agent", 700),
        ("pay", "call", 5),
    ]
    assert told.cost.usd_micros == 705


def test_only_certainty_is_a_hundred_percent() -> None:
    assert [sure(0.93), sure(0.9949), sure(1.0), percent(0.999), percent(1.0)] == [
        "93 %",
        "99 %",
        "more than 99 %",
        "99 %",
        "100 %",
    ]


def test_a_guard_says_what_it_found() -> None:
    finding: Json = {"kind": "iban", "where": "/reply", "what": "DE89 …", "why": "checksum", "verdict": "block"}
    made = [entry("/do/0/check#1", function="guard:1.0.0", output={"verdict": "block", "findings": [finding]})]
    told = story(a_run(), made, [], None)
    assert why(told, "check") == ["block: iban DE89 … at /reply (checksum)"]
    assert step(told, "check").result == "block"


def test_later_visits_are_numbered() -> None:
    made = [entry(f"/do/0/check#{visit}", EntryKind.TRACE, function="set") for visit in (1, 2, 11)]
    assert [each.name for each in story(a_run(), made, [], None).steps] == [
        "check",
        "check (2nd time)",
        "check (11th time)",
    ]


@pytest.mark.parametrize(
    ("key", "kinds", "pointer", "fact", "mark"),
    [
        ("/do/2/a#1/fork/branches/1/b#3", ["task", "task"], "/do/2/a/fork/branches/1/b", "", ""),
        ("/do/0/x#1/for/3/0/a/b#1", ["task", "round", "task"], "/do/0/x/do/0/a~1b", "", ""),
        ("/do/0/x#1/try~2/0/pay#1!1", ["task", "attempt", "task"], "/do/0/x/try/0/pay", "", "1"),
        ("/do/0/x#1/catch/do/0/y#1/if", ["task", "caught", "task"], "/do/0/x/catch/do/0/y", "if", ""),
        ("/do/0/x#1/call/get#1", ["task", "task"], "/use/functions/get", "", ""),
        ("/do/0/x#1/turn/0/model/1/tool/0/approval/1", ["task", "answer", "tool", "approval"], "/do/0/x", "", ""),
        ("/do/0/x#1/turn/0/model/0/fallback/1", ["task", "answer"], "/do/0/x", "fallback/1", ""),
        ("/do/0/x#1/member/2/turn/0/model/0", ["task", "part", "answer"], "/do/0/x", "", ""),
        ("/do/0/x#1!late", ["task"], "/do/0/x", "", "late"),
        ("/deadline", [], "", "deadline", ""),
    ],
)
def test_keys_are_read_as_places(key: str, kinds: list[str], pointer: str, fact: str, mark: str) -> None:
    places, found, set_aside = places_of(key)
    assert [place.kind for place in places] == kinds
    assert (places[-1].pointer if places else "", found, set_aside) == (pointer, fact, mark)


def test_words() -> None:
    assert [lasting(s) for s in (0, 0.012, 1.24, 59.97, 134, 3600, 11_100, 187_000)] == snapshot(
        ["<1 ms", "12 ms", "1.2 s", "1 min", "2 min 14 s", "1 h", "3 h 5 min", "2 d 4 h"]
    )
    assert (titled("findCustomer"), titled("find_refundable"), titled("readPDF")) == snapshot(
        ("Find customer", "Find refundable", "Read PDF")
    )
    assert [amount_of({"amount_cents": 25000}), amount_of({"amount": 12}), amount_of({"id": 3})] == snapshot(
        ["250.00", "12", None]
    )
    assert [said({"id": 7, "message": "Hi"}), said({"reply": {"en": "Yes"}}), said({"a": 1, "b": None})] == snapshot(
        ["Hi", "Yes", "a: 1, b: none"]
    )
