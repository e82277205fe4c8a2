"""Commands about what a project's AI is made of: routers, documents, predictors, models, conversations."""

from pathlib import Path
from typing import Annotated

import typer

from ._options import HERE, As, Json, Project, SessionName

router = typer.Typer(help="Train and test the project's routers.", no_args_is_help=True)
knowledge = typer.Typer(help="The documents that passages are found in.", no_args_is_help=True)
predictor = typer.Typer(help="Train and test the project's predictors.", no_args_is_help=True)
models = typer.Typer(help="The project's models: add them, look at them, try them.", no_args_is_help=True)
sessions = typer.Typer(help="The conversations of agents that outlive a run.", no_args_is_help=True)


@router.command("train")
def router_train(
    name: Annotated[str | None, typer.Argument(help="A router of the project; all of them by default.")] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(
            help="Labelled messages that people corrected, .csv or .jsonl: learn from them too.", metavar="FILE"
        ),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(help="With --corrections: on trial with this part of new runs, if it wins.", metavar="SHARE"),
    ] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Train routers from their labelled examples.

    With --corrections the router becomes a candidate: it has to be better on messages held back, and pass the evaluations of the
    workflows that ask it. Files and production stay as they are. Exit code: 1 when it did not win.
    """
    if corrections is not None:
        from ._retrained import retrain

        retrain(name, corrections, canary, project=project, user=user, as_json=as_json)
    from ._router import train

    train(name, project=project, as_json=as_json)


@router.command("test")
def router_test(
    name: Annotated[str | None, typer.Argument(help="A router of the project.")] = None,
    train_file: Annotated[
        Path | None, typer.Option("--train", help="Examples to train on, instead of the project's.")
    ] = None,
    test_file: Annotated[Path | None, typer.Option("--test", help="Labelled examples to test with.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Let meanings count beside words; takes the extra `embeddings`.")
    ] = False,
    leave_out: Annotated[
        int, typer.Option(min=0, help="Train without so many labels, to see how it treats their messages.")
    ] = 0,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """How often a router is right, how much it leaves to a person, and what it confuses.

    Messages whose label it was not trained with are judged apart: it should leave them to a person.
    """
    from ._router import test

    test(
        name,
        train_file,
        test_file,
        text,
        label,
        embeddings=embeddings,
        leave_out=leave_out,
        project=project,
        as_json=as_json,
    )


@knowledge.command("index")
def knowledge_index(
    name: Annotated[str | None, typer.Argument(help="A knowledge base; all of them by default.")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Read the documents that have changed. `retrieve` does so by itself; this tells what could not be read.

    Exit code 1 when a file could not be read; the others are there all the same.
    """
    from ._knowledge import index

    index(name, project=project, as_json=as_json)


@knowledge.command("list")
def knowledge_list(
    name: Annotated[str | None, typer.Argument(help="A knowledge base; all of them by default.")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Every document, how many passages it has, and what is wrong with it."""
    from ._knowledge import list_bases

    list_bases(name, project=project, as_json=as_json)


@knowledge.command("search")
def knowledge_search(
    query: Annotated[str, typer.Argument(help="A question, or some words.")],
    name: Annotated[str, typer.Option("--in", help="The knowledge base.", metavar="NAME")] = "default",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="How many passages.")] = 5,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The passages that `retrieve` would give."""
    from ._knowledge import search

    search(query, name, k, project=project, as_json=as_json)


@predictor.command("train")
def predictor_train(
    data: Annotated[Path, typer.Option("--data", help="Rows to learn from.", metavar="FILE.csv")],
    name: Annotated[str | None, typer.Argument(help="A predictor of the project; the only one by default.")] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(help="Rows that people corrected: learn from them too.", metavar="FILE.csv"),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(help="With --corrections: on trial with this part of new runs, if it wins.", metavar="SHARE"),
    ] = None,
    user: As = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Train a predictor as its `train` says; its model and card are written beside each other.

    With --corrections the predictor becomes a candidate: it has to be better on rows held back, and pass the evaluations of the
    workflows that ask it. Files and production stay as they are. Exit code: 1 when it did not win.
    """
    if corrections is not None:
        from ._retrained import retrain_from_rows

        retrain_from_rows(name, data, corrections, canary, project=project, user=user, as_json=as_json)
    from ._predictor import train

    train(name, data, project=project, as_json=as_json)


@predictor.command("test")
def predictor_test(
    data: Annotated[Path, typer.Option("--data", help="Rows with their label, not trained on.", metavar="FILE.csv")],
    name: Annotated[str | None, typer.Argument(help="A predictor of the project; the only one by default.")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """How much a predictor finds, misses, and calls wrongly."""
    from ._predictor import test

    test(name, data, project=project, as_json=as_json)


@models.command("add")
def models_add(
    name: Annotated[str, typer.Argument(help="What the project calls it.", metavar="NAME")],
    provider: Annotated[str, typer.Argument(help="Such as openai:gpt-5.2 or ollama:qwen3.", metavar="PROVIDER")],
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Of an OpenAI-compatible API.", metavar="URL")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The secret that holds the API key.", metavar="SECRET")
    ] = None,
    fallback: Annotated[
        list[str] | None, typer.Option("--fallback", help="Asked when it fails.", metavar="MODEL")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Where it computes.")] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Add a model to orchestrion.yaml; nothing else in the file changes."""
    from ._models import add

    details = {
        "base_url": base_url,
        "key": {"secret": key} if key else None,
        "fallback": fallback or [],
        "region": region,
    }
    add(name, provider, details, project=project, as_json=as_json)


@models.command("list")
def models_list(project: Project = HERE, as_json: Json = False) -> None:
    """The models of the project, with their prices, limits and last days."""
    from ._models import list_models

    list_models(project=project, as_json=as_json)


@models.command("test")
def models_test(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which ones; all but playbooks by default.", metavar="MODEL")
    ] = None,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """Ask each model three small questions: what it answers, how fast, with tool calls and structured output or not.

    It is really asked, which may cost a little. Its host must stand in `egress.allow`.
    """
    from ._models import test

    test(names or [], project=project, as_json=as_json)


@sessions.command("list")
def sessions_list(
    limit: Annotated[int, typer.Option(min=1, help="How many, last used first.")] = 20,
    project: Project = HERE,
    as_json: Json = False,
) -> None:
    """The latest sessions, and who has them now."""
    from ._sessions import list_sessions

    list_sessions(limit, project=project, as_json=as_json)


@sessions.command("show")
def sessions_show(name: SessionName, project: Project = HERE, as_json: Json = False) -> None:
    """What was said in a session, as far as it is kept."""
    from ._sessions import show_session

    show_session(name, project=project, as_json=as_json)


@sessions.command("delete")
def sessions_delete(name: SessionName, project: Project = HERE, as_json: Json = False) -> None:
    """Forget a session, of all agents. Its runs keep their record as long as `retention` says."""
    from ._sessions import delete_session

    delete_session(name, project=project, as_json=as_json)
