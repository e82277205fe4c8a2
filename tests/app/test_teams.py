"""Teams: the same agents in four patterns, their approvals, bounds, and what becomes of a member that may not or cannot."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, conduct, open_rooms
from orchestrion.core import Answer, Request, RequestStatus, Run, RunStatus, SystemClock
from orchestrion.journal import MemoryJournal
from orchestrion.testing import TEAM_SCENARIOS, CountingServer, Scenario, counting_server, run_command, write_project

pytestmark = pytest.mark.anyio

BY_PATTERN = {scenario.name.removeprefix("team-"): scenario for scenario in TEAM_SCENARIOS}


@asynccontextmanager
async def opened(
    folder: Path, server: CountingServer, scenario: Scenario, journal: MemoryJournal
) -> AsyncGenerator[App]:
    async with (
        open_rooms(write_project(folder, scenario, server.address)) as rooms,
        conduct(rooms, journal, clock=SystemClock()) as app,
    ):
        yield app


async def started(app: App, scenario: Scenario) -> Run:
    run = await app.start(app.checked.shelf.named(f"crash/{scenario.name}"), {}, start_key="the one run")
    return await app.engine.settle(run.id)


async def requests(app: App) -> Sequence[Request]:
    return await app.journal.requests(status=RequestStatus.OPEN)


async def decided(app: App, run: Run, verdict: Any = "approved") -> Run:
    for request in await requests(app):
        await app.engine.answer(request.id, Answer(verdict=verdict, by="ana", at=SystemClock().now()))
    return await app.engine.settle(run.id)


async def result_of(folder: Path, scenario: Scenario, verdict: str = "approved") -> Mapping[str, Any]:
    with counting_server() as server:
        async with opened(folder, server, scenario, MemoryJournal(SystemClock())) as app:
            run = await decided(app, await started(app, scenario), verdict)
            assert run.status is RunStatus.COMPLETED, run.problem
            return cast("Mapping[str, Any]", run.output)


def story(output: Mapping[str, Any]) -> list[str]:
    return [f"{each['member']}: {each['status']}" for each in output["contributions"]]


def changed(pattern: str, *, limits: str = "", files: Mapping[str, str] | None = None) -> Scenario:
    scenario = BY_PATTERN[pattern]
    text = scenario.text.replace("input: {", f"limits: {limits}, input: {{") if limits else scenario.text
    return replace(scenario, text=text, files={**scenario.files, **(files or {})})


@pytest.mark.parametrize(
    ("pattern", "by", "told", "reply"),
    [
        ("supervisor", "desk", ["payer: done", "desk: done"], "The payer says: Refunded."),
        ("hierarchy", "desk", ["payer: done", "cashier: done", "desk: done"], "The payer says: Refunded."),
        ("handoff", "payer", ["payer: done", "desk: handed over"], "Refunded."),
        ("panel", "desk", ["payer: done", "checker: done", "desk: done"], "2 said something."),
        ("debate", "desk", ["checker: done", "second: done", "second: done", "desk: done"], "2 said something."),
    ],
)
async def test_one_word_changes_how_the_same_agents_work_together(
    pattern: str, by: str, told: list[str], reply: str, tmp_path: Path
) -> None:
    output = await result_of(tmp_path, BY_PATTERN[pattern])
    assert output["result"]["reply"] == reply
    assert (output["by"], output["bound"]) == (by, None)
    assert story(output) == told


async def test_an_approval_three_agents_deep_waits_across_a_restart_and_resumes_the_right_one(tmp_path: Path) -> None:
    scenario = BY_PATTERN["hierarchy"]
    journal = MemoryJournal(SystemClock())
    with counting_server() as server:
        async with opened(tmp_path, server, scenario, journal) as app:
            run = await started(app, scenario)
            (request,) = await requests(app)
            assert request.key.count("/turn/0/") == 3
            assert "payer" in request.question.title
        async with opened(tmp_path, server, scenario, journal) as app:
            run = await decided(app, run)
            assert (run.status, server.effects()) == (RunStatus.COMPLETED, scenario.effects)


async def test_what_a_person_rejects_is_told_to_the_agent_that_asked(tmp_path: Path) -> None:
    output = await result_of(tmp_path, BY_PATTERN["hierarchy"], "rejected")
    assert output["result"]["reply"] == "The payer says: Refused."


async def test_policy_decides_who_may_engage_whom(tmp_path: Path) -> None:
    only_others = (
        'permit (principal is Agent, action == Action::"engage", resource) unless { resource == Agent::"payer" };'
    )
    output = await result_of(tmp_path, changed("supervisor", files={"policies/team.cedar": only_others}))
    assert output["result"]["reply"] == "Nobody could."
    assert story(output) == ["payer: refused", "desk: done"]


async def test_a_refused_hand_over_leaves_the_task_where_it_is(tmp_path: Path) -> None:
    nobody = 'permit (principal is Agent, action == Action::"check", resource);'
    output = await result_of(tmp_path, changed("handoff", files={"policies/team.cedar": nobody}))
    assert (output["by"], output["result"]["reply"]) == ("desk", "Nobody could.")


async def test_a_panel_goes_on_without_a_member_that_may_not(tmp_path: Path) -> None:
    only_others = (
        'permit (principal is Agent, action == Action::"engage", resource) unless { resource == Agent::"payer" };'
        'permit (principal == Agent::"checker", action == Action::"check", resource);'
    )
    output = await result_of(tmp_path, changed("panel", files={"policies/team.cedar": only_others}))
    assert story(output) == ["payer: refused", "checker: done", "desk: done"]
    assert [each["member"] for each in output["result"]["contributions"]] == ["payer", "checker"]


@pytest.mark.parametrize(
    ("limits", "code", "told"),
    [
        ("{ turns: 1 }", "limit-turns", ["payer: failed"]),
        ("{ turns: 4 }", "limit-turns", ["payer: done"]),
        ("{ depth: 1 }", "limit-depth", ["cashier: done", "desk: done"]),
    ],
)
async def test_the_result_says_which_bound_was_hit_and_what_was_achieved(
    limits: str, code: str, told: list[str], tmp_path: Path
) -> None:
    pattern = "hierarchy" if "depth" in limits else "supervisor"
    output = await result_of(tmp_path, changed(pattern, limits=limits))
    assert output["bound"]["code"] == code
    assert [line for line in story(output) if line in told] == told


async def test_a_team_has_no_more_time_than_it_is_given_people_included(tmp_path: Path) -> None:
    scenario = changed("hierarchy", limits="{ seconds: 0.2 }")
    with counting_server() as server:
        async with opened(tmp_path, server, scenario, MemoryJournal(SystemClock())) as app:
            run = await app.start(app.checked.shelf.named(f"crash/{scenario.name}"), {}, start_key="the one run")
            run = await app.engine.settle(run.id)
            output = cast("Mapping[str, Any]", run.output)
            assert (output["result"], output["bound"]["code"]) == (None, "limit-seconds")
            assert await requests(app) == []


DISAGREEING = """\
name: doubter
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
output: { type: object, required: [found], properties: { found: { type: boolean } } }
playbook: { rules: [ { name: no, answer: { found: false } } ] }
"""


async def test_a_panel_says_where_its_members_disagree(tmp_path: Path) -> None:
    team = "name: service\npattern: panel\nlead: desk\nmembers: [checker, doubter]\n"
    files = {"agents/doubter.yaml": DISAGREEING, "teams/service.yaml": team}
    output = await result_of(tmp_path, changed("panel", files=files))
    assert output["result"]["disagreements"] == [{"about": "found", "said": {"checker": True, "doubter": False}}]


@pytest.mark.parametrize(
    ("team", "said"),
    [
        ("name: service\nlead: desk\nmembers: [nobody]\n", "There is no agent 'nobody'"),
        ("name: service\nlead: desk\nmembers: [desk]\n", "'desk' stands below itself"),
        ("name: service\nlead: desk\nmembers: [service]\n", "'service' stands below itself"),
        ("name: service\nlead: desk\nmembers: [payer, payer]\n", "'payer' is a member of the team 'service' twice"),
        ("name: service\nlead: desk\nmembers: []\n", "at least 1 item"),
        ("name: other\nlead: desk\nmembers: [payer]\n", "The team is called 'other' and its file 'service'"),
        ("name: service\npattern: crowd\nlead: desk\nmembers: [payer]\n", "supervisor"),
        ("name: service\nlead: payer\nmembers: [{ name: lookup, lead: cashier, members: [checker] }]\n", "has a tool"),
    ],
)
def test_a_team_that_cannot_work_is_explained_at_its_place(team: str, said: str, tmp_path: Path) -> None:
    scenario = changed("supervisor", files={"teams/service.yaml": team})
    write_project(tmp_path, scenario, "127.0.0.1:1")
    result = run_command("validate", str(tmp_path))
    assert result.code == 2
    assert "teams/service.yaml:" in result.said
    assert said in " ".join(result.said.split())


HANDING = """\
name: desk
model: playbook
input: { type: object, required: [message], properties: { message: { type: string } } }
tools:
  - name: check
    write: true
    idempotent: true
    http: { method: put, endpoint: 'http://ADDRESS/check', body: {} }
