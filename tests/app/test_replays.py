"""Runs of the past with another version: answered from what was recorded, compared, and nothing is done again."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from orchestrion.app import App, Replayed, open_app, replay, resolve
from orchestrion.core import Answer, Datum, Json, Run, RunStatus, SystemClock, UserError, event_of
from orchestrion.oversight import Likeness
from orchestrion.testing import CountingServer, counting_server, run_command
from orchestrion.testing.openai_server import OpenAIServer, Says

pytestmark = pytest.mark.anyio

HEAD = "document: { dsl: '1.0.3', namespace: shop, name: NAME, version: '1.0.0' }\n"
ORDER = (
    HEAD.replace("NAME", "order")
    + """
do:
  - begun: { set: { at: '${ now }', run: '${ $workflow.id }', cents: '${ .cents }' }, export: { as: . } }
  - stock: { call: http, with: { method: get, endpoint: 'http://SHOP/stock', output: raw } }
  - pause: { wait: { milliseconds: 10 } }
  - advise: { call: 'agent:1.0.0@default', with: { agent: seller, input: { cents: '${ $context.cents }' } } }
  - charge:
      call: http
      with: { method: post, endpoint: 'http://SHOP/charges', body: '${ { cents: $context.cents, at: $context.at, run: $context.run } }' }
  - pack: { run: { workflow: { namespace: shop, name: pack, version: latest, input: { cents: '${ $context.cents }' } } } }
  - tell: { emit: { event: { with: { source: /shop, type: ordered, data: { cents: '${ $context.cents }' } } } } }
  - done: { set: { cents: '${ $context.cents }', said: Thank you for your order } }
"""
)
PACK = (
    HEAD.replace("NAME", "pack")
    + "do:\n  - ship: { call: http, with: { method: put, endpoint: 'http://SHOP/parcels', body: { small: '${ .cents < 500 }' } } }\n"
)
SELLER = """
name: seller
model: playbook
input: { type: object, properties: { cents: { type: integer } } }
output: { type: object, properties: { advice: { type: string } } }
tools:
  - name: greet
    description: Sends a card.
    write: true
    parameters: { type: object, required: [text, cents], properties: { text: { type: string }, cents: { type: integer } } }
    http: { method: post, endpoint: 'http://SHOP/cards', body: { text: '{text}' } }
playbook:
  rules:
    - name: card
      when: { compare: { input.cents: { at_least: 500 } }, not: { any: [{ done: greet }, { refused: greet }] } }
      call: greet
      arguments: { text: Dear customer, cents: '{input.cents}' }
    - { name: none, when: { refused: greet }, answer: { advice: No card for you } }
    - { name: all, answer: { advice: Buy more of it } }
"""
POLICY = """
@id("all") permit (principal, action, resource);
@id("large") forbid (principal, action == Action::"greet", resource) when { context.arguments.cents > 5000 };
"""
FILES = {
    "orchestrion.yaml": "roles: [lead]\negress: { allow: ['127.0.0.1'] }\n",
    "workflows/order.yaml": ORDER,
    "workflows/pack.yaml": PACK,
    "agents/seller.yaml": SELLER,
    "policies/all.cedar": POLICY,
}
ORDERS = (100, 400, 600, 9_000)


def write(folder: Path, files: Mapping[str, str], **names: str) -> None:
    for name, text in files.items():
        for word, value in names.items():
            text = text.replace(word, value)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


async def run(app: App, workflow: str, value: Json) -> Run:
    chosen = await app.versions.choose(workflow, "ana")
    return await app.engine.settle((await app.start(chosen, value, subject="ana")).id)


async def again(folder: Path, workflow: str, *, ask_models: bool = False) -> Replayed:
    """All runs again with the files as they are."""
    async with open_app(folder, mode="join") as app:
        return await replay(app, await resolve(app, "working", workflow), last=100, ask_models=ask_models)


def kinds(found: Replayed) -> list[str]:
    """Of each run, the oldest first."""
    return [each.likeness.value for each in reversed(found.runs)]


def words(found: Replayed) -> str:
    return "\n".join(f"{each.kind}: {each.words}" for one in reversed(found.runs) for each in one.differences)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Orders that went through, one without the card that policy refused; the shop's server is gone by now."""
    folder = tmp_path_factory.mktemp("recorded")
    with counting_server() as server:
        write(folder, FILES, SHOP=server.address)
        anyio.run(_order, folder)
        assert server.effects() == {"/cards": 1, "/charges": 4, "/parcels": 4}
    return folder


async def _order(folder: Path) -> None:
    async with open_app(folder) as app:
        for cents in ORDERS:
            assert (await run(app, "order", {"cents": cents})).status is RunStatus.COMPLETED


@pytest.fixture
def shop(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "shop")


async def changed(shop: Path, file: str, old: str, new: str) -> Replayed:
    text = (shop / file).read_text()
    assert old in text
    (shop / file).write_text(text.replace(old, new))
    return await again(shop, "order")


