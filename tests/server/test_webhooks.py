"""What other systems tell at `/hooks/NAME`, and what strangers try there."""

import base64
import hashlib
import hmac
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from orchestrion.core import EventQuery, RunFilter, parse
from orchestrion.server._webhooks import LARGEST_HOOK, signed_by_standard, signed_plainly
from orchestrion.testing import World, served, write_served

pytestmark = pytest.mark.anyio

KEY = b"0123456789abcdef0123456789abcdef"
PLAIN = "a secret that two machines know"
SETTINGS = """
name: test
roles: [clerk]
secrets: { shop: { file: shop.key }, git: { file: git.key }, short: { file: short.key }, unset: { file: nowhere } }
webhooks:
  shop: { type: com.example.order, secret: { secret: shop } }
  git: { type: com.example.push, secret: { secret: git }, header: X-Hub-Signature-256 }
  short: { type: com.example.order, secret: { secret: short }, header: X-Signature }
  unset: { type: com.example.order, secret: { secret: unset } }
"""


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncGenerator[World]:
    folder = tmp_path / "project"
    write_served(folder)
    (folder / "orchestrion.yaml").write_text(SETTINGS)
    (folder / "shop.key").write_text(f"whsec_{base64.b64encode(KEY).decode()}\n")
    (folder / "git.key").write_text(PLAIN)
    (folder / "short.key").write_text("")
    async with served(folder) as world:
        yield world


def standard(
    world: World, content: bytes, *, id_: str = "msg_1", age_s: float = 0, key: bytes = KEY, stamp: str | None = None
) -> dict[str, str]:
    """Headers as a sender that keeps to Standard Webhooks makes them."""
    stamp = stamp or str(int(world.app.clock.now() - age_s))
    made = base64.b64encode(hmac.digest(key, f"{id_}.{stamp}.".encode() + content, "sha256")).decode()
    return {
        "webhook-id": id_,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(b'of another key' * 2).decode()} v1a,x v1,{made}",
        "content-type": "application/json",
    }


def plain(content: bytes, key: str = PLAIN) -> dict[str, str]:
    made = hmac.digest(key.encode(), content, "sha256").hex()
    return {"x-hub-signature-256": f"sha256={made}", "content-type": "application/json; charset=utf-8"}


async def send(client: httpx.AsyncClient, name: str, content: bytes, headers: dict[str, str]) -> tuple[int, object]:
    answer = await client.post(f"/hooks/{name}", content=content, headers=headers)
    return answer.status_code, answer.json().get("code", answer.json().get("new"))


async def test_a_signed_notification_starts_a_workflow_once(hooked: World) -> None:
    content = b'{"order": 17}'
    headers = standard(hooked, content)
    async with hooked.client(None) as client:
        assert await send(client, "shop", content, headers) == (202, True)
        for _ in range(3):  # replayed as it was, and signed anew by its sender
            assert await send(client, "shop", content, headers) == (202, False)
        assert await send(client, "shop", content, standard(hooked, content, age_s=20)) == (202, False)
    await hooked.app.engine.routed()
    await hooked.app.engine.calm()
    (run,) = await hooked.app.journal.runs(RunFilter(workflow="heard"))
    assert run.output == {"order": [{"order": 17}]}
    assert "untrusted" in str(run.labels)
    (event,) = await hooked.app.journal.events(EventQuery())
    assert (event.source, event.id, event.type) == ("/webhooks/shop", "msg_1", "com.example.order")
    assert event.labels == {"": ["untrusted"]}


async def test_a_body_signed_in_one_header_counts_once(hooked: World) -> None:
    content = b'{"ref": "main"}'
    async with hooked.client(None) as client:
        assert await send(client, "git", content, plain(content)) == (202, True)
        assert await send(client, "git", content, {**plain(content), "x-github-delivery": "2"}) == (202, False)
        made = base64.b64encode(hmac.digest(PLAIN.encode(), b"text", "sha256")).decode()
        other = {"x-hub-signature-256": made, "content-type": "text/plain"}
        assert await send(client, "git", b"text", other) == (202, True)
    bodies = [event.body["data"] for event in await hooked.app.journal.events(EventQuery(source="/webhooks/git"))]
    assert bodies == ["text", parse(content)]


