"""`mail`: one message, handed to the project's mail server."""

import asyncio
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import cast

from orchestrion.core import (
    ERROR_TYPES,
    Clock,
    Datum,
    Declaration,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Nature,
    OrchestrionError,
    Outcome,
    Problem,
    TransientError,
    UserError,
)
from orchestrion.egress import Egress
from orchestrion.project import MailServer

from ._schema import arguments_of

_ADDRESS = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+")
_MOST_RECIPIENTS = 100

_DECLARATION = Declaration(
    name="mail",
    version="1.0.0",
    title="Send a mail",
    description=(
        "Hands one message in plain text to the server under `mail` in orchestrion.yaml, which must stand in egress.allow. Its "
        "Message-ID is made of the call's idempotency key: one that is handed in again after a crash is the same message, "
        "which mail programs show once."
    ),
    input_schema={
        "type": "object",
        "required": ["to", "subject", "body"],
        "additionalProperties": False,
        "properties": {
            "to": {
                "description": "An address, or several.",
                "anyOf": [
                    {"type": "string", "minLength": 3},
                    {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": _MOST_RECIPIENTS,
                        "items": {"type": "string", "minLength": 3},
                    },
                ],
            },
            "subject": {"type": "string", "minLength": 1, "maxLength": 500, "description": "One line."},
            "body": {"type": "string", "description": "The text."},
        },
    },
    output_schema={
        "type": "object",
        "required": ["id", "accepted", "refused"],
        "properties": {
            "id": {"type": "string", "description": "Its Message-ID."},
            "accepted": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Addresses the server took it for.",
            },
            "refused": {"type": "array", "items": {"type": "string"}, "description": "And those it did not."},
        },
    },
    effect="write",
    idempotent=True,
)


class Mail:
    """The leaf `mail:1.0.0`."""

    def __init__(self, egress: Egress, server: MailServer | None, clock: Clock) -> None:
        self._egress = egress
        self._server = server
        self._clock = clock

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        return Nature(effect="write", idempotent=True, resource=("Host", self._server.server if self._server else ""))

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `no-mail-server`, `bad-address`, `bad-subject`; PolicyDenied `egress-refused`; Faulted `mail-rejected`,
        `mail-login-refused`, `mail-unprotected`; TransientError `mail-unavailable`, `connection-failed`, `timed-out`.
        """
        server = self._server
        if server is None:
            raise UserError(
                "no-mail-server",
                "The project says no server that takes mail.",
                hint="Write `mail: { server: smtp.example.com, from: desk@example.com }` into orchestrion.yaml.",
            )
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        given = arguments["to"]
        to = [given] if isinstance(given, str) else cast("Sequence[str]", given)
        message = self._message(server, to, arguments, context)
        password = str(context.secrets.get(server.password.secret)) if server.password else None
        line = await self._egress.connect(server.host, server.port, timeout_s=server.timeout_s)
        hold = line.dup()
        handing = asyncio.ensure_future(asyncio.to_thread(_hand_in, line, server, password, message, to))
        try:
            refused = await asyncio.shield(handing)
        except asyncio.CancelledError:
            with suppress(OSError):
                hold.shutdown(socket.SHUT_RDWR)
            with suppress(OrchestrionError):
                await handing
            raise
        finally:
            hold.close()
        accepted = [each for each in to if each not in refused]
        output: Json = {"id": str(message["Message-ID"]), "accepted": [*accepted], "refused": [*refused]}
        return Outcome(output=Datum(output))

    def _message(
        self, server: MailServer, to: Sequence[str], arguments: Mapping[str, Json], context: LeafContext
    ) -> EmailMessage:
        for address in to:
            if not _ADDRESS.fullmatch(address):
                raise UserError("bad-address", f"{address!r} is not an address.", hint="Write name@example.com.")
        subject = str(arguments["subject"])
        if re.search(r"[\r\n]", subject):
            raise UserError("bad-subject", "The subject has more than one line.")
        message = EmailMessage(policy=SMTP)
        message["From"] = server.sender
        message["To"] = ", ".join(to)
        message["Subject"] = subject
        message["Date"] = datetime.fromtimestamp(self._clock.now(), UTC)
        message["Message-ID"] = f"<{context.idempotency_key}@{server.sender.partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(str(arguments["body"]))
        return message


class _Line(smtplib.SMTP):
    """The protocol over a connection that is there already."""

    def __init__(self, line: socket.socket, server: MailServer) -> None:
        self._line = line
        super().__init__(server.host, server.port, local_hostname="orchestrion.invalid", timeout=server.timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._line


def _hand_in(
    line: socket.socket, server: MailServer, password: str | None, message: EmailMessage, to: Sequence[str]
) -> Sequence[str]:
    """The addresses the server did not take it for. Runs in a thread of its own."""
    context = ssl.create_default_context()
    try:
        if server.tls == "tls":
            line = context.wrap_socket(line, server_hostname=server.host)
        with _Line(line, server) as mail:
            if server.tls == "starttls":
                mail.starttls(context=context)
            if server.user is not None and password is not None:
                mail.login(server.user, password)
            return list(mail.send_message(message, to_addrs=list(to)))
    except smtplib.SMTPAuthenticationError as error:
        raise _rejected("mail-login-refused", server, f"it refuses the login ({error.smtp_code})") from None
    except smtplib.SMTPNotSupportedError as error:
        raise _rejected("mail-unprotected", server, f"it does not offer what is asked for: {error}") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        raise _refused(server, max(codes, default=550), "it takes the message for none of the addresses") from None
    except smtplib.SMTPResponseException as error:
        raise _refused(server, error.smtp_code, "it refuses the message") from None
    except ssl.SSLCertVerificationError as error:
        raise _rejected("mail-unprotected", server, f"its certificate is not good: {error.verify_message}") from None
    except TimeoutError:
        raise TransientError("timed-out", f"{server.host!r} did not answer in time.") from None
    except (smtplib.SMTPException, OSError) as error:
        reason = f"The connection to {server.host!r} failed: {type(error).__name__}."
        raise TransientError("connection-failed", reason, hint="The message may have been taken.") from None
    finally:
        line.close()


def _refused(server: MailServer, code: int, what: str) -> OrchestrionError:
    if 400 <= code < 500:
        return TransientError("mail-unavailable", f"The mail server {server.host!r}: {what} for now ({code}).")
    return _rejected("mail-rejected", server, f"{what} ({code})")


def _rejected(code: str, server: MailServer, what: str) -> Faulted:
    return Faulted(
        Problem(
            type=ERROR_TYPES["communication"],
            status=502,
            title="Mail not taken",
            code=code,
            detail=f"The mail server {server.host!r}: {what}.",
        )
    )
