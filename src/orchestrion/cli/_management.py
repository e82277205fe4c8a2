"""Commands about versions of workflows: what they are made of, which one new runs get, and which are on trial."""

from pathlib import Path
from typing import Annotated

import typer

from ._options import HERE, As, Json, Project

versions = typer.Typer(
    help="What runs are made of: every version that was kept, and what changed.", no_args_is_help=True
)

rollouts = typer.Typer(help="Versions on trial beside the one in production.", no_args_is_help=True)

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


Canary = Annotated[
    str | None,
    typer.Option(help="Only this part of new runs, on trial: 10%, or 10%,25%,50% to raise it.", metavar="SHARE"),
]
InShadow = Annotated[
    bool, typer.Option("--shadow", help="All runs stay with production, and are played again with the version.")
]
MaxRuns = Annotated[int, typer.Option("--max-runs", min=1, max=10_000, help="Shadow: it ends after so many.")]
Hold = Annotated[
    float, typer.Option("--hold-seconds", min=0, help="Canary: how long after its end a run may be corrected.")
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Canary: what else is a loss, in jq over {status, input, output, seconds, usd, denied, asked, calls, corrected}."
    ),
]
Violation = Annotated[
    str | None, typer.Option(help="Canary: what takes it back at once, in jq over the same.", metavar="JQ")
]
Sticky = Annotated[
    str | None,
    typer.Option(help="Canary: who keeps one version: a JSON pointer into the input.", metavar="POINTER"),
]
Stratum = Annotated[
    str | None, typer.Option(help="Canary: what is compared with its like: a JSON pointer.", metavar="POINTER")
]
Tolerance = Annotated[
    str | None,
    typer.Option(help="Canary: what it has to be shown to be worse by less than; 5% by default.", metavar="SHARE"),
]


def deploy(
    workflow: Workflow,
    version: Annotated[str, typer.Option("--version", help="Which version.", metavar="VERSION")] = "working",
    alias: Annotated[str, typer.Option(help="Which alias to move.", metavar="NAME")] = "production",
    why: Why = "",
    canary: Canary = None,
    shadow: InShadow = False,
    max_runs: MaxRuns = 500,
    seconds: Annotated[float | None, typer.Option("--max-seconds", help="Canary: a longer run is a loss.")] = None,
    usd: Annotated[float | None, typer.Option("--max-usd", help="Canary: a dearer run is a loss.")] = None,
    hold: Hold = 0,
    loss: Loss = None,
    violation: Violation = None,
    sticky: Sticky = None,
    stratum: Stratum = None,
    tolerance: Tolerance = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Make a version the one that new runs get. Runs under way keep theirs.

    With --canary it gets a part of them, beside the one in production, until it has shown that it is no worse and is promoted, or
    that it is and is taken back: by itself, while runs are started. With --shadow no run gets it: each that has ended in production
    is played again with it, as `orchestrion replay` does, and nothing is performed.
    """
    if canary is not None or shadow:
        from ._rollouts import begin

        told = {
            "seconds": seconds,
            "usd": usd,
            "hold": hold,
            "loss": loss,
            "violation": violation,
            "sticky": sticky,
            "stratum": stratum,
            "max_runs": max_runs,
        }
        begin(workflow, version, canary, tolerance, told, shadow=shadow, project=project, user=user, as_json=as_json)
    from ._versions import deploy

    deploy(workflow, version, alias, why, project=project, user=user, as_json=as_json)


RolloutId = Annotated[str, typer.Argument(help="A rollout's id, or its beginning.", metavar="ROLLOUT")]


@rollouts.command("list")
def rollouts_list(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Versions on trial, and how earlier trials ended."""
    from ._rollouts import list_rollouts

    list_rollouts(limit, project=project, as_json=as_json)


@rollouts.command("show")
def rollouts_show(rollout: RolloutId, project: Project = HERE, as_json: Json = False) -> None:
    """One trial: what differs, how both versions did, and what follows."""
    from ._rollouts import show_rollout

    show_rollout(rollout, project=project, as_json=as_json)


@rollouts.command("stop")
def rollouts_stop(rollout: RolloutId, user: As = None, project: Project = HERE, as_json: Json = False) -> None:
    """End a trial without a verdict: new runs get the version in production."""
    from ._rollouts import stop_rollout

    stop_rollout(rollout, project=project, user=user, as_json=as_json)


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


def evaluate(
    name: Annotated[
        str | None, typer.Argument(help="A file of the folder `evaluations`; the only one by default.", metavar="NAME")
    ] = None,
    version: Annotated[str, typer.Option("--version", help="Which version.", metavar="VERSION")] = "working",
    against: Annotated[
        str | None, typer.Option("--against", help="Compare with this version, case by case.", metavar="VERSION")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Try again what is known from before.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained page as well.", metavar="FILE")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a row for each case and scorer as well.", metavar="FILE")
    ] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """How a version does with many cases, with intervals. Nothing outside is changed. Exit code: 1 below the gate.

    The same command goes on where it was stopped.
    """
    from ._evaluate import evaluate_version

    evaluate_version(
        name, version, against, fresh=fresh, html=html, csv=csv, project=project, user=user, as_json=as_json
    )


def replay(
    workflow: Workflow,
    version: Annotated[str, typer.Option("--version", help="Which version is tried.", metavar="VERSION")] = "working",
    last: Annotated[int, typer.Option(min=1, help="How many runs, the latest that have ended.")] = 100,
    status: Annotated[
        list[str] | None,
        typer.Option(help="Runs that ended so; completed and faulted by default.", metavar="STATUS"),
    ] = None,
    ask_models: Annotated[
        bool, typer.Option("--ask-models", help="Ask models what the recordings do not answer; it costs money.")
    ] = False,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Play runs of the past again with a version, answered from their recordings, and say what it does otherwise.

    Nothing is performed: what a recording cannot answer is reported. Exit code: 0 when every run does the same, at most in other
    words; 1 otherwise.
    """
    from ._replay import replay_runs

    replay_runs(
        workflow, version, last, status or [], ask_models=ask_models, project=project, user=user, as_json=as_json
    )
