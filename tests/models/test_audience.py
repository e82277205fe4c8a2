"""Answers followed while they are made: nobody waits for a listener, and each attempt begins anew."""

import httpx2
import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, TextPart
from pydantic_ai.models import ModelRequestParameters

from orchestrion.core import Json, TransientError
from orchestrion.models import Asked, Audience, Chunk, Models, ModelSettings, Patience, Voice, parse_playbook
from orchestrion.models._audience import ROOM
from orchestrion.testing.openai_server import Behaviour, OpenAIServer, Streams

pytestmark = pytest.mark.anyio

SWIFT = Patience(attempts=2, first_wait_s=0.001, longest_wait_s=1.0)
MESSAGES: list[ModelMessage] = [ModelRequest.user_text_prompt("Hello?")]
RULES = parse_playbook({"rules": [{"name": "always", "answer": "By rule."}]}, name="rules")


class NoSecrets:
    def get(self, name: str) -> Json:
        raise AssertionError(name)


async def heard(*script: Behaviour, name: str = "desk") -> tuple[list[Chunk], Asked | TransientError]:
    async with OpenAIServer(script) as server, httpx2.AsyncClient() as client:
        settings = ModelSettings(provider="openai:gpt-4o-mini", base_url=server.base_url)
        models = Models({"desk": settings}, http=lambda: client, secrets=NoSecrets(), playbooks={}, patience=SWIFT)
        assert not isinstance(RULES, list)
        (candidate,) = models.candidates([name], RULES)
        voice = Voice(audience=models.audience, run_id="r1", key="/k")
        with models.audience.listen("r1") as listener:
            try:
                asked = await candidate.ask(MESSAGES, None, ModelRequestParameters(), run_id="r1", voice=voice)
            except TransientError as error:
                asked = error
            listener.end()
            return [chunk async for chunk in listener], asked


def said(chunks: list[Chunk]) -> list[tuple[int, str, str]]:
    return [(chunk.attempt, chunk.kind, chunk.text) for chunk in chunks]


async def test_pieces_come_as_they_are_made_and_the_answer_is_whole() -> None:
    chunks, asked = await heard(Streams(["Hel", "lo ", "there"], pause_s=0.005))
    assert said(chunks) == [(1, "reset", ""), (1, "text", "Hel"), (1, "text", "lo "), (1, "text", "there")]
    assert isinstance(asked, Asked)
    (part,) = asked.response.parts
    assert isinstance(part, TextPart)
    assert part.content == "Hello there"
    assert asked.response.usage.output_tokens == 100


async def test_a_stream_that_breaks_off_is_begun_anew_and_says_so() -> None:
    chunks, asked = await heard(Streams(["Hel"], cut=True), Streams(["Good day"]))
    assert said(chunks) == [(1, "reset", ""), (1, "text", "Hel"), (2, "reset", ""), (2, "text", "Good day")]
    assert isinstance(asked, Asked)
    assert asked.attempts == 2


async def test_a_model_that_always_breaks_off_is_a_problem() -> None:
    _, asked = await heard(Streams(["Hel"], cut=True))
    assert isinstance(asked, TransientError)
    assert asked.code == "model-answer-malformed"


async def test_a_playbook_speaks_in_one_piece() -> None:
    chunks, _ = await heard(Streams([]), name="playbook")
    assert said(chunks) == [(1, "reset", ""), (1, "text", "By rule.")]


async def test_a_slow_listener_loses_pieces_and_is_told_how_many() -> None:
    audience = Audience()
    with audience.listen("r1") as listener:
        speech = audience.begin("r1", "/k")
        assert speech is not None
        for number in range(ROOM + 9):
            speech.say(str(number))
        assert (await anext(listener)).kind == "reset"
        speech.say("now")
        assert audience.begin("another run", "/k") is None
        listener.end()
        rest = [chunk async for chunk in listener]
    assert [(chunk.kind, chunk.lost, chunk.text) for chunk in rest[-2:]] == [("lost", 10, ""), ("text", 0, "now")]
