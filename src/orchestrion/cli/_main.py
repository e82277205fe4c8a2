"""The command `orchestrion` and its commands. Nothing heavy is imported before a command needs it."""

from pathlib import Path
from typing import Annotated

import typer

from ._ai import knowledge, models, predictor, router, sessions
from ._doors import dev, serve, users
from ._keeping import incidents, retirements
from ._management import deploy, evaluate, replay, rollback, rollouts, versions
from ._options import (
    HERE,
    As,
    AtVersion,
    Dry,
    Each,
    Express,
    Follow,
    Input,
    Json,
    Mapping,
    Mocks,
    Project,
    RequestId,
    RunId,
    Scheduled,
    StartKey,
)
from ._oversight import alerts, feedback, watch

app = typer.Typer(
    name="orchestrion",
    help="Conducts models, agents, tools, databases and people from an open, durable score.",
    epilog="Begin with `orchestrion init`, then `orchestrion run`. Everything a command prints for people it prints for scripts with --json.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
runs = typer.Typer(help="Look at runs, and set them going, back or aside.", no_args_is_help=True)
approvals = typer.Typer(help="What waits for a person: approvals, questions, interrupted calls.", no_args_is_help=True)
events = typer.Typer(help="What happened outside and in workflows: send it, look at it.", no_args_is_help=True)
schedules = typer.Typer(help="What runs by the calendar, and when.", no_args_is_help=True)
store = typer.Typer(help="Look after the database that keeps the runs.", no_args_is_help=True)
app.add_typer(runs, name="runs")
app.add_typer(approvals, name="approvals")
app.add_typer(events, name="events")
app.add_typer(schedules, name="schedules")
app.add_typer(versions, name="versions")
app.add_typer(rollouts, name="rollouts")
app.command()(deploy)
app.command()(rollback)
app.command()(evaluate)
app.command()(watch)
app.command()(feedback)
app.add_typer(alerts, name="alerts")
app.command()(replay)
app.add_typer(models, name="models")
app.add_typer(incidents, name="incidents")
app.add_typer(retirements, name="retirements")
app.add_typer(sessions, name="sessions")
app.add_typer(router, name="router")
app.add_typer(knowledge, name="knowledge")
app.add_typer(predictor, name="predictor")
app.add_typer(store, name="store")
app.add_typer(users, name="users")
app.command()(dev)
app.command()(serve)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")] = HERE,
    example: Annotated[
        str | None, typer.Option(help="Begin with a complete example, such as customer-service.", metavar="NAME")
    ] = None,
) -> None:
    """Make a new project: settings, a workflow, a policy."""
    from ._init import init

    init(folder, example)


@app.command()
def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Projects or workflow files; the project here by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a project's files; all findings at once."""
    from ._validate import validate

    validate(paths or [HERE], as_json=as_json)


@app.command()
def schema(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="agent, evaluation, playbook, predictor, project, table, team or workflow.", metavar="KIND"
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--all", help="Write all of them into a folder instead.", metavar="FOLDER")
    ] = None,
    project: Project = HERE,
) -> None:
    """Print the JSON Schema of a kind of file, by which editors complete and check it."""
    from ._schema import print_schema

    print_schema(kind, folder, project=project)


@app.command()
def run(
    workflow: Annotated[str, typer.Argument(help="A workflow's name or its file.")],
    value: Input = None,
    each: Each = None,
    mapping: Mapping = None,
    again: Annotated[bool, typer.Option("--again", help="With --each: start the batch anew.")] = False,
    key: StartKey = None,
    express: Express = False,
    follow: Follow = False,
    dry: Dry = False,
    mocks: Mocks = None,
    version: AtVersion = None,
    project: Project = HERE,
    user: As = None,
    as_json: Json = False,
) -> None:
    """Run a workflow, until it ends or waits. Exit code: 0 completed, 1 faulted, 2 misuse, 3 waiting.

    With --dry nothing is performed or kept: calls of effect are answered by mocks or made up from schemas, approvals are
    assumed, waits pass at once. 0: it would complete, 1: it would fault.
    """
    from ._run import run, run_each

    if dry or mocks is not None:
        from ._dry import run_dry

        beside = {
            "--each": each,
            "--follow": follow,
            "--key": key,
            "--express": express,
            "--again": again,
            "--map": mapping,
            "--version": version,
        }
        run_dry(
            workflow,
            value,
            mocks=mocks,
            beside=[name for name, given in beside.items() if given] if dry else ["--mock without --dry"],
            project=project,
            user=user,
            as_json=as_json,
        )
    elif each is not None:
        run_each(workflow, each, mapping or [], version, again=again, project=project, user=user, as_json=as_json)
    else:
        run(
            workflow,
            value,
            key=key,
            version=version,
            express=express,
            follow=follow,
            project=project,
            user=user,
            as_json=as_json,
        )


