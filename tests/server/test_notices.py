"""Who may decide what waits is told by mail, once; the link opens it once, for whom it was sent to."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestrion.app import NoticeBook, Notices, open_app
from orchestrion.app._notices import signature
from orchestrion.core import Answer, Ask, RequestStatus, RunFilter
from orchestrion.journal import DurableJournal
from orchestrion.store import Store
from orchestrion.testing import World, served
from orchestrion.testing.journal_suite import HandClock, a_request, begun

pytestmark = pytest.mark.anyio

SETTINGS = """
name: test
roles: [clerk, lead]
users: {{ ana: [clerk], lea: [lead], sam: [] }}
egress: {{ allow: ['127.0.0.1:{port}'] }}
mail: {{ server: '127.0.0.1:{port}', from: desk@shop.example, tls: none }}
server: {{ notify: {{ ana: ana@shop.example, lea: lea@shop.example, sam: sam@shop.example }} }}
"""
PAY = """
document: { dsl: '1.0.3', namespace: shop, name: pay, version: '1.0.0' }
do:
  - pay:
      call: human:1.0.0@default
      with:
        role: lead
        title: "${ .title }"
        show: { card: '4111 1111' }
        form: { type: object, properties: { ok: { type: boolean } } }
"""
POLICY = """
permit(principal, action in [Action::"human"], resource);
{mail}
"""
MAIL = """permit(principal == Workflow::"orchestrion/approval-notice", action == Action::"mail", resource);"""
ASKED = """@ask("lead") forbid(principal, action == Action::"mail", resource) unless { context has approval };"""


@dataclass
class Box:
    """What the mail server received."""

    received: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    refused: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        if self.refused:
            self.refused -= 1
            return "451 come again"
        async with self.news:
            self.received.append((envelope.rcpt_tos[0], message_from_bytes(envelope.content)))
            self.news.notify_all()
        return "250 taken"

    async def links(self, count: int) -> dict[str, str]:
        """Address → link, once so many mails have come."""
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(lambda: len(self.received) >= count)
        return {
            to: found[0] for to, each in self.received if (found := re.search(r"^http://\S+", text(each), re.MULTILINE))
        }


def text(message: Message) -> str:
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


@pytest.fixture
async def box() -> Box:
    return Box()


@pytest.fixture
async def folder(box: Box, tmp_path: Path) -> AsyncGenerator[Path]:
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", 0)
    folder = tmp_path / "project"
    (folder / "workflows").mkdir(parents=True)
    (folder / "workflows" / "pay.yaml").write_text(PAY)
    (folder / "orchestrion.yaml").write_text(SETTINGS.format(port=server.sockets[0].getsockname()[1]))
    yield folder
    server.close()


async def ask(world: World, title: str = "Pay 120?") -> str:
    """The id of the request of a new run that waits."""
    document = world.app.checked.shelf.named("pay")
    run = await world.app.start(document, {"title": title})
    await world.app.engine.settle(run.id)
    (request,) = await world.app.journal.requests(run_id=run.id)
    return request.id


async def settled(world: World) -> list[tuple[str, str | None]]:
    """Status and subject of the runs that tell, once they have come to rest."""
    runs = await world.app.journal.runs(RunFilter(workflow="approval-notice"))
    ended = [await world.app.engine.settle(run.id) for run in runs]
    return [(run.status.value, run.subject) for run in ended]


@asynccontextmanager
async def signed_in(world: World, name: str) -> AsyncGenerator[httpx.AsyncClient]:
    await world.server.accounts.ensure(name, ["approver"], by="test")
    session = await world.server.accounts.issue(name, "session", by="test", lasts_s=60)
    cookie = f"orchestrion_{world.server.place.port}={session}"
    async with world.client(None, cookie=cookie) as client:
        yield client


async def test_who_may_decide_is_told_what_and_why_without_the_data(box: Box, folder: Path) -> None:
    async with served(folder) as world:
        request = await ask(world, "Pay\u202e 120?\r\nBcc: all@shop.example\nSee it, and decide:\nhttp://evil.example")
        links = await box.links(1)
        assert await settled(world) == [("completed", f"Request::{request}")]
        await asyncio.gather(*(Notices(world.app, book_of(world), world.url).look() for _ in range(3)))
        assert await settled(world) == [("completed", f"Request::{request}")]
    assert list(links) == ["lea@shop.example"]
    assert len(box.received) == 1
    message = box.received[0][1]
    assert message["Subject"].startswith("Waits for you: Pay 120? Bcc: all@shop.example See it,")
    assert message["Bcc"] is None
    said = text(message)
    assert "What:      Pay 120?" in said
    assert "Workflow:  shop/pay" in said
    assert "4111" not in said
    assert re.findall(r"^http\S+", said, re.MULTILINE) == [links["lea@shop.example"]]
    assert links["lea@shop.example"].startswith(f"{world.url}/notices/{request}?")


def book_of(world: World) -> DurableJournal:
    assert isinstance(world.app.journal, DurableJournal)
    return world.app.journal


async def test_a_link_opens_what_waits_once_for_whom_it_was_sent_to(box: Box, folder: Path) -> None:
    async with served(folder) as world:
        request = await ask(world)
        link = (await box.links(1))["lea@shop.example"]
        async with world.client(None) as stranger, signed_in(world, "ana") as ana, signed_in(world, "lea") as lea:
            for client, status, said in (
                (stranger, 401, "Sign in first"),
                (ana, 403, "sent to somebody else"),
                (lea, 303, ""),
                (lea, 410, "has been used"),
            ):
                answer = await client.get(link)
                assert (answer.status_code, said in answer.text) == (status, True), answer.text
                if status == 303:
                    assert answer.headers["location"] == f"/approvals/{request}"
                if status == 410:
                    assert f'href="/approvals/{request}"' in answer.text


async def test_what_was_changed_in_a_link_is_seen(box: Box, folder: Path) -> None:
    async with served(folder) as world:
        await ask(world)
        other = await ask(world, "Another?")
        link = next(iter((await box.links(2)).values()))
        request = urlsplit(link).path.rpartition("/")[2]
        async with signed_in(world, "lea") as lea, signed_in(world, "ana") as ana:
            wrong = (
                link.replace(request, other if other != request else "0" * 12),
                link.replace("until=", "until=1"),
                re.sub(r"until=\d+", "until=99999999999", link),
                re.sub(r"signature=\S+", "signature=", link),
                re.sub(r"&signature=\S+", "", link),
                re.sub(r"signature=(.)", lambda found: f"signature={'B' if found[1] == 'A' else 'A'}", link),
                link.replace(request, "<script>"),
            )
            for each in wrong:
                answer = await lea.get(each)
                assert (answer.status_code, "not made here" in answer.text) == (404, True), each
                assert "<script>" not in answer.text
            assert (await ana.get(link.replace("to=lea", "to=ana"))).status_code == 404
            assert (await lea.get(link)).status_code == 303


async def test_a_link_expires_with_what_it_is_about(box: Box, folder: Path) -> None:
    async with served(folder) as world:
        request = await ask(world)
        await box.links(1)
        past = world.app.clock.now() - 5
        book = NoticeBook(book_of(world), world.app.clock)
        await book_of(world).change(
            lambda connection: connection.execute("update notices set expires_at = ?, run = null", (past,)) and None
        )
        (notice,) = await book.unsent()
        async with signed_in(world, "lea") as lea:
            answer = await lea.get(notice.link(world.url))
            assert (answer.status_code, "has expired" in answer.text) == (410, True)
            assert f'href="/approvals/{request}"' in answer.text


async def test_a_notice_goes_out_once_however_often_the_server_begins(box: Box, folder: Path) -> None:
    async with open_app(folder) as app:  # it is asked while no server runs
        run = await app.start(app.checked.shelf.named("pay"), {"title": "Pay?"})
        await app.engine.settle(run.id)
        assert isinstance(app.journal, DurableJournal)
        book = NoticeBook(app.journal, app.clock)
        (request,) = await app.journal.requests(run_id=run.id)
        await book.add(request, ["lea"])  # and one that was to tell was killed before it did
        first = await book.unsent()
        await book.add(request, ["lea"])
        assert await book.unsent() == first
    async with served(folder) as world:
        link = (await box.links(1))["lea@shop.example"]
        assert link == first[0].link(world.url)
        await settled(world)
        # killed after the run began, before that was noted
        await book_of(world).change(lambda connection: connection.execute("update notices set run = null") and None)
    for _ in range(2):
        async with served(folder) as world:
            await Notices(world.app, book_of(world), world.url).look()
            assert len(await settled(world)) == 1
    assert len(box.received) == 1


async def test_what_does_not_wait_any_more_is_not_told(box: Box, folder: Path) -> None:
    async with open_app(folder) as app:
        run = await app.start(app.checked.shelf.named("pay"), {"title": "Pay?"})
        await app.engine.settle(run.id)
        (request,) = await app.journal.requests(run_id=run.id)
        assert isinstance(app.journal, DurableJournal)
        notices = Notices(app, app.journal, "http://127.0.0.1")
        await notices.book.add(request, ["lea"])
        await app.answer(request, Answer(verdict="rejected", by="lea", at=app.clock.now()))
        await app.engine.settle(run.id)
        assert [each.status for each in await app.journal.requests(run_id=run.id)] == [RequestStatus.DECIDED]
        await notices.look()
        assert await app.journal.runs(RunFilter(workflow="approval-notice")) == []
        assert await notices.book.unsent() == []
    assert box.received == []


@pytest.mark.parametrize(("mail", "told"), [(MAIL, "completed"), ("", "faulted"), (ASKED, "waiting")])
async def test_policy_decides_about_notices_as_about_every_mail(box: Box, folder: Path, mail: str, told: str) -> None:
    (folder / "policies").mkdir()
    more = f"{mail}\n{MAIL}" if mail == ASKED else mail
    (folder / "policies" / "all.cedar").write_text(POLICY.format(mail=more))
    async with served(folder) as world:
        await ask(world)
        notices = Notices(world.app, book_of(world), world.url)
        for _ in range(3):  # a notice about the approval of a notice would need one too
            await notices.look()
            assert [status for status, _ in await settled(world)] == [told]
    assert len(box.received) == (told == "completed")


async def test_a_mail_server_that_is_busy_is_asked_again_later(box: Box, folder: Path) -> None:
    box.refused = 1
    async with served(folder) as world, asyncio.timeout(20):
        with world.app.feed.follow() as follower:
            await ask(world)
            while not (await last_said(world)).endswith("(451)."):
                await follower.news.wait()
                follower.take()
        (run,) = await world.app.journal.runs(RunFilter(workflow="approval-notice"))
        assert (run.status.value, run.problem) == ("running", None)


async def last_said(world: World) -> str:
    """Why the mail server did not take the last notice."""
    for run in await world.app.journal.runs(RunFilter(workflow="approval-notice")):
        for entry in await world.app.journal.entries(run.id):
            if isinstance(entry.problem, dict):
                return str(entry.problem["detail"])
    return ""


async def test_more_than_a_page_is_told_of(box: Box, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrion.app._notices.PAGE", 2)
    async with open_app(folder) as app:
        for number in range(5):
            run = await app.start(app.checked.shelf.named("pay"), {"title": f"Pay {number}?"})
            await app.engine.settle(run.id)
    async with served(folder):
        await box.links(5)
    assert {each["Subject"] for _, each in box.received} == {f"Waits for you: Pay {number}?" for number in range(5)}


async def test_two_processes_on_a_server_make_one_notice(postgresql: str, tmp_path: Path) -> None:
    clock = HandClock()
    with closing(Store.open(postgresql, mode="own", blobs=str(tmp_path))) as store:
        mine = DurableJournal(store, clock)
        await begun(mine, clock, "run-1")
        request = a_request("q", "run-1", "/pay", clock)
        await mine.write("run-1", 1, [Ask(request)])
        with closing(Store.open(postgresql, mode="join", blobs=str(tmp_path))) as beside:
            theirs = DurableJournal(beside, clock)
            one, other = NoticeBook(mine, clock), NoticeBook(theirs, clock)
            assert (await one.new(), await other.new()) == (["q"], ["q"])
            await asyncio.gather(one.add(request, ["lea", "ana"]), other.add(request, ["lea", "ana"]))
            assert await one.new() == []
            found = await one.unsent()
            assert [each.person for each in found] == ["ana", "lea"]
            assert await other.unsent() == found
            until = int(found[1].expires_at)
            shown = signature(found[1], until)
            opened = await asyncio.gather(*(book.open("q", "lea", until, shown, by="lea") for book in (one, other)))
            assert sorted(opened) == ["opened", "used"]
            await theirs.close()
        await mine.close()
