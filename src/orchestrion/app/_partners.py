"""Whom one may talk to, and how a talk is begun and waited for."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrion.core import Json, Request, RequestStatus, Run, UserError, dump
from orchestrion.spec import Document, Schema

from ._app import App

Kind = Literal["agent", "team", "workflow"]
TEXT = ("message", "text", "question", "prompt", "content", "input", "query")
"""Fields of an input that take what a person says: the first that is there."""
ANSWER = ("answer", "reply", "message", "text", "content")
"""Fields of an output that are what is said: the first that is there."""
_LANGUAGE = re.compile(r"[a-z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """An agent, a team or a workflow, as something that takes what one says and answers."""

    name: str
    """The workflow that answers: `agents/billing`, `teams/desk`, or the project's own."""
    kind: Kind
    description: str
    input: Mapping[str, Json]
    """JSON Schema of what it is given."""
    output: Mapping[str, Json] | None
    """JSON Schema of what it gives, where it says one."""
    text: str | None
    """The field of the input that takes what a person says; None where no field is made for that."""

    def given(
        self,
        said: str | None,
        fields: Mapping[str, Json],
        *,
        session: str | None = None,
        history: Sequence[Json] = (),
    ) -> Json:
        """The input of a run. Raises: UserError `takes-no-text`, `no-conversation`."""
        value = dict(fields)
        if said is not None:
            if self.text is None:
                names = ", ".join(_properties(self.input)) or "none"
                raise UserError(
                    "takes-no-text",
                    f"{self.name} takes no text.",
                    hint=f"Give the fields of its input instead: {names}.",
                )
            value[self.text] = said
        if self.kind == "workflow":
            if session is not None or history:
                raise UserError(
                    "no-conversation",
                    f"{self.name} is a workflow, which takes one input and keeps no conversation.",
                    hint="Talk to an agent or a team, or send one message.",
                )
            return value
        talk: dict[str, Json] = {"input": value}
        if session is not None:
            talk["session"] = session
        if history:
            talk["history"] = list(history)
        return talk


def answer_text(output: Json, language: str | None = None) -> str:
    """What an output says in words: its text, the one in a language where it has several, or all of it as JSON."""
    if isinstance(output, str):
        return output
    if not isinstance(output, Mapping):
        return dump(output)
    if "contributions" in output and "result" in output:
        return answer_text(output["result"], language)
    texts = {name: value for name, value in output.items() if isinstance(value, str) and value}
    for name in ANSWER:
        if name in texts:
            return texts[name]
    spoken = [name for name in texts if _LANGUAGE.fullmatch(name)]
    if spoken:
        return texts[language if language in spoken else spoken[0]]
    return dump(output)


def partners(app: App) -> Mapping[str, Partner]:
    """Everybody one may talk to, by name: agents, teams, then the project's workflows."""
    shelf = app.checked.shelf
    found = {
        talk.document.id: Partner(
            name=talk.document.id,
            kind=talk.kind,
            description=talk.document.summary or "",
            input=talk.input,
            output=talk.output,
            text=_text_of(talk.input),
        )
        for talk in shelf.talks
    }
    for name in sorted({document.id for document in shelf.documents} - set(found)):
        found[name] = _of_workflow(shelf.named(name))
    return found


def _of_workflow(document: Document) -> Partner:
    given = _object(document.input.schema) or {"type": "object"}
    return Partner(
        name=document.id,
        kind="workflow",
        description=document.summary or document.title or "",
        input=given,
        output=_object(document.output.schema),
        text=_text_of(given),
    )


def _object(schema: Schema | None) -> Mapping[str, Json] | None:
    return schema.document if schema is not None and isinstance(schema.document, Mapping) else None


def _text_of(schema: Mapping[str, Json]) -> str | None:
    """The field that takes text: one with a name for it, else the only one that is text."""
    fields = {name: each for name, each in _properties(schema).items() if isinstance(each, Mapping)}
    named = [name for name in TEXT if name in fields and fields[name].get("type", "string") == "string"]
    texts = [name for name, each in fields.items() if each.get("type") == "string"]
    return named[0] if named else texts[0] if len(texts) == 1 else None


def _properties(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def partner(app: App, name: str) -> Partner:
    """Raises: UserError `unknown-partner`."""
    found = partners(app)
    if name not in found:
        raise UserError(
            "unknown-partner",
            f"There is nobody called {name[:100]!r} to talk to.",
            hint=f"There are: {', '.join(found) or 'none'}.",
        )
    return found[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A run that has ended, or goes on without whoever waited for it."""

    run: Run
    waits_for: Sequence[Request] = ()
    """What people are asked meanwhile."""

    @property
    def ended(self) -> bool:
        return self.run.status.ended


async def settled(app: App, run_id: str, *, within_s: float) -> Settled:
    """Wait until a run ends or asks people something, but no longer than `within_s` seconds. Raises: UserError `unknown-run`."""
    until = asyncio.get_running_loop().time() + within_s
    with app.feed.follow(run_id) as follower:
        while True:
            follower.take()
            run = await app.journal.run(run_id)
            if run is None:
                raise UserError("unknown-run", f"There is no run {run_id!r}.")
            if run.status.ended:
                return Settled(run=run)
            asked = await app.journal.requests(run_id=run_id, status=RequestStatus.OPEN)
            if asked:
                return Settled(run=run, waits_for=asked)
            try:
                async with asyncio.timeout_at(until):
                    await follower.news.wait()
            except TimeoutError:
                return Settled(run=run)


async def start_talk(
    app: App, whom: Partner, given: Json, *, subject: str | None = None, start_key: str | None = None
) -> Run:
    """Start a partner's run with `given` input; it is durable when this returns. Raises: UserError `schema-mismatch`."""
    chosen = await app.versions.choose(whom.name, subject)
    return await app.start(chosen, given, start_key=start_key, subject=subject)
