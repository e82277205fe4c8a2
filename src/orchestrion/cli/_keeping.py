"""Commands about keeping a project's AI alive: incidents of its models, and their retirement."""

from typing import Annotated

import typer

from ._options import HERE, Json, Project

incidents = typer.Typer(help="What went wrong with models: since when, and who answered then.", no_args_is_help=True)

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