async def test_the_same_version_does_the_same_and_nobody_notices(tmp_path: Path) -> None:
    with counting_server() as server:
        write(tmp_path, FILES, SHOP=server.address)
        await _order(tmp_path)
        asked = _asked(server)
        found = await again(tmp_path, "order")
        assert _asked(server) == asked

    assert kinds(found) == ["same"] * len(ORDERS), words(found)
    assert not found.differs


def _asked(server: CountingServer) -> dict[str, int]:
    return dict(server.requests)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected", "said"),
    [
        ("workflows/order.yaml", "Thank you for", "Many thanks for", "words words words words", "/said in other words"),
        (
            "workflows/order.yaml",
            "cents: '${ $context.cents }', said",
            "cents: 1, said",
            "action action action action",
            "/cents 100 → 1",
        ),
        ("workflows/pack.yaml", ".cents < 500", ".cents < 200", "same action same same", "/body/small true → false"),
        (
            "workflows/order.yaml",
            "type: ordered",
            "type: sold",
            "action action action action",
            '/type "ordered" → "sold"',
        ),
        (
            "workflows/order.yaml",
            "/stock'",
            "/shelves'",
            "unanswerable unanswerable unanswerable unanswerable",
            "http at stock with method, endpoint",
        ),
        ("workflows/order.yaml", "{ wait: { milliseconds: 10 } }", "{ wait: { days: 10 } }", "same same same same", ""),
        ("agents/seller.yaml", "at_least: 500", "at_least: 50", "action action same same", "done, where it was not"),
        ("agents/seller.yaml", "at_least: 500", "at_least: 700", "same same action same", "done no longer"),
        (
            "agents/seller.yaml",
            "Dear customer",
            "Hello dear customer",
            "same same words same",
            "greet by Agent::seller at advise: /body/text in other words",
        ),
        ("policies/all.cedar", "> 5000", "> 550", "same same refused same", "greet: refused"),
        ("policies/all.cedar", "> 5000", "> 50000", "same same same action", "done, where it was not"),
        (
            "workflows/order.yaml",
            "do:\n",
            "input: { schema: { document: { properties: { cents: { maximum: 500 } } } } }\ndo:\n",
            "same same faulted faulted",
            "would not begin",
        ),
        (
            "workflows/order.yaml",
            "  - done:",
            "  - more: { raise: { error: { type: 'https://shop/no', status: 500, title: No } } }\n  - done:",
            "faulted faulted faulted faulted",
            "it fails with",
        ),
        (
            "workflows/order.yaml",
            "  - done:",
            "  - ask: { call: 'human:1.0.0@default', with: { role: lead, title: Shall we?, form: { type: object } } }\n  - done:",
            "asks asks asks asks",
            "“Shall we?” to lead",
        ),
        (
            "workflows/order.yaml",
            "  - pack:",
            "  - once: { call: http, with: { method: put, endpoint: 'http://127.0.0.1:1/more', body: { small: true } } }\n  - pack:",
            "action action action action",
            "once",
        ),
    ],
)
async def test_what_a_candidate_does_otherwise(
    shop: Path, file: str, old: str, new: str, expected: str, said: str
) -> None:
    found = await changed(shop, file, old, new)

    assert kinds(found) == expected.split(), words(found)
    assert said in words(found)
    assert "Thank you" not in words(found), "nor any other text of somebody's"


ASK = (
    HEAD.replace("NAME", "ask")
    + """
do:
  - ask:
      try: [ person: { call: 'human:1.0.0@default', timeout: { after: { milliseconds: 300 } }, with: { role: lead, title: Well?, show: '${ .n }', form: { type: object } } } ]
      catch: { errors: { with: { status: 408 } }, do: [ late: { set: { late: true } } ] }
      then: END
  - hear: { listen: { to: { one: { with: { type: news } } } } }
  - both: { fork: { compete: true, branches: [ slow: { listen: { to: { one: { with: { type: never } } } } }, fast: { set: { won: 1 } } ] } }
"""
)


