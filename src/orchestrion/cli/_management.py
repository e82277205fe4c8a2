"""Commands about versions of workflows: what they are made of, and which one new runs get."""

from typing import Annotated

import typer

from ._options import HERE, As, Json, Project

versions = typer.Typer(
    help="What runs are made of: every version that was kept, and what changed.", no_args_is_help=True
)

Version = Annotated[
    str, typer.Argument(help="The beginning of its digest, an alias, or `working`: the files.", metavar="VERSION")
]
Workflow = Annotated[str, typer.Argument(help="A workflow's name.", metavar="WORKFLOW")]
OfWorkflow = Annotated[
    str | None, typer.Option("--workflow", help="Of which workflow, for an alias or `working`.", metavar="NAME")
]
Why = Annotated[str, typer.Option("--why", help="The reason, for those who look later.", metavar="TEXT")]


@versions.command("list")
def versions_list(
    workflow: Annotated[str | None, typer.Argument(help="Only versions of this workflow.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The versions that were kept, with what changed from one to the next."""
    from ._versions import list_versions

    list_versions(workflow, limit, project=project, as_json=as_json)


@versions.command("show")
def versions_show(
    version: Version, workflow: OfWorkflow = None, project: Project = HERE, as_json: Json = False
) -> None:
    """One version: its pieces, when it was production, and how many runs are under way with it."""
    from ._versions import show_version

    show_version(version, workflow, project=project, as_json=as_json)


@versions.command("diff")
def versions_diff(
    before: Version = "production",
    after: Version = "working",
    workflow: OfWorkflow = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """What differs between two versions, in words: by default between what is in production and the files."""
    from ._versions import diff_versions

    diff_versions(before, after, workflow, project=project, as_json=as_json)


def deploy(
    workflow: Workflow,
    version: Annotated[str, typer.Option("--version", help="Which version.", metavar="VERSION")] = "working",
    alias: Annotated[str, typer.Option(help="Which alias to move.", metavar="NAME")] = "production",
    why: Why = "",
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Make a version the one that new runs get. Runs under way keep theirs."""
    from ._versions import deploy

    deploy(workflow, version, alias, why, project=project, user=user, as_json=as_json)


def rollback(
    workflow: Workflow,
    to: Annotated[
        str | None, typer.Option("--to", help="Which version; the one before by default.", metavar="VERSION")
    ] = None,
    why: Why = "",
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Let new runs get the version before again. Runs under way keep theirs."""
    from ._versions import rollback

    rollback(workflow, to, why, project=project, user=user, as_json=as_json)
