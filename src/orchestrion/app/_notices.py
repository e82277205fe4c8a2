"""Notices by mail: whoever may decide what waits is told of it once, with a link of their own."""

import asyncio
import hmac
import logging
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlencode

from orchestrion.core import Clock, Json, OrchestrionError, Request, RequestStatus, UserError, iso
from orchestrion.spec import Document, read
from orchestrion.store import Connection, Storage

from ._feed import Follower

if TYPE_CHECKING:
    from ._app import App

log = logging.getLogger(__name__)

LOOK_S = 30.0
"""How often it is looked for what waits where nothing tells of it."""
PAUSE_S = 0.2
"""What is asked within so long is looked up together."""
PAGE = 100
"""Requests, and as many notices, taken in hand at a time."""
LINK_S = 7 * 86_400.0
"""How long a link lasts where the request itself has no end before."""
NOTICE = "orchestrion/approval-notice"
"""The workflow that hands a notice in, as policies and lists of runs call it."""
_TEXT = """\
document:
  dsl: '1.0.3'
  namespace: orchestrion
  name: approval-notice
  version: '1.0.0'
  summary: Tells somebody by mail what waits for a decision.
  metadata: { labels: { /subject: [untrusted], /body: [untrusted] } }
do:
  - hand-in:
      try:
        - tell:
            call: mail:1.0.0@default
            with: { to: '${ .to }', subject: '${ .subject }', body: '${ .body }' }
      catch:
        errors: { with: { status: 503 } }
        retry: { delay: { minutes: 1 }, backoff: { exponential: {} }, limit: { attempt: { count: 6 } } }
"""
Opened: TypeAlias = Literal["opened", "unknown", "other", "expired", "used"]

_NEW = """
select id from requests where status = 'open'
    and not exists (select 1 from notices where notices.request_id = requests.id)
    and not exists (
        select 1 from runs where runs.id = requests.run_id and runs.namespace = ? and runs.workflow = ?
    )
order by created_at, id limit ?
"""
_ADD = """
insert into notices (request_id, person, secret, expires_at, run) values (?, ?, ?, ?, ?) on conflict do nothing
"""
_UNSENT = (
    "select request_id, person, secret, expires_at from notices where run is null order by request_id, person limit ?"
)
_SENT = "update notices set run = ?, problem = ? where request_id = ? and person = ? and run is null"
_FIND = "select secret, expires_at, used_at from notices where request_id = ? and person = ?"
_USE = "update notices set used_at = ? where request_id = ? and person = ? and used_at is null"


@cache
def notice_workflow() -> Document:
    """The workflow of one call of `mail`, so that policies decide about it and runs record it."""
    document = read(_TEXT, file=NOTICE).document
    assert document is not None
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One person, told of one request."""

    request: str
    person: str
    secret: str
    """What its link is signed with."""
    expires_at: float

    def link(self, url: str) -> str:
        until = int(self.expires_at)
        query = {"to": self.person, "until": until, "signature": signature(self, until)}
        return f"{url}/notices/{self.request}?{urlencode(query)}"


def signature(notice: Notice, until: int) -> str:
    """HMAC-SHA256 of everything a link says.

    The same however often it is made: whoever is killed between noting and mailing would else leave a link that nobody has.
    """
    signed = f"{notice.request}\n{notice.person}\n{until}".encode()
    return urlsafe_b64encode(hmac.digest(notice.secret.encode(), signed, "sha256")).decode().rstrip("=")


class NoticeBook:
    """The notices of a store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def new(self) -> Sequence[str]:
        """Open requests nobody was told of, the oldest first. Not those about a notice itself: that would never end."""
        given = (*NOTICE.split("/"), PAGE)
        return await self._storage.look(lambda connection: [row[0] for row in connection.execute(_NEW, given)])

    async def add(self, request: Request, people: Sequence[str]) -> None:
        """Somebody is to be told, whoever comes first says so; a request that nobody is told of is noted too."""
        expires = min(request.expires_at or float("inf"), request.created_at + LINK_S)
        rows = [(request.id, each, secrets.token_hex(32), expires, None) for each in people]
        rows = rows or [(request.id, "", "", expires, "")]
        await self._storage.change(lambda connection: connection.executemany(_ADD, rows) and None)

    async def unsent(self) -> Sequence[Notice]:
        def read_(connection: Connection) -> list[Notice]:
            return [
                Notice(request=row[0], person=row[1], secret=row[2], expires_at=row[3])
                for row in connection.execute(_UNSENT, (PAGE,))
            ]

        return await self._storage.look(read_)

    async def sent(self, notice: Notice, run: str, problem: str | None = None) -> None:
        """A run hands it in; or none does, and why."""
        row = (run, problem, notice.request, notice.person)
        await self._storage.change(lambda connection: connection.execute(_SENT, row) and None)

    async def open(self, request: str, person: str, until: int, shown: str, *, by: str) -> Opened:
        """Use a link up, in the name of who is signed in."""
        now = self._clock.now()

        def write(connection: Connection) -> Opened:
            row = connection.execute(_FIND, (request, person)).fetchone()
            secret = row[0] if row is not None and row[0] else secrets.token_hex(32)
            notice = Notice(request=request, person=person, secret=secret, expires_at=until)
            if not hmac.compare_digest(signature(notice, until).encode(), shown.encode()) or row is None:
                return "unknown"
            if by != person:
                return "other"
            if row[2] is not None:
                return "used"
            if now >= until:
                return "expired"
            connection.execute(_USE, (now, request, person))
            return "opened"

        return await self._storage.change(write)