async def test_what_is_not_signed_right_is_refused_as_what_is_not_there(hooked: World) -> None:
    content = b'{"order": 17}'
    good, signed = standard(hooked, content), plain(content)
    now = str(int(hooked.app.clock.now()))
    tries: list[tuple[str, bytes, dict[str, str]]] = [
        ("nothing", content, good),
        ("SHOP", content, good),
        ("short", content, {"x-signature": hmac.digest(b"", content, "sha256").hex()}),
        ("unset", content, standard(hooked, content, key=b"")),
        ("shop", content, {}),
        ("shop", content, standard(hooked, content, key=b"wrong" * 7)),
        ("shop", b'{"order": 18}', good),
        ("shop", content, {**good, "webhook-id": "msg_2"}),
        ("shop", content, {**good, "webhook-timestamp": str(int(now) + 1)}),
        ("shop", content, {**good, "webhook-signature": ""}),
        ("shop", content, {**good, "webhook-signature": "v1," * 1000}),
        ("shop", content, {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}),
        ("shop", content, standard(hooked, content, id_="")),
        ("shop", content, standard(hooked, content, id_=f"msg_1.{now}")),
        ("shop", content, standard(hooked, content, stamp="-1")),
        ("shop", content, standard(hooked, content, stamp="٣")),
        ("shop", content, standard(hooked, content, stamp="nan")),
        ("shop", content, signed),
        ("git", content, good),
        ("git", content + b" ", signed),
        ("git", content, plain(content, "another secret of theirs")),
        ("git", content, {"x-hub-signature-256": "sha256="}),
    ]
    answers: set[bytes] = set()
    async with hooked.client(None) as client:
        for name, body, headers in tries:
            encoded = {key: value.encode() for key, value in headers.items()}
            answer = await client.post(f"/hooks/{name}", content=body, headers=list(encoded.items()))  # pyright: ignore[reportArgumentType] - bytes, as some send them
            assert answer.status_code == 403, (name, headers)
            answers.add(answer.content)
        assert len(answers) == 1
        assert b"hook-refused" in answers.pop()
        assert (await client.get("/hooks/shop")).status_code == 405
    assert await hooked.app.journal.events(EventQuery()) == []


@pytest.mark.parametrize("age_s", [-400, 400, 10_000_000])
async def test_what_was_signed_long_ago_is_told_so_and_not_taken(hooked: World, age_s: float) -> None:
    async with hooked.client(None) as client:
        assert await send(client, "shop", b"{}", standard(hooked, b"{}", age_s=age_s)) == (403, "hook-expired")
        assert await send(client, "shop", b"{}", standard(hooked, b"{}", age_s=250)) == (202, True)


async def test_what_is_too_large_or_no_json_is_said(hooked: World) -> None:
    large = b'"' + b"x" * LARGEST_HOOK + b'"'

    async def pieces() -> AsyncGenerator[bytes]:
        for at in range(0, len(large), 65_536):
            yield large[at : at + 65_536]

    async with hooked.client(None) as client:
        for name in ("shop", "nothing"):
            for content in (large, pieces()):
                answer = await client.post(f"/hooks/{name}", content=content, headers=standard(hooked, large))
                assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
        assert await send(client, "shop", b"{", standard(hooked, b"{")) == (400, "not-json")


async def test_a_secret_is_read_anew_each_time(hooked: World, caplog: pytest.LogCaptureFixture) -> None:
    file = hooked.app.project.root / "git.key"
    async with hooked.client(None) as client:
        file.write_text("what both have from now on")
        assert await send(client, "git", b"{}", plain(b"{}")) == (403, "hook-refused")
        assert await send(client, "git", b"{}", plain(b"{}", "what both have from now on")) == (202, True)
        (hooked.app.project.root / "shop.key").write_text("whsec_not base64!")
        with caplog.at_level(logging.WARNING):
            assert await send(client, "shop", b"{}", standard(hooked, b"{}")) == (403, "hook-refused")
    assert "'shop' takes nothing: The secret is not `whsec_` and base64" in caplog.text


def test_signatures_are_as_published() -> None:
    """Source: the example of the Standard Webhooks specification; GitHub's "Validating webhook deliveries"."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert signed_by_standard(headers, key, b'{"test": 2432232314}', 1_614_265_400) == headers["webhook-id"]
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    found = signed_plainly(given, b"It's a Secret to Everybody", b"Hello, World!")
    assert found == f"sha256:{hashlib.sha256(b'Hello, World!').hexdigest()}"