playbook:
  rules:
    - { name: look, call: check }
    - { name: theirs, engage: peer, arguments: { reason: it is theirs } }
    - { name: nobody, answer: Nobody. }
"""
PEER = """\
name: peer
model: playbook
input:
  type: object
  required: [customerId]
  properties: { customerId: { type: string }, conversation: { type: array } }
playbook:
  rules: [ { name: say, answer: '{input.customerId} {input.conversation.0.by} {input.conversation.0.reason} {input.conversation.0.found.check.path}' } ]
"""


async def test_the_conversation_goes_along_to_whoever_declares_it(tmp_path: Path) -> None:
    scenario = changed(
        "handoff",
        files={
            "agents/desk.yaml": HANDING,
            "agents/peer.yaml": PEER,
            "teams/service.yaml": "name: service\nlead: desk\nmembers: [peer, checker]\n",
            "policies/team.cedar": 'permit (principal is Agent, action in [Action::"engage", Action::"check"], resource);',
        },
    )
    text = scenario.text.replace("message: 'refund 250'", "message: hello, customerId: C-1, mood: cross")
    output = await result_of(tmp_path, replace(scenario, text=text))
    assert output["result"]["reply"] == "C-1 desk it is theirs /check"


async def debated(folder: Path, limits: str = "", second: str = "") -> Mapping[str, Any]:
    files = {"agents/second.yaml": second} if second else {}
    return await result_of(folder, changed("debate", limits=limits, files=files))


async def test_those_who_listen_in_a_debate_hear_the_others_and_speak_again_until_they_agree(tmp_path: Path) -> None:
    output = await debated(tmp_path)
    said = [(each["member"], each.get("round"), each["result"].get("found")) for each in output["contributions"]]
    assert said == [("checker", 1, True), ("second", 1, False), ("second", 2, True), ("desk", None, None)]
    assert output["result"]["disagreements"] == []


async def test_a_debate_of_one_round_is_a_panel(tmp_path: Path) -> None:
    output = await debated(tmp_path, "{ rounds: 1 }")
    assert output["result"]["disagreements"] == [{"about": "found", "said": {"checker": True, "second": False}}]


async def test_a_debate_ends_when_nobody_says_anything_new(tmp_path: Path) -> None:
    stubborn = (
        BY_PATTERN["debate"].files["agents/second.yaml"].replace("answer: { found: true }", "answer: { found: false }")
    )
    output = await debated(tmp_path, "{ rounds: 9 }", stubborn)
    assert [each.get("round") for each in output["contributions"] if each["member"] == "second"] == [1, 2]
    assert output["result"]["disagreements"][0]["about"] == "found"