class Notices:
    """What a server does about them beside its answers."""

    def __init__(self, app: "App", storage: Storage, url: str) -> None:
        self.book = NoticeBook(storage, app.clock)
        self._app = app
        self._url = url
        self._addresses = app.project.settings.server.notify

    async def keep_looking(self) -> None:
        """Until cancelled."""
        if not self._addresses:
            return
        with self._app.feed.follow() as follower:
            while True:
                try:
                    while await self.look():
                        pass
                except OrchestrionError as error:
                    log.warning("Nobody can be told of what waits: %s", error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await _asked(follower)

    async def look(self) -> bool:
        """Tell of what nobody was told of: once, whenever the process is killed and whoever else looks. Whether there is more."""
        new = await self.book.new()
        for request_id in new:
            if (request := await self._app.journal.request(request_id)) is not None:
                await self.book.add(request, self._people(request))
        unsent = await self.book.unsent()
        for notice in unsent:
            await self._send(notice)
        return len(new) == PAGE or len(unsent) == PAGE

    def _people(self, request: Request) -> list[str]:
        """Those with an address who may decide it."""
        from ._app import require_role

        found: list[str] = []
        for person in self._addresses:
            try:
                require_role(self._app.project, request, person)
            except UserError:
                continue
            if request.question.user in {None, person}:
                found.append(person)
        return found

    async def _send(self, notice: Notice) -> None:
        request = await self._app.journal.request(notice.request)
        address = self._addresses.get(notice.person)
        if request is None or request.status is not RequestStatus.OPEN or address is None:
            await self.book.sent(notice, "", "It did not wait any more.")
            return
        run = await self._app.journal.run(request.run_id)
        workflow = f"{run.namespace}/{run.workflow}" if run is not None else "unknown"
        value: Json = {
            "to": address,
            "subject": f"Waits for you: {_line(request.question.title, 150)}",
            "body": _body(request, workflow, notice.link(self._url), notice.expires_at),
        }
        key = f"notice:{notice.request}:{notice.person}"
        try:
            told = await self._app.start(
                self._app.checked.shelf.named(NOTICE), value, start_key=key, subject=f"Request::{notice.request}"
            )
        except UserError as error:
            log.warning("%s was not told of the request %s: %s", notice.person, notice.request, error)
            await self.book.sent(notice, "", error.message)
            return
        await self.book.sent(notice, told.id)


async def _asked(follower: Follower) -> None:
    """Until a run asks somebody something."""
    asked = False
    while not asked:
        await follower.news.wait()
        await asyncio.sleep(PAUSE_S)
        moved, lost = follower.take()
        asked = lost or any(moved.values())


def _body(request: Request, workflow: str, link: str, link_until: float) -> str:
    """What is asked and why, without the data it is about: a mail lies about in many places."""
    question, show = request.question, request.question.show.value
    why = show.get("why") if isinstance(show, dict) and question.kind == "approval" else None
    lines = [
        f"What:      {_line(question.title, 300)}",
        f"Why:       {_line(str(why), 500)}" if why else "",
        f"Workflow:  {workflow}",
        f"Run:       {request.run_id}",
        f"Deadline:  {iso(request.expires_at) if request.expires_at is not None else 'none'}",
        f"Role:      {question.role}" if question.role else "",
    ]
    told = "\n".join(line for line in lines if line)
    return (
        f"Something waits for your decision.\n\n{told}\n\nSee it, and decide:\n{link}\n\n"
        f"The link works once, for you alone, until {iso(link_until)}, and asks you to sign in.\n"
    )


def _line(text: str, most: int) -> str:
    """On one line: who wrote the text does not write further ones."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:most]
