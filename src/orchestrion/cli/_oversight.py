"""Commands about how runs do: what is counted of them, what people say of them, and alerts."""

from typing import Annotated

import typer

from ._options import HERE, As, Json, Project, RunId

alerts = typer.Typer(help="What was out of bounds, by the rules under `alerts` in the settings.", no_args_is_help=True)

AlertId = Annotated[str, typer.Argument(help="An alert's id, or its beginning.", metavar="ALERT")]


def watch(
    by: Annotated[
        str | None, typer.Option(help="Only one kind: agent, model, tool, router or workflow.", metavar="WHAT")
    ] = None,
    since: Annotated[str, typer.Option(help="Over how long: 30m, 24h, 7d; in windows of 5 minutes.")] = "24h",
    runs: Annotated[bool, typer.Option("--runs", help="The latest runs behind errors, refusals and the like.")] = False,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """How agents, models, tools, routers and workflows do: how often, errors, refusals, people, seconds, cost, drift."""
    from ._watch import tell_watch

    tell_watch(by, since, runs=runs, project=project, as_json=as_json)


def feedback(
    run_id: RunId,
    good: Annotated[bool, typer.Option("--good", help="It did well.")] = False,
    bad: Annotated[bool, typer.Option("--bad", help="It did not.")] = False,
    correct: Annotated[
        str | None,
        typer.Option(
            help="What the output should have been, or the fields of it that are wrong.", metavar="JSON|@FILE|-"
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="What else there is to say.", metavar="TEXT")] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Say of a run how it did. A correction is a loss in a rollout, and a case for evaluations."""
    from ._feedback import give_feedback

    give_feedback(run_id, good=good, bad=bad, correct=correct, note=note, user=user, project=project, as_json=as_json)


@alerts.command("list")
def alerts_list(
    everything: Annotated[bool, typer.Option("--all", help="Those that have cleared, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The alerts that are open."""
    from ._alerts import list_alerts

    list_alerts(limit, everything=everything, project=project, as_json=as_json)


@alerts.command("show")
def alerts_show(alert: AlertId, project: Project = HERE, as_json: Json = False) -> None:
    """One alert: what was out of bounds, the runs behind it, and who was told."""
    from ._alerts import show_alert

    show_alert(alert, project=project, as_json=as_json)


@alerts.command("acknowledge")
def alerts_acknowledge(alert: AlertId, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Say that you look after it. It clears by itself."""
    from ._alerts import acknowledge_alert

    acknowledge_alert(alert, user, project=project, as_json=as_json)
