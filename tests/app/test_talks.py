"""Agents and teams as whom one talks to: each is a workflow, with versions like any other."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.app import App, answer_text, open_app, partner, partners, release, resolve, settled, start_talk
from orchestrion.core import Json, RunStatus, UserError
from orchestrion.testing.openai_server import OpenAIServer, Says, Silent, Status

pytestmark = pytest.mark.anyio

WRITER = """
name: writer
description: Writes.
model: writer
input:
  type: object
  required: [message]
  properties: { message: { $ref: '#/$defs/text' }, tone: { type: string } }
  $defs: { text: { type: string, maxLength: 200 } }
"""
FILES = {
    "orchestrion.yaml": "egress: { allow: ['127.0.0.1'] }\nmodels: { writer: { provider: openai:test, base_url: URL } }\n",
    "workflows/hello.yaml": """
document: { dsl: '1.0.3', namespace: test, name: hello, version: '1.0.0' }
input: { schema: { document: { type: object, required: [name], properties: { name: { type: string }, times: { type: integer } } } } }
do:
  - greet: { set: { greeting: '${ "Hello, \\(.name)." }' } }
""",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0', metadata: { labels: { /history: [secret] } } }
do:
  - ask: { call: 'team:1.0.0@default', with: { team: service, input: { message: Write a letter }, history: '${ .history }' } }
""",
    "agents/writer.yaml": WRITER,
    "agents/Front_Desk.yaml": """
name: Front_Desk
input: { type: object, properties: { message: { type: string } } }
playbook:
  rules:
    - { name: letters, when: { says: letter }, engage: writer }
    - { name: rest, answer: Hello. }
""",
    "teams/service.yaml": "name: service\ndescription: Serves.\npattern: handoff\nlead: Front_Desk\nmembers: [writer]\n",
    "policies/all.cedar": """
permit (principal == Workflow::"agents/writer", action == Action::"agent", resource);
permit (principal == Workflow::"teams/service", action == Action::"team", resource);
permit (principal == Workflow::"test/ask", action == Action::"team", resource);
permit (principal is Agent, action, resource);
""",
}


@asynccontextmanager
async def opened(folder: Path, url: str = "http://127.0.0.1:1") -> AsyncGenerator[App]:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        if not path.exists():
            path.write_text(text.replace("URL", url))
    async with open_app(folder) as app:
        yield app


async def talk(app: App, name: str, said: str, **more: Any) -> Json:
    whom = partner(app, name)
    run = await start_talk(app, whom, whom.given(said, {}, **more), subject="ana")
    ended = await settled(app, run.id, within_s=20)
    assert ended.run.status is RunStatus.COMPLETED, ended.run.problem
    return ended.run.output