@app.command()
def work(project: Project = HERE) -> None:
    """Advance whatever can be advanced, until Ctrl-C.

    Paused batches, timers that rang, answers that came, and what the calendar starts.
    """
    from ._work import work

    work(project)


@app.command()
def doctor(project: Project = HERE, as_json: Json = False) -> None:
    """Check that this machine and project can work.

    Says what to do where not.
    """
    from ._doctor import doctor

    doctor(project, as_json=as_json)


@runs.command("list")
def runs_list(
    status: Annotated[list[str] | None, typer.Option(help="Only these: waiting, faulted, …", metavar="STATUS")] = None,
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.", metavar="NAME")] = None,
    batch: Annotated[str | None, typer.Option(help="Only runs of this batch.", metavar="BATCH")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The latest runs."""
    from ._runs import list_runs

    list_runs(status or [], workflow, batch, limit, project=project, as_json=as_json)


@runs.command("show")
def runs_show(
    run_id: RunId,
    html: Annotated[bool, typer.Option("--html", help="Write one self-contained page and print its path.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the page goes.", metavar="FILE")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """One run as a tree: times, decisions, costs, where it waits, and why each way was taken."""
    from ._runs import show_run

    show_run(run_id, html=html, output=output, project=project, as_json=as_json)


@runs.command("cancel")
def runs_cancel(run_id: RunId, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Stop a run, at once, with everything it started."""
    from ._runs import cancel_run

    cancel_run(run_id, user, project=project, as_json=as_json)


@runs.command("retry")
def runs_retry(run_id: RunId, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Try a faulted run again from where it failed; what succeeded is not repeated."""
    from ._runs import retry_run

    retry_run(run_id, user, project=project, as_json=as_json)


@runs.command("rerun")
def runs_rerun(
    run_id: RunId,
    task: Annotated[str, typer.Option("--from", help="A task of the outermost list.", metavar="TASK")],
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """A new run that takes over what came before a task, and does the rest again."""
    from ._runs import rerun

    rerun(run_id, task, user, project=project, as_json=as_json)


@approvals.command("list")
def approvals_list(
    everything: Annotated[bool, typer.Option("--all", help="The decided ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, oldest first.")] = 100,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """What waits for a person."""
    from ._approvals import list_requests

    list_requests(limit, everything=everything, project=project, as_json=as_json)


@approvals.command("show")
def approvals_show(request_id: RequestId, project: Project = HERE, as_json: Json = False) -> None:
    """What is asked, by whom, with which arguments and why."""
    from ._approvals import show_request

    show_request(request_id, project=project, as_json=as_json)


@approvals.command("approve")
def approvals_approve(
    request_id: RequestId,
    value: Annotated[
        str | None,
        typer.Option(
            "--value", help="The answer to a question, or the outcome of an interrupted call.", metavar="JSON"
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="An interrupted call: perform it again.")] = False,
    performed: Annotated[bool, typer.Option("--performed", help="An interrupted call: it had happened.")] = False,
    reason: Annotated[str | None, typer.Option(help="Kept with the decision.")] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Approve, or answer; the run goes on at once. Counts once, for exactly what was shown."""
    from ._approvals import approve

    approve(
        request_id, value, again=again, performed=performed, reason=reason, user=user, project=project, as_json=as_json
    )


@approvals.command("reject")
def approvals_reject(
    request_id: RequestId,
    reason: Annotated[str | None, typer.Option(help="Kept with the decision, and told to the agent.")] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Reject; the run goes on and deals with the refusal. An interrupted call counts as failed."""
    from ._approvals import reject

    reject(request_id, reason, user, project=project, as_json=as_json)


@events.command("send")
def events_send(
    type_: Annotated[
        str | None, typer.Argument(help="What happened, such as com.example.order.placed.", metavar="TYPE")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where it happened: a URI reference; /cli by default.")] = None,
    event_id: Annotated[
        str | None, typer.Option("--id", help="Counts once for each source; drawn by default.", metavar="ID")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="What it is about.")] = None,
    content: Annotated[
        str | None, typer.Option("--data", help="Its content: JSON, @FILE, or -.", metavar="JSON|@FILE|-")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="An attribute of its own, such as roomid=12.", metavar="NAME=VALUE")
    ] = None,
    whole: Annotated[
        str | None,
        typer.Option("--event", help="A whole CloudEvent instead: JSON, @FILE, or -.", metavar="JSON|@FILE|-"),
    ] = None,
    lines: Annotated[
        str | None, typer.Option(help="Many CloudEvents, one on each line of a file.", metavar="FILE|-")
    ] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Send an event to whoever listens, and say what came of it."""
    from ._events import send

    send(
        type_,
        source=source,
        event_id=event_id,
        subject=subject,
        content=content,
        attributes=attribute or [],
        whole=whole,
        lines=lines,
        project=project,
        as_json=as_json,
    )


@events.command("list")
def events_list(
    type_: Annotated[str | None, typer.Option("--type", help="Only of this type.", metavar="TYPE")] = None,
    source: Annotated[str | None, typer.Option(help="Only from there.")] = None,
    unwanted: Annotated[
        bool, typer.Option("--unwanted", help="Only those nobody wanted, or whose filters failed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The latest events, and how many runs each reached."""
    from ._events import list_events

    list_events(type_, source, unwanted=unwanted, limit=limit, project=project, as_json=as_json)


@events.command("show")
def events_show(
    event_id: Annotated[str, typer.Argument(help="An event's id.", metavar="EVENT")],
    source: Annotated[str | None, typer.Option(help="Where several have the id: of which source.")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """An event, and the runs it reached."""
    from ._events import show_event

    show_event(event_id, source, project=project, as_json=as_json)


@schedules.command("list")
def schedules_list(
    count: Annotated[int, typer.Option("--next", min=1, max=1000, help="How many firings ahead.", metavar="N")] = 5,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Every schedule in words, its last firing and the next ones."""
    from ._schedules import list_schedules

    list_schedules(count, project=project, as_json=as_json)


@schedules.command("pause")
def schedules_pause(workflow: Scheduled, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Let a schedule fire no more; runs in progress go on."""
    from ._schedules import pause_schedule

    pause_schedule(workflow, user, project=project, as_json=as_json)


@schedules.command("resume")
def schedules_resume(workflow: Scheduled, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Let it fire again, from now on; what fell into the pause is not made up for."""
    from ._schedules import resume_schedule

    resume_schedule(workflow, user, project=project, as_json=as_json)


@schedules.command("fire")
def schedules_fire(workflow: Scheduled, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """Start a scheduled workflow now, by hand; its schedule stays as it is."""
    from ._schedules import fire_schedule

    fire_schedule(workflow, user, project=project, as_json=as_json)


@app.command()
def costs(
    by: Annotated[str, typer.Option(help="run, agent, user, workflow or model.", metavar="WHAT")] = "agent",
    days: Annotated[float, typer.Option(min=0, help="Runs of so many days.")] = 30.0,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """What language models have cost, by run, agent, user, workflow or model."""
    from ._models import tell_costs

    tell_costs(by, days, project=project, as_json=as_json)


@store.command("migrate")
def store_migrate(project: Project = HERE, as_json: Json = False) -> None:
    """Bring an older database to this release, with a backup made first."""
    from ._store import migrate

    migrate(project, as_json=as_json)


@store.command("copy")
def store_copy(
    to: Annotated[
        str,
        typer.Option(
            "--to", help="An empty database: a URL, a file, or a secret that holds a URL.", metavar="URL|SECRET"
        ),
    ],
    blobs: Annotated[
        str | None, typer.Option(help="Where large values go: a folder or a URL.", metavar="FOLDER|URL")
    ] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Copy everything into an empty database, as one transaction, and compare.

    From a file to PostgreSQL, or back. Nobody may be at work meanwhile.
    """
    from ._store import copy

    copy(to, blobs, project, as_json=as_json)


@store.command("backup")
def store_backup(
    file: Annotated[Path, typer.Argument(help="The file to write.")], project: Project = HERE, as_json: Json = False
) -> None:
    """Write everything that is kept into one file, as it is at one moment. A server may be at work meanwhile."""
    from ._store import back_up

    back_up(file, project, as_json=as_json)


@store.command("restore")
def store_restore(
    file: Annotated[Path, typer.Argument(help="A file that `store backup` wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Over what is there, of which a backup is made before. Files only.")
    ] = False,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Put a backup where the project keeps its runs, once everything in it has been checked. Nobody may be at work meanwhile."""
    from ._store import restore

    restore(file, project, force=force, as_json=as_json)


@store.command("retain")
def store_retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Remove what is older than `retention` in orchestrion.yaml keeps it. `work` does the same once an hour."""
    from ._retain import retain_store

    retain_store(project, dry_run=dry_run, as_json=as_json)


@store.command("vacuum")
def store_vacuum(project: Project = HERE, as_json: Json = False) -> None:
    """Make the database's file as small as what it holds. Nothing else may use the store meanwhile."""
    from ._retain import vacuum

    vacuum(project, as_json=as_json)


def main() -> None:
    """Run the command line."""
    app()
