"""Accounts, and what people and programs show to be recognised. Only digests of secrets are kept."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Literal

from orchestrion.core import Clock, UserError, dump, parse
from orchestrion.governance import Person
from orchestrion.store import Connection, Storage

from ._rights import ROLES

Kind = Literal["token", "link", "session"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
PREFIX: dict[Kind, str] = {"token": "orc", "link": "link", "session": "session"}
SECRET = re.compile(r"(orc|link|session)_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
LINK_S = 15 * 60.0
INVITATION_S = 24 * 3600.0
SESSION_S = 12 * 3600.0
TOKEN_DAYS = 365

_ACCOUNT = "select name, roles, created_at, created_by from accounts where name = ?"
_ACCOUNTS = "select name, roles, created_at, created_by from accounts order by name"
_COUNT = "select count(*) from accounts"
_ADD = "insert into accounts (name, roles, created_at, created_by) values (?, ?, ?, ?)"
_CHANGE = "update accounts set roles = ? where name = ?"
_REMOVE = "delete from accounts where name = ?"
_FORGET = "delete from credentials where account = ?"
_OLD = "delete from credentials where expires_at <= ?"
_ISSUE = """
insert into credentials (id, account, kind, digest, label, created_at, created_by, expires_at) values (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FIND = """
select c.digest, c.kind, c.expires_at, a.name, a.roles from credentials c join accounts a on a.name = c.account where c.id = ?
"""
_DROP = "delete from credentials where id = ?"
_TOKENS = """
select id, label, created_at, created_by, expires_at from credentials where account = ? and kind = 'token' order by created_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may use the server."""

    name: str
    roles: tuple[str, ...]
    created_at: float
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as lists show it: nobody can read it again."""

    id: str
    label: str
    created_at: float
    created_by: str
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Who showed a secret, and which."""

    person: Person
    credential: str
    kind: Kind


class Accounts:
    """Over the storage of a journal, which owns the one way into the store."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def add(self, name: str, roles: Sequence[str], *, by: str) -> Account:
        """Raises: UserError `bad-user-name`, `unknown-role`, `user-exists`."""
        if not NAME.fullmatch(name):
            raise UserError(
                "bad-user-name",
                f"{name!r} cannot be the name of a user.",
                hint="Letters, digits and . _ @ + -, a letter or digit first, at most 100.",
            )
        held = _known(roles)
        account = Account(name=name, roles=held, created_at=self._clock.now(), created_by=by)

        def write(connection: Connection) -> None:
            if connection.execute(_ACCOUNT, (name,)).fetchone() is not None:
                raise UserError(
                    "user-exists", f"There is a user {name!r} already.", hint="orchestrion users list shows the roles."
                )
            connection.execute(_ADD, (name, dump(list(held)), account.created_at, by))

        await self._storage.change(write)
        return account

    async def ensure(self, name: str, roles: Sequence[str], *, by: str) -> Account:
        """The account of this name with at least these roles; made if there is none."""
        found = await self.find(name)
        if found is None:
            return await self.add(name, roles, by=by)
        held = tuple(dict.fromkeys([*found.roles, *_known(roles)]))
        if held != found.roles:
            row = (dump(list(held)), name)
            await self._storage.change(lambda connection: connection.execute(_CHANGE, row).rowcount)
        return Account(name=name, roles=held, created_at=found.created_at, created_by=found.created_by)

    async def find(self, name: str) -> Account | None:
        def read(connection: Connection) -> Account | None:
            row = connection.execute(_ACCOUNT, (name,)).fetchone()
            return _account(*row) if row is not None else None

        return await self._storage.look(read)

    async def listed(self) -> Sequence[Account]:
        """All, by name."""
        return await self._storage.look(
            lambda connection: [_account(*row) for row in connection.execute(_ACCOUNTS).fetchall()]
        )

    async def any(self) -> bool:
        return bool(await self._storage.look(lambda connection: connection.execute(_COUNT).fetchone()[0]))

    async def remove(self, name: str) -> None:
        """The account and all that was given to it; from now on. Raises: UserError `unknown-user`."""

        def write(connection: Connection) -> int:
            connection.execute(_FORGET, (name,))
            return connection.execute(_REMOVE, (name,)).rowcount

        if not await self._storage.change(write):
            raise unknown_user(name)

    async def tokens(self, name: str) -> Sequence[Token]:
        def read(connection: Connection) -> list[Token]:
            return [
                Token(id=row[0], label=row[1], created_at=row[2], created_by=row[3], expires_at=row[4])
                for row in connection.execute(_TOKENS, (name,)).fetchall()
            ]

        return await self._storage.look(read)

    async def issue(self, name: str, kind: Kind, *, by: str, lasts_s: float | None, label: str = "") -> str:
        """A new secret of an account, which nobody can read again. Raises: UserError `unknown-user`."""
        credential, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = self._clock.now()
        expires = None if lasts_s is None else now + lasts_s
        row = (credential, name, kind, _digest(secret), label, now, by, expires)

        def write(connection: Connection) -> None:
            if connection.execute(_ACCOUNT, (name,)).fetchone() is None:
                raise unknown_user(name)
            connection.execute(_OLD, (now,))
            connection.execute(_ISSUE, row)

        await self._storage.change(write)
        return f"{PREFIX[kind]}_{credential}_{secret}"

    async def recognise(self, shown: str, kind: Kind) -> Recognised | None:
        """Whose secret this is; None for one that is unknown, of another kind, or past its time."""
        given = SECRET.fullmatch(shown)
        if given is None or given[1] != PREFIX[kind]:
            return None
        now = self._clock.now()
        return await self._storage.look(lambda connection: _recognised(connection, given[2], given[3], kind, now))

    async def redeem(self, link: str) -> Recognised | None:
        """Use a one-time link: whoever comes second gets None, and so does everybody once it has expired."""
        given = SECRET.fullmatch(link)
        if given is None or given[1] != PREFIX["link"]:
            return None
        now = self._clock.now()

        def write(connection: Connection) -> Recognised | None:
            found = _recognised(connection, given[2], given[3], "link", now)
            if found is not None:
                connection.execute(_DROP, (given[2],))
            return found

        return await self._storage.change(write)

    async def revoke(self, credential: str) -> bool:
        """A credential by its id; whether there was one."""
        return bool(await self._storage.change(lambda connection: connection.execute(_DROP, (credential,)).rowcount))


def _recognised(connection: Connection, credential: str, secret: str, kind: Kind, now: float) -> Recognised | None:
    row = connection.execute(_FIND, (credential,)).fetchone()
    known = row[0] if row is not None else ""
    if not compare_digest(known, _digest(secret)) or row is None:
        return None
    if row[1] != kind or (row[2] is not None and row[2] <= now):
        return None
    return Recognised(person=Person(name=row[3], roles=_roles(row[4])), credential=credential, kind=kind)


def _digest(secret: str) -> str:
    """256 random bits need no slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _account(name: str, roles: str, created_at: float, created_by: str) -> Account:
    return Account(name=name, roles=_roles(roles), created_at=created_at, created_by=created_by)


def _roles(text: str) -> tuple[str, ...]:
    found = parse(text)
    return tuple(str(role) for role in found) if isinstance(found, list) else ()


def _known(roles: Sequence[str]) -> tuple[str, ...]:
    """Raises: UserError `unknown-role`."""
    for role in roles:
        if role not in ROLES:
            raise UserError(
                "unknown-role", f"There is no role {role!r} on the server.", hint=f"There are: {', '.join(ROLES)}."
            )
    return tuple(dict.fromkeys(roles))


def unknown_user(name: str) -> UserError:
    return UserError("unknown-user", f"There is no user {name!r}.", hint="orchestrion users list")
