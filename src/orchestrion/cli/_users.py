"""`orchestrion users`: add, list, remove, link, token."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from orchestrion.app import open_journal
from orchestrion.core import Journal, SystemClock, UserError, iso
from orchestrion.journal import DurableJournal
from orchestrion.project import Project
from orchestrion.server import INVITATION_S, Accounts, link_of

from ._terminal import COMPLETED, err, execute, out, print_json, user_name

DAY_S = 86_400.0


def add_user(name: str, roles: list[str], url: str | None, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work(accounts: Accounts) -> None:
        account = await accounts.add(name, roles, by=user_name(user))
        link = await _link(accounts, name, url, project, user)
        if as_json:
            print_json({"name": name, "roles": list(account.roles), "link": link})
        else:
            err.print(f"[green]✓[/] {name}: {', '.join(account.roles)}. Within a day, once, this signs in:")
            print(link)

    _with_accounts(work, project, as_json=as_json)


def list_users(*, project: Path, as_json: bool) -> None:
    async def work(accounts: Accounts) -> None:
        found = [(account, await accounts.tokens(account.name)) for account in await accounts.listed()]
        if as_json:
            print_json(
                [
                    {
                        "name": account.name,
                        "roles": list(account.roles),
                        "created_at": iso(account.created_at),
                        "tokens": [
                            {
                                "id": token.id,
                                "label": token.label,
                                "created_at": iso(token.created_at),
                                "expires_at": iso(token.expires_at) if token.expires_at else None,
                            }
                            for token in tokens
                        ],
                    }
                    for account, tokens in found
                ]
            )
        elif not found:
            err.print("No users yet. Add one: orchestrion users add NAME --role operator")
        else:
            table = Table(box=None, pad_edge=False)
            for column in ("user", "roles", "tokens"):
                table.add_column(column, overflow="fold")
            for account, tokens in found:
                told = ", ".join(token.label or token.id for token in tokens)
                table.add_row(Text(account.name), ", ".join(account.roles), Text(told))
            out.print(table)

    _with_accounts(work, project, as_json=as_json)


def remove_user(name: str, *, project: Path, as_json: bool) -> None:
    async def work(accounts: Accounts) -> None:
        await accounts.remove(name)
        if as_json:
            print_json({"removed": name})
        else:
            err.print(f"[green]✓[/] {name} is removed: tokens, links and sessions have ended.", highlight=False)

    _with_accounts(work, project, as_json=as_json)


def make_link(name: str, url: str | None, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work(accounts: Accounts) -> None:
        link = await _link(accounts, name, url, project, user)
        if as_json:
            print_json({"name": name, "link": link})
        else:
            err.print("Within a day, once, this signs in:")
            print(link)

    _with_accounts(work, project, as_json=as_json)


def make_token(name: str, label: str, days: float, *, project: Path, user: str | None, as_json: bool) -> None:
    async def work(accounts: Accounts) -> None:
        token = await accounts.issue(name, "token", by=user_name(user), lasts_s=days * DAY_S, label=label)
        if as_json:
            print_json({"name": name, "token": token})
        else:
            err.print("It is shown this once:")
            print(token)

    _with_accounts(work, project, as_json=as_json)


async def _link(accounts: Accounts, name: str, url: str | None, project: Path, user: str | None) -> str:
    server = Project.load(project).settings.server
    reached = url or server.url or f"http://{server.host}:{server.port}"
    return link_of(reached, await accounts.issue(name, "link", by=user_name(user), lasts_s=INVITATION_S))


def _with_accounts(work: Callable[[Accounts], Awaitable[None]], project: Path, *, as_json: bool) -> None:
    """Beside a server that runs, or without one."""

    async def opened() -> int:
        clock = SystemClock()
        async with AsyncExitStack() as stack:
            journal = await _journal(stack, project)
            assert isinstance(journal, DurableJournal)
            await work(Accounts(journal, clock))
        return COMPLETED

    execute(opened, as_json=as_json)


async def _journal(stack: AsyncExitStack, project: Path) -> Journal:
    loaded = Project.load(project)
    try:
        return await stack.enter_async_context(open_journal(loaded, mode="own", clock=SystemClock()))
    except UserError as error:
        if error.code != "store-in-use":
            raise
    return await stack.enter_async_context(open_journal(loaded, mode="join", clock=SystemClock()))
