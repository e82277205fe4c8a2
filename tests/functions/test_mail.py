"""`mail` against a mail server of our own."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from orchestrion.core import (
    Datum,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    OrchestrionError,
    Outcome,
    Permit,
    SystemClock,
    UserError,
    permitted,
)
from orchestrion.egress import Egress
from orchestrion.functions import Mail
from orchestrion.project import MailServer
from orchestrion.testing.fake_effects import NoSecrets

pytestmark = pytest.mark.anyio


@dataclass
class Box:
    """What the server received, and what it says to some."""

    received: list[tuple[Envelope, Message]] = field(default_factory=list[tuple[Envelope, Message]])
    silent: bool = False

    async def handle_RCPT(  # noqa: N802 - as the server calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 there is no such person"
        if address.startswith("later"):
            return "451 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.silent:
            await asyncio.Event().wait()
        assert isinstance(envelope.content, bytes)
        self.received.append((envelope, message_from_bytes(envelope.content)))
        return "250 taken"


def let_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword) -> AuthResult:
    return AuthResult(success=False)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
async def port(box: Box) -> AsyncGenerator[int]:
    def session() -> SMTP:
        return SMTP(box, hostname="mail.shop.example", authenticator=let_in, auth_require_tls=False)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def mail(port: int, allow: str = "127.0.0.1", **more: object) -> Mail:
    settings = {"server": f"127.0.0.1:{port}", "from": "desk@shop.example", "tls": "none", **more}
    return Mail(Egress([allow]), MailServer.model_validate(settings), SystemClock())


async def send(function: Mail, key: str = "K-1", **arguments: Json) -> Outcome:
    given: Json = {"to": "ops@shop.example", "subject": "It broke", "body": "Grüße: look.\n", **arguments}
    invocation = Invocation(key="/do/0/tell#1", task="/do/0/tell", function="mail:1.0.0", arguments=Datum(given))
    context = LeafContext(run_id="R", idempotency_key=key, secrets=NoSecrets())
    with permitted(Permit(run_id="R", key=invocation.key)):
        return await function.perform(invocation, context)


async def test_a_mail_arrives_once_for_everybody(box: Box, port: int) -> None:
    outcome = await send(mail(port), to=["ops@shop.example", "lead@shop.example"], subject="Störung")
    ((envelope, message),) = box.received
    assert envelope.mail_from == "desk@shop.example"
    assert envelope.rcpt_tos == ["ops@shop.example", "lead@shop.example"]
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode() == "Grüße: look.\r\n"
    assert message["Message-ID"] == "<K-1@shop.example>"
    assert outcome.output.value == {
        "id": "<K-1@shop.example>",
        "accepted": ["ops@shop.example", "lead@shop.example"],
        "refused": [],
    }


async def test_the_same_call_again_is_the_same_message(box: Box, port: int) -> None:
    for _ in range(2):
        await send(mail(port))
    assert len({message["Message-ID"] for _, message in box.received}) == 1


async def test_who_is_refused_is_said(box: Box, port: int) -> None:
    outcome = await send(mail(port), to=["nobody@shop.example", "ops@shop.example"])
    assert isinstance(outcome.output.value, dict)
    assert outcome.output.value["refused"] == ["nobody@shop.example"]
    assert len(box.received) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"to": "nobody@shop.example"}, "mail-rejected"),
        ({"to": "later@shop.example"}, "mail-unavailable"),
        ({"to": "ops@shop.example, all@shop.example"}, "bad-address"),
        ({"to": "ops@shop.example\r\nBcc: all@shop.example"}, "bad-address"),
        ({"subject": "a\r\nBcc: all@shop.example"}, "bad-subject"),
        ({"body": None}, "bad-arguments"),
    ],
)
async def test_what_cannot_be_sent_says_why(box: Box, port: int, arguments: dict[str, Json], code: str) -> None:
    with pytest.raises(OrchestrionError) as error:
        await send(mail(port), "K-1", **arguments)
    assert error.value.code == code
    assert box.received == []


async def test_a_line_that_is_not_protected_is_not_used(box: Box, port: int) -> None:
    with pytest.raises(Faulted) as error:
        await send(mail(port, tls="starttls"))
    assert error.value.code == "mail-unprotected"
    assert box.received == []


async def test_only_an_allowed_server_is_reached(box: Box, port: int) -> None:
    with pytest.raises(OrchestrionError) as error:
        await send(mail(port, allow="127.0.0.1:1"))
    assert error.value.code == "egress-refused"
    with pytest.raises(OrchestrionError) as error:
        await send(mail(1))
    assert error.value.code == "connection-failed"


async def test_without_a_server_it_says_what_to_write(box: Box) -> None:
    with pytest.raises(UserError) as error:
        await send(Mail(Egress(), None, SystemClock()))
    assert error.value.code == "no-mail-server"


async def test_a_cancelled_call_hangs_up(box: Box, port: int) -> None:
    box.silent = True
    calling = asyncio.ensure_future(send(mail(port, timeout=60)))
    done, _ = await asyncio.wait([calling], timeout=0.5)
    assert not done
    calling.cancel()
    done, _ = await asyncio.wait([calling], timeout=10)
    assert done
    assert calling.cancelled()


def test_a_password_goes_only_over_a_protected_line() -> None:
    given = {"server": "smtp.shop.example", "from": "desk@shop.example", "user": "desk", "password": {"secret": "mail"}}
    assert MailServer.model_validate(given).port == 587
    for broken in ({**given, "tls": "none"}, {**given, "password": None}):
        with pytest.raises(ValueError, match="password"):
            MailServer.model_validate(broken)
