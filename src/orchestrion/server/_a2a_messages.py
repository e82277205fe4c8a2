"""Messages as what they are for: the input of a run, or the answer to a question."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from a2a.types.a2a_pb2 import Message, SendMessageRequest
from a2a.utils.errors import ContentTypeNotSupportedError
from google.protobuf.json_format import MessageToDict

from orchestrion.app import App, Partner, partner, partners
from orchestrion.core import Json, UserError, digest

_CONTEXT = re.compile(r"[A-Za-z0-9._:@+-]{1,90}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message holds."""

    text: str | None
    data: Sequence[Json]

    def fields(self) -> Mapping[str, Json]:
        """All of the data as one object. Raises: UserError `data-not-object`."""
        found: dict[str, Json] = {}
        for each in self.data:
            if not isinstance(each, Mapping):
                raise UserError("data-not-object", "Data must be an object: its members are the fields of the input.")
            found |= each
        return found


def said_in(message: Message) -> Said:
    """Raises: ContentTypeNotSupportedError for files and addresses."""
    texts: list[str] = []
    data: list[Json] = []
    for part in message.parts:
        match part.WhichOneof("content"):
            case "text":
                texts.append(part.text)
            case "data":
                data.append(cast("Json", MessageToDict(part.data)))
            case _:
                raise ContentTypeNotSupportedError("Only text and data are taken.")
    return Said(text="\n".join(texts) if texts else None, data=data)


def whom(app: App, request: SendMessageRequest, of_route: str | None) -> Partner:
    """Whom a message is for: of the address it was sent to, or named in it. Raises: UserError `unknown-partner`, `no-skill-named`."""
    if of_route is not None:
        return partner(app, of_route)
    for metadata in (request.message.metadata, request.metadata):
        if "skill" in metadata.fields:
            return partner(app, metadata.fields["skill"].string_value)
    found = partners(app)
    if len(found) == 1:
        return next(iter(found.values()))
    raise UserError(
        "no-skill-named",
        "The message does not say whom it is for.",
        hint=f"Name one as `skill` in the message's metadata: {', '.join(found) or 'there are none'}.",
    )


def given_of(to: Partner, said: Said, session: str) -> Json:
    """The input of a run. Raises: UserError `takes-no-text`, `data-not-object`."""
    kind = to.input.get("type", "object")
    if to.kind == "workflow" and kind != "object":
        if kind == "string" and said.text is not None:
            return said.text
        if len(said.data) == 1:
            return said.data[0]
    return to.given(said.text, said.fields(), session=session if to.kind != "workflow" else None)


def answer_of(form: Json, said: Said) -> Json:
    """The answer to a question: its fields, of which text is the only one that takes some."""
    fields = dict(said.fields())
    if said.text is not None:
        properties = form.get("properties") if isinstance(form, Mapping) else None
        found: Mapping[str, Json] = properties if isinstance(properties, Mapping) else {}
        texts = [name for name, each in found.items() if isinstance(each, Mapping) and each.get("type") == "string"]
        if len(texts) != 1:
            raise UserError(
                "takes-no-text",
                "The question has no one field that takes text.",
                hint=f"Send data with its fields: {', '.join(found) or 'any'}.",
            )
        fields[texts[0]] = said.text
    return fields


def context_given(message: Message, user: str) -> str:
    """The context a message belongs to: the one it names; else one of its own, the same when it is sent again.

    Raises: UserError `bad-context-id`.
    """
    if not message.context_id:
        return digest([user, message.message_id])[:32]
    if _CONTEXT.fullmatch(message.context_id) is None:
        raise UserError("bad-context-id", "A context's id has letters, digits and . _ : @ + -, at most 90.")
    return message.context_id