async def test_agents_teams_and_workflows_are_listed(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        found = partners(app)
        assert {name: (each.kind, each.text) for name, each in found.items()} == {
            "agents/front-desk": ("agent", "message"),
            "agents/writer": ("agent", "message"),
            "teams/service": ("team", "message"),
            "test/ask": ("workflow", None),
            "test/hello": ("workflow", "name"),
        }
        assert found["teams/service"].description == "Serves."
        with pytest.raises(UserError, match="nobody called"):
            partner(app, "agents/nobody")


async def test_a_conversation_goes_on_by_session_and_by_history(tmp_path: Path) -> None:
    async with (
        OpenAIServer([Says("Dear Ana"), Says("Dear Bo"), Says("Dear Cy")]) as server,
        opened(tmp_path, server.base_url) as app,
    ):
        whom = partner(app, "agents/writer")
        for given in (
            {"input": {"message": "I am Ana"}, "session": "s1"},
            {"input": {"message": "Who am I?"}, "session": "s1"},
            {
                "input": {"message": "Again?"},
                "history": [{"role": "assistant", "content": "Ask me."}, {"role": "user", "content": "I am Cy"}],
            },
        ):
            run = await start_talk(app, whom, cast("Json", given))
            assert (await settled(app, run.id, within_s=20)).run.status is RunStatus.COMPLETED
        first, second, third = (json.dumps(request["messages"]) for request in server.requests)
        assert "I am Ana" not in third
        assert "I am Ana" in first
        assert "I am Ana" in second
        assert "Dear Ana" in second
        assert "I am Cy" in third
        assert "Ask me." not in third, "a conversation is shown from something the user said on"


async def test_a_team_hands_the_history_on(tmp_path: Path) -> None:
    async with OpenAIServer([Says("A letter")]) as server, opened(tmp_path, server.base_url) as app:
        history = [{"role": "user", "content": "I am Ana"}]
        output = await talk(app, "teams/service", "Write a letter", history=history)
        assert answer_text(output) == "A letter"
        assert "I am Ana" in json.dumps(server.requests[0]["messages"])


async def test_labels_of_a_history_go_along_with_a_hand_over(tmp_path: Path) -> None:
    async with OpenAIServer([Says("A letter")]) as server, opened(tmp_path, server.base_url) as app:
        history: Json = [{"role": "user", "content": "I am Ana"}]
        run = await start_talk(app, partner(app, "test/ask"), {"history": history})
        assert (await settled(app, run.id, within_s=20)).run.status is RunStatus.COMPLETED
        entries = await app.journal.entries(run.id)
        (answer,) = [each for each in entries if each.subject == "Agent::writer" and each.function == "model:1.0.0"]
        assert "secret" in json.dumps(answer.labels)


async def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    async with opened(tmp_path) as app:
        writer, hello = partner(app, "agents/writer"), partner(app, "test/hello")
        with pytest.raises(UserError) as error:
            await start_talk(app, writer, {"input": {"message": "x" * 201}})
        assert error.value.code == "schema-mismatch"
        with pytest.raises(UserError) as error:
            hello.given("Ana", {}, session="s1")
        assert error.value.code == "no-conversation"
        both: Json = {"input": {"message": "x"}, "session": "s1", "history": [{"role": "user", "content": "x"}]}
        run = await start_talk(app, writer, both)
        ended = (await settled(app, run.id, within_s=20)).run
        assert (ended.status, cast("dict[str, Json]", ended.problem)["code"]) == (RunStatus.FAULTED, "two-histories")


async def test_an_agent_by_itself_is_released_like_a_workflow(tmp_path: Path) -> None:
    async with OpenAIServer([Says("one"), Says("two")]) as server:
        async with opened(tmp_path, server.base_url) as app:
            bundle = await resolve(app, "working", "agents/writer", "ana")
            await release(app, bundle, "production", by="ana", why="")
            assert answer_text(await talk(app, "agents/writer", "Hi")) == "one"
        (tmp_path / "agents/writer.yaml").write_text(WRITER + "instructions: Be rude.\n")
        async with opened(tmp_path, server.base_url) as app:
            assert answer_text(await talk(app, "agents/writer", "Hi")) == "two"
            assert "Be rude" not in json.dumps(server.requests[1]), "the version in production answers, not the file"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("plain", "plain"),
        ({"reply": "r", "note": "n"}, "r"),
        ({"en": "Hello", "de": "Hallo", "ref": "x"}, "Hallo"),
        ({"count": 3}, '{"count":3}'),
        ({"result": {"reply": "r"}, "contributions": []}, "r"),
        (None, "null"),
    ],
)
def test_an_output_in_words(output: Json, text: str) -> None:
    assert answer_text(output, "de") == text


async def test_a_long_conversation_is_summed_up_by_the_model_and_goes_on(tmp_path: Path) -> None:
    script = [Says("Dear Ana"), Says("Of course"), Says("Ana has card 4711."), Says("Still here"), Status(500)]
    async with OpenAIServer(script) as server:
        for name, text in FILES.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text.replace("URL", server.base_url))
        (tmp_path / "agents/writer.yaml").write_text(f"{WRITER}limits: {{ conversation: 150 }}\n")
        async with open_app(tmp_path) as app:
            for said in ("I am Ana " * 10, "My card is 4711 " * 6, "Who am I?", "And now?"):
                whom = partner(app, "agents/writer")
                run = await start_talk(app, whom, {"input": {"message": said}, "session": "s1"})
                ended = (await settled(app, run.id, within_s=20)).run
                if said != "And now?":
                    assert ended.status is RunStatus.COMPLETED, ended.problem
        asked = [json.dumps(request["messages"]) for request in server.requests]
        assert "Sum up what was said" in asked[2]
        assert "I am Ana" in asked[2]
        assert "Ana has card 4711." in asked[3]
        assert "I am Ana I am Ana" not in asked[3], "what was summed up is not shown any more"
        assert "My card is 4711" in asked[3], "the last turn stays as it was said"


async def test_a_summary_that_fails_leaves_the_conversation_as_it_is(tmp_path: Path) -> None:
    script = [Says("Dear Ana"), Says("Of course"), Silent(), Silent(), Silent(), Silent(), Says("Still here")]
    async with OpenAIServer(script) as server:
        for name, text in FILES.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_text(text.replace("URL", server.base_url))
        (tmp_path / "agents/writer.yaml").write_text(f"{WRITER}limits: {{ conversation: 100, turns: 1 }}\n")
        async with open_app(tmp_path) as app:
            for said in ("I am Ana " * 10, "My card is 4711 " * 6):
                whom = partner(app, "agents/writer")
                run = await start_talk(app, whom, {"input": {"message": said}, "session": "s1"})
                assert (await settled(app, run.id, within_s=20)).run.status is RunStatus.COMPLETED
        assert len(server.requests) == 2, "there is no turn left for a summary"
