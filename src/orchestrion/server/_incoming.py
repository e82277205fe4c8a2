"""Events from outside, as CloudEvents: whole ones in JSON, or with their attributes as headers."""

import base64
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request, Response

from orchestrion.app import App
from orchestrion.core import Event, EventQuery, Json, event_of, iso, parse

from ._answers import JsonAnswer
from ._identity import GuardedRoute
from ._project_shapes import EventList, Received

UNTRUSTED = {"": ["untrusted"]}
"""Whoever may send events does not vouch for what stands in them."""
STRUCTURED = "application/cloudevents+json"
_SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            STRUCTURED: {
                "schema": {
                    "type": "object",
                    "required": ["source", "type"],
                    "properties": {
                        "specversion": {"const": "1.0"},
                        "source": {"type": "string", "format": "uri-reference", "minLength": 1},
                        **{name: {"type": "string", "minLength": 1} for name in ("id", "type", "subject")},
                    },
                }
            },
            "*/*": {"schema": {}},
        },
    }
}


def incoming_routes(app: App) -> APIRouter:
    """Events of an open project."""
    router = APIRouter(prefix="/events", tags=["events"], route_class=GuardedRoute)

    @router.post("", operation_id="receiveEvent", status_code=202, response_model=Received, openapi_extra=_SCHEMA)
    async def receive(request: Request) -> Response:
        """Take in an event, once by its source and id. It is durable when this answers; who wants it hears of it soon."""
        event = event_of(await _body(request), now=app.clock.now(), labels=UNTRUSTED)
        new = await app.receive(event)
        return JsonAnswer({"source": event.source, "id": event.id, "new": new}, status_code=202)

    @router.get("/received", operation_id="listEvents", response_model=EventList)
    async def listed(
        kind: Annotated[str | None, Query(alias="type", max_length=300)] = None,
        source: Annotated[str | None, Query(max_length=1000)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """Events that came, the latest first, and how many runs each reached."""
        found = await app.journal.events(EventQuery(type=kind, source=source, limit=limit))
        return JsonAnswer({"events": [_event(each) for each in found]})

    return router


async def _body(request: Request) -> Json:
    """The event as JSON. Source: CloudEvents HTTP protocol binding 1.0.2, sections 3.1 and 3.2. Raises: UserError `not-json`."""
    content = await request.body()
    kind = request.headers.get("content-type", "")
    media = kind.partition(";")[0].strip().lower()
    attributes = {
        name[3:]: unquote(value) for name, value in request.headers.items() if name.startswith("ce-") and len(name) > 3
    }
    if media == STRUCTURED or not attributes:
        return parse(content)
    body: dict[str, Json] = dict(attributes)
    if kind:
        body["datacontenttype"] = kind
    if content:
        body |= content_of(content, media)
    return body


def content_of(content: bytes, media: str) -> dict[str, Json]:
    """What a CloudEvent holds of a content of some media type. Raises: UserError `not-json`."""
    if media == "application/json" or media.endswith("+json"):
        return {"data": parse(content)}
    if media.startswith("text/"):
        return {"data": content.decode(errors="replace")}
    return {"data_base64": base64.b64encode(content).decode()}


def _event(event: Event) -> Json:
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "received_at": iso(event.received_at),
        "routed": event.routed_at is not None,
        "deliveries": event.deliveries,
    }
