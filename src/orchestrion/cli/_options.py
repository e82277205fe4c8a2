"""Options and arguments that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

Project = Annotated[
    Path, typer.Option("--project", "-p", help="The project's folder; the one around the current folder by default.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
As = Annotated[str | None, typer.Option("--as", help="In whose name; your login name by default.", metavar="USER")]
RunId = Annotated[str, typer.Argument(help="A run's id, or a part of it that only one has.", metavar="RUN")]
RequestId = Annotated[str, typer.Argument(help="A request's id, or a part of it that only one has.", metavar="REQUEST")]
Scheduled = Annotated[str, typer.Argument(help="A workflow that has a schedule.", metavar="WORKFLOW")]
SessionName = Annotated[str, typer.Argument(help="A session's name.", metavar="SESSION")]
Input = Annotated[
    str | None,
    typer.Option("--input", "-i", help="The input: JSON, @FILE, or - for standard input.", metavar="JSON|@FILE|-"),
]
Each = Annotated[
    Path | None,
    typer.Option(help="One run for each row of a .csv or .jsonl file. The same command continues it.", metavar="FILE"),
]
Mocks = Annotated[
    Path | None,
    typer.Option("--mock", help="With --dry: answers by task, or task/tool. The rest is made up.", metavar="FILE"),
]
Express = Annotated[
    bool,
    typer.Option("--express", help="In memory, keeping nothing; refuses what would wait or could not be repeated."),
]
Follow = Annotated[bool, typer.Option("--follow", help="Show the answers of agents as they come, on standard error.")]
AtVersion = Annotated[
    str | None,
    typer.Option(help="A version: its digest, an alias, or `working`: the files as they are.", metavar="VERSION"),
]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", help="With --each: input field=column.", metavar="FIELD=COLUMN")
]
StartKey = Annotated[
    str | None, typer.Option(help="Start key: a repeated key joins the run that used it.", metavar="KEY")
]
Dry = Annotated[
    bool,
    typer.Option("--dry", help="Perform nothing: say what it would do, what policy says, and how it would end."),
]
HERE = Path()