async def test_people_times_events_and_races_are_as_they_were(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "workflows/ask.yaml": ASK}, SHOP="127.0.0.1:1", END="continue")
    async with open_app(tmp_path) as app:
        chosen = await app.versions.choose("ask", "ana")
        first = await app.start(chosen, {"n": 1}, subject="ana")
        while not (asked := await app.journal.requests(run_id=first.id)):
            await anyio.lowlevel.checkpoint()
        yes = Answer(verdict="answered", by="lea", at=SystemClock().now(), value=Datum({"ok": True}))
        await app.engine.answer(asked[0].id, yes)
        late = await app.start(chosen, {"n": 2}, subject="ana")
        for each in (first, late):
            assert (await app.engine.settle(each.id)).status is RunStatus.WAITING
        news: Json = {"specversion": "1.0", "id": "1", "source": "/x", "type": "news", "data": {"big": True}}
        await app.receive(event_of(news, now=SystemClock().now()))
        await app.engine.calm()
        ended = [await app.engine.settle(each.id) for each in (first, late)]
        assert [each.output for each in ended] == [{"won": 1}, {"won": 1}]

    assert kinds(await again(tmp_path, "ask")) == ["same", "same"]
    patient = ASK.replace("milliseconds: 300", "days: 3")
    write(tmp_path, {"workflows/ask.yaml": patient}, END="continue")
    assert kinds(await again(tmp_path, "ask")) == ["same", "same"], "a time that ran out runs out again"
    write(tmp_path, {"workflows/ask.yaml": ASK}, END="continue", news="olds")
    found = await again(tmp_path, "ask")
    assert kinds(found) == ["unanswerable", "unanswerable"]
    assert "waits for an event" in words(found)
    write(tmp_path, {"workflows/ask.yaml": ASK}, END="continue", lead="boss")
    assert kinds(await again(tmp_path, "ask")) == ["asks", "asks"]


MODEL = {
    "orchestrion.yaml": "egress: { allow: ['127.0.0.1'] }\nmodels: { desk: { provider: 'openai:PROVIDER', base_url: URL } }\n",
    "workflows/say.yaml": HEAD.replace("NAME", "say")
    + "do:\n  - say: { call: 'agent:1.0.0@default', with: { agent: desk, session: '${ .who }', input: { text: '${ .text }' } } }\n",
    "agents/desk.yaml": "name: desk\nmodel: desk\ninstructions: WISH\n",
    "policies/all.cedar": "permit (principal, action, resource);\n",
}


async def test_models_are_asked_only_for_what_is_new_and_only_if_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    async with OpenAIServer([Says("Good day to you")]) as server:
        names = {"URL": server.base_url, "PROVIDER": "test"}
        write(tmp_path, MODEL, WISH="Be kind.", **names)
        async with open_app(tmp_path) as app:
            for text in ("hello", "again"):
                assert (await run(app, "say", {"who": "C-1", "text": text})).status is RunStatus.COMPLETED
        asked = len(server.requests)
        same = await again(tmp_path, "say")
        write(tmp_path, MODEL, WISH="Be rude.", **names)
        rude = await again(tmp_path, "say")
        write(tmp_path, MODEL, WISH="Be kind.", URL=server.base_url, PROVIDER="other")
        other = await again(tmp_path, "say")
        assert len(server.requests) == asked
        really = await again(tmp_path, "say", ask_models=True)
        assert len(server.requests) == asked + 2
        async with open_app(tmp_path) as app:
            assert (await run(app, "say", {"who": "C-1", "text": "more"})).status is RunStatus.COMPLETED

    assert kinds(same) == ["same", "same"], words(same)
    for found in (rude, other):
        assert kinds(found) == ["unanswerable", "unanswerable"]
        assert "needs the model at say" in words(found)
    assert kinds(really) == ["same", "same"], words(really)


async def test_without_runs_there_is_nothing_to_play(tmp_path: Path) -> None:
    write(tmp_path, FILES, SHOP="127.0.0.1:1")
    async with open_app(tmp_path) as app:
        with pytest.raises(UserError) as caught:
            await replay(app, await resolve(app, "working", "order"), last=5)
    assert caught.value.code == "no-runs"


async def test_likeness_grows_graver() -> None:
    assert [each.gravity for each in Likeness] == list(range(7))


def test_the_command_says_what_differs_and_which_runs(shop: Path) -> None:
    same = run_command("replay", "order", "--project", str(shop))
    assert (same.code, "Nothing was performed." in same.said) == (0, True)
    file = shop / "agents" / "seller.yaml"
    file.write_text(file.read_text().replace("at_least: 500", "at_least: 700"))

    result = run_command("replay", "order", "--project", str(shop), "--last", "2")

    assert result.code == 1
    assert "shop/order: 2 runs again" in result.said
    assert "greet by Agent::seller at advise: done no longer" in result.said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ordr"], 2, "unknown-workflow"),
        (["order", "--version", "feed"], 2, "unknown-version"),
        (["order", "--status", "waiting"], 2, "There are: completed, faulted, cancelled."),
        (["order", "--status", "cancelled"], 2, "No run of shop/order has ended as cancelled."),
        (["order", "--last", "0"], 2, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_played_is_said_in_a_sentence(shop: Path, arguments: list[str], code: int, said: str) -> None:
    result = run_command("replay", *arguments, "--project", str(shop))

    assert (result.code, said in result.said) == (code, True), result.said


def test_without_a_store_there_are_no_runs(tmp_path: Path) -> None:
    write(tmp_path, FILES, SHOP="127.0.0.1:1")

    result = run_command("replay", "order", "--project", str(tmp_path))

    assert result.code == 2
    assert "store-" in result.said
