"""Language models over HTTP, as they are: each trouble ends in another try, another model, or a clear problem.

Every test is run twice: with nobody who listens, when answers come whole, and with a listener, when they are streamed.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, cast

import httpx2
import pytest

from orchestrion.agents import AgentDefinition, Limits, run_agent
from orchestrion.core import (
    Allow,
    Datum,
    Decision,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    NeedsApproval,
    Outcome,
    SystemClock,
    UserError,
)
from orchestrion.models import Models, ModelSettings, Patience, Playbook, parse_playbook
from orchestrion.testing.fake_effects import FakeEffects, ProcessDied
from orchestrion.testing.openai_server import (
    Behaviour,
    Calls,
    Dribbles,
    Drops,
    Hangs,
    OpenAIServer,
    Raw,
    Refuses,
    Says,
    Silent,
    Status,
    Streams,
)

pytestmark = pytest.mark.anyio

SWIFT = Patience(attempts=3, first_wait_s=0.001, longest_wait_s=1.0)
AT = Invocation(key="/do/0/help#1~1", task="/do/0/help", function="agent:1.0.0", arguments=Datum({}))
RULES = parse_playbook({"rules": [{"name": "always", "answer": {"reply": "By rule."}}]}, name="rules")


class Secret:
    def get(self, name: str) -> Json:
        return {"desk-key": "sk-test"}[name]


def definition(**changes: Any) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {
            "name": "desk",
            "model": ["desk-model"],
            "instructions": "Be kind.",
            "input": {"type": "object", "properties": {"message": {"type": "string"}}},
            "output": {"type": "object", "required": ["reply"], "properties": {"reply": {"type": "string"}}},
            "tools": [
                {
                    "name": "look",
                    "parameters": {
                        "type": "object",
                        "required": ["day"],
                        "properties": {"day": {"type": "string"}},
                        "additionalProperties": False,
                    },
                    "query": {"connection": "bank", "statement": "select :day"},
                }
            ],
            **changes,
        }
    )


async def bank(invocation: Invocation, context: LeafContext) -> Outcome:
    return Outcome(
        output=Datum({"rows": [{"day": cast("Mapping[str, Any]", invocation.arguments.value)["parameters"]["day"]}]})
    )


class Desk:
    """An agent before a scripted server."""

    followed: ClassVar[bool] = False
    """Whether somebody listens to its answers."""

    def __init__(
        self, server: OpenAIServer, *, timeout_s: float = 5.0, patience: Patience = SWIFT, **settings: Any
    ) -> None:
        self._client = httpx2.AsyncClient(timeout=10)
        assert isinstance(RULES, Playbook)
        desk: dict[str, Any] = {"base_url": server.base_url, "key": "desk-key", "timeout_s": timeout_s, **settings}
        self.models = Models(
            {"desk-model": ModelSettings(provider="openai:gpt-4o-mini", **desk)},
            http=lambda: self._client,
            secrets=Secret(),
            playbooks={"rules": RULES},
            patience=patience,
        )
        self.effects = FakeEffects(leaves={"query:1.0.0": bank})

        self._listening = ExitStack()

    async def __aenter__(self) -> "Desk":
        if self.followed:
            self._listening.enter_context(self.models.audience.listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        await self._client.aclose()

    async def ask(self, agent: AgentDefinition | None = None) -> Outcome:
        given = Datum({"message": "hello"})
        return await run_agent(agent or definition(), given, AT, self.effects, models=self.models, clock=SystemClock())


@pytest.fixture(autouse=True, params=[False, True], ids=["whole", "streamed"])
def followed(request: pytest.FixtureRequest) -> Generator[None]:
    Desk.followed = request.param
    yield
    Desk.followed = False


def answer(reply: str = "Good day.") -> Calls:
    return Calls([("final_result", {"reply": reply})])


async def asked(
    script: Sequence[Behaviour], agent: AgentDefinition | None = None, **options: Any
) -> tuple[Outcome, OpenAIServer]:
    async with OpenAIServer(script) as server, Desk(server, **options) as desk:
        return await desk.ask(agent), server


async def failed(script: Sequence[Behaviour], agent: AgentDefinition | None = None, **options: Any) -> tuple[str, int]:
    async with OpenAIServer(script) as server, Desk(server, **options) as desk:
        with pytest.raises(Faulted) as caught:
            await desk.ask(agent)
        return caught.value.code, len(server.requests)


async def test_a_language_model_looks_up_and_answers() -> None:
    outcome, server = await asked([Calls([("look", {"day": "monday"})]), answer()])
    assert outcome.output.value == {"reply": "Good day."}
    assert outcome.model == "desk-model"
    told = cast("Mapping[str, Json]", outcome.why)
    assert told["answered_by"] == "language model"
    assert told["tools"] == [{"tool": "look", "status": "done"}]
    assert server.keys == ["Bearer sk-test"] * 2


async def test_cost_is_known_where_prices_are() -> None:
    outcome, _ = await asked([answer()])
    assert outcome.cost is not None
    assert outcome.cost.input_tokens == 1000
    assert outcome.cost.output_tokens == 100
    assert outcome.cost.usd_micros == 210


async def test_retry_after_is_honoured() -> None:
    slow = Patience(attempts=2, first_wait_s=600.0, longest_wait_s=600.0)
    outcome, server = await asked([Status(429, retry_after=0), answer()], patience=slow)
    assert outcome.output.value == {"reply": "Good day."}
    assert len(server.requests) == 2


async def test_a_provider_that_asks_for_too_long_a_wait_has_failed() -> None:
    assert await failed([Status(429, retry_after=3600)]) == ("model-rate-limited", 1)


@pytest.mark.parametrize(
    "trouble",
    [Status(500), Status(503), Drops(), Raw(b'{"id": "x", "choices": [{"mess'), Raw(b"<html>"), Raw(b"{}")],
    ids=["500", "503", "dropped", "truncated", "html", "empty"],
)
async def test_what_may_pass_is_tried_again(trouble: Behaviour) -> None:
    outcome, server = await asked([trouble, answer()])
    assert outcome.output.value == {"reply": "Good day."}
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Status(500), "model-unavailable"),
        (Status(429), "model-rate-limited"),
        (Drops(), "model-unavailable"),
        (Raw(b"{}"), "model-answer-malformed"),
    ],
    ids=["500", "429", "dropped", "empty"],
)
async def test_what_does_not_pass_is_a_clear_problem_after_three_attempts(trouble: Behaviour, code: str) -> None:
    assert await failed([trouble]) == (code, 3)


async def test_an_answer_that_is_always_cut_is_a_clear_problem_after_three_attempts() -> None:
    code = "model-answer-malformed" if Desk.followed else "model-unavailable"
    assert await failed([Raw(b'{"id": "x", "choices": [{"mess')]) == (code, 3)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "model-key-refused"), (404, "model-not-found"), (400, "model-request-rejected")]
)
async def test_what_cannot_pass_is_not_tried_again(status: int, code: str) -> None:
    assert await failed([Status(status)]) == (code, 1)


async def test_silence_is_a_timeout() -> None:
    once = Patience(attempts=1)
    assert await failed([Hangs()], timeout_s=0.5, patience=once) == ("model-timeout", 1)


async def test_the_limit_of_seconds_is_named() -> None:
    agent = definition(limits={"seconds": 0.5})
    assert await failed([Hangs()], agent, patience=Patience(attempts=1)) == ("limit-seconds", 1)


async def test_the_limit_of_money_is_named() -> None:
    agent = definition(limits={"usd": 0.0003})
    script = [Calls([("look", {"day": "monday"})])]
    assert await failed(script, agent) == ("limit-usd", 2)


async def test_the_next_model_answers_and_keeps_the_conversation() -> None:
    agent = definition(model=["desk-model", "playbook:rules"])
    outcome, server = await asked([Calls([("look", {"day": "monday"})]), Status(500)], agent)
    assert outcome.output.value == {"reply": "By rule."}
    assert outcome.model == "desk-model, playbook:rules"
    told = cast("Mapping[str, Any]", outcome.why)
    assert told["answered_by"] == "language model and rules"
    assert told["answers"][1]["failed"] == [{"model": "desk-model", "problem": "model-unavailable"}]
    assert len(server.requests) == 4


async def test_a_model_of_the_settings_brings_its_own_fallback() -> None:
    outcome, _ = await asked([Status(500)], fallback=("playbook:rules",))
    assert outcome.output.value == {"reply": "By rule."}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Calls([("look", '{"day": ')]), "EOF"),
        (Calls([("look", {"week": 5})]), "day"),
        (Calls([("fly", {"to": "the moon"})]), "fly"),
        (Calls([("final_result", {"reply": 5})]), "reply"),
        (Calls([("final_result", "not json")]), "JSON"),
        (Says("plain text where a tool was wanted"), "tool"),
    ],
    ids=["malformed", "wrong arguments", "unknown tool", "wrong output", "malformed output", "text"],
)
async def test_a_mistake_is_explained_to_the_model(wrong: Behaviour, said: str) -> None:
    outcome, server = await asked([wrong, answer()])
    assert outcome.output.value == {"reply": "Good day."}
    assert said in str(server.requests[1]["messages"][-1])


@pytest.mark.parametrize(
    "wrong",
    [Calls([("look", '{"day": ')]), Calls([("fly", {})]), Calls([("final_result", {"reply": 5})]), Says("no")],
    ids=["malformed", "unknown tool", "wrong output", "text"],
)
async def test_a_model_that_keeps_making_the_mistake_gives_up(wrong: Behaviour) -> None:
    assert await failed([wrong]) == ("agent-gave-up", 3)


@pytest.mark.parametrize("same_id", [False, True])
async def test_calls_of_one_answer_are_made_in_order_even_if_their_ids_repeat(same_id: bool) -> None:
    two = Calls([("look", {"day": "monday"}), ("look", {"day": "tuesday"})], same_id=same_id)
    async with OpenAIServer([two, two, answer()]) as server, Desk(server) as desk:
        await desk.ask()
        tools = [key for key in desk.effects.performed if "/tool/" in key]
    base = "/do/0/help#1~1/turn/0/model"
    assert tools == [f"{base}/0/tool/0", f"{base}/0/tool/1", f"{base}/1/tool/0", f"{base}/1/tool/1"]


async def test_an_answer_given_before_the_results_are_known_does_not_count() -> None:
    hasty = Calls([("final_result", {"reply": "Done!"}), ("look", {"day": "monday"})])
    outcome, server = await asked([hasty, answer("Now it is done.")])
    assert outcome.output.value == {"reply": "Now it is done."}
    assert len(server.requests) == 2


def tuesday_needs_a_person(invocation: Invocation) -> Decision:
    acting = invocation.acting
    waits = acting is not None and acting.arguments.get("day") == "tuesday"
    return NeedsApproval(role="lead", reason="it is tuesday") if waits else Allow()


async def test_killed_after_each_write_no_request_is_paid_twice() -> None:
    script = [
        Calls([("look", {"day": "monday"}), ("look", {"day": "tuesday"}), ("look", {"day": "friday"})]),
        Calls([("look", '{"day": ')]),
        answer(),
    ]
    async with OpenAIServer(script) as server, Desk(server) as desk:
        desk.effects.policy = tuesday_needs_a_person
        expected = await desk.ask()
        writes, performed = desk.effects.writes, sorted(desk.effects.performed)
        assert desk.effects.waited == ["/do/0/help#1~1/turn/0/model/0/tool/1"]
    assert writes == 6
    for death in range(1, writes + 1):
        async with OpenAIServer(script) as server, Desk(server) as desk:
            desk.effects = FakeEffects(leaves={"query:1.0.0": bank}, policy=tuesday_needs_a_person, die_after=death)
            with pytest.raises(ProcessDied):
                await desk.ask()
            first = desk.effects
            desk.effects = first.next_life()
            outcome = await desk.ask()
            assert outcome.output == expected.output
            assert outcome.cost == expected.cost
            assert sorted([*first.performed, *desk.effects.performed]) == performed
            assert len(server.requests) == len(script)


async def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with OpenAIServer([answer()]) as server, Desk(server) as desk:
        with pytest.raises(UserError) as caught:
            await desk.ask(definition(model=["openai:gpt-4o-mini"]))
    assert caught.value.code == "model-not-usable"
    assert "OPENAI_API_KEY" in caught.value.message


async def test_another_companys_key_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    _, server = await asked([answer()], key=None)
    assert server.keys == ["Bearer no-key"]


async def test_a_tighter_limit_is_kept() -> None:
    agent = definition().changed(limits=Limits(turns=1))
    assert await failed([Calls([("look", {"day": "monday"})])], agent) == ("limit-turns", 1)


async def test_retry_after_may_be_a_date() -> None:
    slow = Patience(attempts=2, first_wait_s=600.0, longest_wait_s=600.0)
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    outcome, server = await asked([Status(429, retry_after=past), answer()], patience=slow)
    assert outcome.output.value == {"reply": "Good day."}
    assert len(server.requests) == 2
    assert await failed([Status(429, retry_after="Wed, 21 Oct 2095 07:28:00 GMT")]) == ("model-rate-limited", 1)


@pytest.mark.parametrize(
    ("trouble", "code", "requests"),
    [
        (Calls([("look", {"day": "monday"})]), "limit-turns", 12),
        (Silent(), "agent-gave-up", 3),
        (Refuses(), "model-refused", 1),
        (Refuses(filtered=True), "model-refused", 1),
        (Status(404), "model-not-found", 1),
        (Status(410), "model-retired", 1),
        (Says("x" * 5_000_000), "agent-gave-up", 3),
    ],
    ids=["endless tools", "empty", "refusal", "filter", "404", "410", "huge"],
)
async def test_what_a_model_may_do_for_ever_ends_in_a_clear_problem(
    trouble: Behaviour, code: str, requests: int
) -> None:
    assert await failed([trouble]) == (code, requests)


async def test_an_empty_answer_is_asked_for_again() -> None:
    outcome, server = await asked([Silent(), answer()])
    assert outcome.output.value == {"reply": "Good day."}
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "trouble",
    [Status(404), Status(410), Status(503), Drops(), Raw(b"<html>"), Refuses()],
    ids=["404", "410", "503", "drop", "html", "refusal"],
)
async def test_the_record_says_which_models_were_tried_and_why_not(trouble: Behaviour) -> None:
    outcome, _ = await asked([trouble], fallback=("playbook:rules",))
    [said] = cast("Mapping[str, Any]", outcome.why)["answers"]
    [tried] = said["failed"]
    assert (said["model"], tried["model"]) == ("playbook:rules", "desk-model")
    assert tried["problem"].startswith("model-")


async def test_a_slow_stream_is_a_timeout() -> None:
    once = Patience(attempts=1)
    assert await failed([Dribbles("slow", pause_s=0.02)], timeout_s=0.5, patience=once) == ("model-timeout", 1)


async def test_a_stream_that_stalls_is_a_timeout() -> None:
    once = Patience(attempts=1)
    assert await failed([Streams(["Good "], stalls=True)], timeout_s=0.5, patience=once) == ("model-timeout", 1)


@pytest.mark.parametrize(
    "trouble",
    [Streams(["Good "], cut=True), Streams(["Good "], stalls=True), Dribbles("Good day.", pause_s=0.02)],
    ids=["cut", "stalled", "slow"],
)
async def test_after_half_an_answer_the_next_model_answers(trouble: Behaviour) -> None:
    once = Patience(attempts=1)
    outcome, server = await asked([trouble], timeout_s=0.5, patience=once, fallback=("playbook:rules",))
    assert outcome.output.value == {"reply": "By rule."}
    assert len(server.requests) == 1


async def test_a_price_of_the_projects_own_counts() -> None:
    outcome, _ = await asked([answer()], price={"input": 10, "output": 100})
    assert outcome.cost is not None
    assert outcome.cost.usd_micros == 1000 * 10 + 100 * 100


async def test_a_retired_model_is_not_asked() -> None:
    assert await failed([answer()], retires="2020-01-01") == ("model-retired", 0)
    outcome, server = await asked([answer()], retires="2020-01-01", fallback=("playbook:rules",))
    assert outcome.output.value == {"reply": "By rule."}
    assert server.requests == []


async def test_a_model_that_keeps_failing_is_left_alone() -> None:
    agent = definition(model=["desk-model", "playbook:rules"])
    async with OpenAIServer([Status(500)]) as server, Desk(server) as desk:
        for number in range(4):
            desk.effects = FakeEffects(leaves={"query:1.0.0": bank})
            outcome = await desk.ask(agent)
            told = cast("Mapping[str, Any]", outcome.why)["answers"][0]["failed"][0]["problem"]
            assert told == ("model-unavailable" if number < 2 else "model-resting")
    assert len(server.requests) == 5
