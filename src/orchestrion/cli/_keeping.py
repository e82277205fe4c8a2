"""Commands about keeping a project's AI alive: incidents of its models, and their retirement."""

from typing import Annotated

import typer

from ._options import HERE, Json, Project

incidents = typer.Typer(help="What went wrong with models: since when, and who answered then.", no_args_is_help=True)

retirements = typer.Typer(help="Models that retire soon, and what is done about it.", invoke_without_command=True)

IncidentId = Annotated[str, typer.Argument(help="An incident's id, or its beginning.", metavar="INCIDENT")]


@incidents.command("list")
def incidents_list(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Incidents, those that are open and those that are over."""
    from ._incidents import list_incidents

    list_incidents(limit, project=project, as_json=as_json)


@incidents.command("show")
def incidents_show(incident: IncidentId, project: Project = HERE, as_json: Json = False) -> None:
    """One incident: its timeline with the runs behind it, and what it did harm to."""
    from ._incidents import show_incident

    show_incident(incident, project=project, as_json=as_json)


@retirements.callback()
def retirements_list(context: typer.Context, project: Project = HERE, as_json: Json = False) -> None:
    """The models that retire soon: what asks them, which successor was tried, and what is to be done."""
    from ._retirements import list_retirements

    if context.invoked_subcommand is None:
        list_retirements(project=project, as_json=as_json)


@retirements.command("run")
def retirements_run(project: Project = HERE, as_json: Json = False) -> None:
    """Look after them now: try the successors with the project's evaluations, and propose one or put it on trial.

    A process that advances runs does so by itself.
    """
    from ._retirements import run_retirements

    run_retirements(project=project, as_json=as_json)
