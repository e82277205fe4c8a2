"""Commands that let people and programs in: dev, serve, users."""

from typing import Annotated

import typer

from ._options import HERE, As, Json, Project

users = typer.Typer(help="Who may use the server, and how they are recognised.", no_args_is_help=True)

Host = Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 by default.", metavar="ADDRESS")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 8321 by default, 0 takes a free one.")
]
Url = Annotated[
    str | None, typer.Option(help="Where people reach it, such as https://ai.example.com of a proxy.", metavar="URL")
]
UserName = Annotated[str, typer.Argument(help="A user's name.", metavar="NAME")]


def dev(
    host: Host = None,
    port: Port = None,
    url: Url = None,
    example: Annotated[
        str | None,
        typer.Option(
            help="In an empty folder, begin with this: customer-service, fraud-response or blank.", metavar="NAME"
        ),
    ] = None,
    project: Project = HERE,
    user: As = None,
) -> None:
    """Serve the project on this machine and advance its runs, until Ctrl-C.

    Prints a link that signs you in once, as an admin. In an empty folder it offers something to begin with.
    """
    from ._serve import dev

    dev(host, port, url, project=project, user=user, example=example)


def serve(host: Host = None, port: Port = None, url: Url = None, project: Project = HERE) -> None:
    """Serve the project and advance its runs, for good: logs in JSON, and ends in order on SIGTERM."""
    from ._serve import serve

    serve(host, port, url, project=project)


@users.command("add")
def users_add(
    name: UserName,
    role: Annotated[
        list[str] | None, typer.Option(help="viewer, operator, approver, editor or admin; several times for several.")
    ] = None,
    url: Url = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Add somebody, and print a link that signs them in once, within a day."""
    from ._users import add_user

    add_user(name, role or ["viewer"], url, project=project, user=user, as_json=as_json)


@users.command("list")
def users_list(project: Project = HERE, as_json: Json = False) -> None:
    """Who there is, with roles and tokens."""
    from ._users import list_users

    list_users(project=project, as_json=as_json)


@users.command("remove")
def users_remove(name: UserName, project: Project = HERE, as_json: Json = False) -> None:
    """Remove somebody: tokens, links and sessions end at once."""
    from ._users import remove_user

    remove_user(name, project=project, as_json=as_json)


@users.command("link")
def users_link(
    name: UserName, url: Url = None, user: As = None, project: Project = HERE, as_json: Json = False
) -> None:
    """Print another link that signs somebody in once, within a day."""
    from ._users import make_link

    make_link(name, url, project=project, user=user, as_json=as_json)


@users.command("token")
def users_token(
    name: UserName,
    label: Annotated[str, typer.Option(help="What it is for, as `users list` shows it.")] = "",
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How long it is valid.")] = 365,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Print a new token for programs. It is shown this once."""
    from ._users import make_token

    make_token(name, label, days, project=project, user=user, as_json=as_json)
