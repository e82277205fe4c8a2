"""Notifications of other systems: who knows a webhook's secret may send them, and each becomes an event, once."""

import base64
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from orchestrion.app import App
from orchestrion.core import Json, UserError, event_of
from orchestrion.project import Webhook

from ._answers import JsonAnswer
from ._guard import too_large
from ._identity import GuardedRoute
from ._incoming import UNTRUSTED, content_of
from ._project_shapes import Received

log = logging.getLogger(__name__)

LARGEST_HOOK = 1024 * 1024
"""Bytes of a notification: it is read before it is known who sent it."""
WINDOW_S = 300
"""Seconds a signed time may be away from now."""
SHORTEST_KEY = 16
"""Bytes of a secret at least."""
_SECONDS = re.compile(r"[0-9]{1,12}")
_NOBODYS = secrets.token_bytes(32)
"""In place of the secret of a webhook that is not there: the answer takes as long."""
_BODY: dict[str, Any] = {"requestBody": {"content": {"*/*": {"schema": {}}}}}


def webhook_routes(app: App) -> APIRouter:
    """One address for each webhook of an open project."""
    router = APIRouter(prefix="/hooks", tags=["events"], route_class=GuardedRoute)
    for each in app.project.settings.webhooks:
        _key(app, each)

    @router.post(
        "/{name}", operation_id="receiveWebhook", status_code=202, response_model=Received, openapi_extra=_BODY
    )
    async def receive(name: Annotated[str, Path(max_length=100)], request: Request) -> Response:
        """Take in what another system tells, signed with the webhook's secret, once by its id. It is durable when this answers."""
        content = await _read(request)
        hook, key = app.project.settings.webhooks.get(name), _key(app, name)
        now = app.clock.now()
        if hook is not None and hook.header is not None:
            id_ = signed_plainly(request.headers.get(hook.header, ""), key or _NOBODYS, content)
        else:
            id_ = signed_by_standard(request.headers, key or _NOBODYS, content, now)
        if hook is None or key is None or id_ is None:
            raise UserError(
                "hook-refused",
                "No webhook of this name takes this: there is none, or the signature does not fit.",
                hint="Compare the name under `webhooks` in orchestrion.yaml and the secret with what the sender has.",
            )
        event = event_of(_body(name, hook, id_, request, content), now=now, labels=UNTRUSTED)
        new = await app.receive(event)
        return JsonAnswer({"source": event.source, "id": event.id, "new": new}, status_code=202)

    return router


def signed_by_standard(headers: Mapping[str, str], key: bytes, content: bytes, now: float) -> str | None:
    """The id under which a content was signed; None where it was not signed with this key.

    Raises: UserError `hook-expired`. Source: Standard Webhooks specification, "Signature scheme" and "Verifying webhook authenticity".
    """
    id_, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    made = hmac.digest(key, f"{id_}.{stamp}.".encode() + content, "sha256")
    wanted = b"v1," + base64.b64encode(made)
    fits = False
    for given in headers.get("webhook-signature", "").split(" "):
        fits |= hmac.compare_digest(given.encode(), wanted)
    # a point within the id would let it be read as another id with another time
    if not fits or not id_ or "." in id_ or not _SECONDS.fullmatch(stamp):
        return None
    if abs(now - int(stamp)) > WINDOW_S:
        raise UserError(
            "hook-expired",
            f"This was signed more than {WINDOW_S // 60} minutes before or after now.",
            hint="Compare the clocks of both machines; what comes late is signed anew by its sender.",
        )
    return id_


def signed_plainly(given: str, key: bytes, content: bytes) -> str | None:
    """The digest of a content signed by a header in hexadecimal or base64; None where it was not signed with this key.

    Nothing but the content is signed, so nothing else can say that it is the same again.
    """
    made = hmac.digest(key, content, "sha256")
    shown = given.strip().removeprefix("sha256=").encode()
    fits = hmac.compare_digest(shown.lower(), made.hex().encode())
    fits |= hmac.compare_digest(shown, base64.b64encode(made))
    return f"sha256:{hashlib.sha256(content).hexdigest()}" if fits else None


async def _read(request: Request) -> bytes:
    """Raises: UserError `body-too-large`."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_HOOK:
            raise too_large(LARGEST_HOOK)
    return bytes(content)


def _key(app: App, name: str) -> bytes | None:
    """What a webhook's notifications are signed with; None where there is none, which the log explains."""
    hook = app.project.settings.webhooks.get(name)
    if hook is None:
        return None
    try:
        text = app.project.secrets().get(hook.secret.secret)
        key = _bytes_of(text, standard=hook.header is None)
    except UserError as error:
        log.warning("The webhook %r takes nothing: %s", name, error)
        return None
    if len(key) < SHORTEST_KEY:
        log.warning("The webhook %r takes nothing: its secret is shorter than %d bytes.", name, SHORTEST_KEY)
        return None
    return key


def _bytes_of(text: Json, *, standard: bool) -> bytes:
    """Raises: UserError `bad-hook-secret`."""
    if not isinstance(text, str):
        raise UserError("bad-hook-secret", "The secret of a webhook is text.")
    if not standard:
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise UserError(
            "bad-hook-secret",
            "The secret is not `whsec_` and base64, as Standard Webhooks asks for.",
            hint="Copy it from the sender; or name the `header` of a sender that signs the body alone.",
        ) from None


def _body(name: str, hook: Webhook, id_: str, request: Request, content: bytes) -> dict[str, Json]:
    """The notification as a CloudEvent. Raises: UserError `not-json`."""
    body: dict[str, Json] = {"source": f"/webhooks/{name}", "id": id_, "type": hook.type}
    kind = request.headers.get("content-type", "")
    if kind:
        body["datacontenttype"] = kind
    if content:
        body |= content_of(content, kind.partition(";")[0].strip().lower())
    return body
