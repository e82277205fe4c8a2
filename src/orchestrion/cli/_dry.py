"""`orchestrion run --dry`: what a workflow would do, without doing it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from orchestrion.app import rehearse
from orchestrion.core import Json, Run, RunStatus, UserError

from ._deeds import Deed, deeds
from ._phrases import counted, cut, entity, lasting, listed, mapping, pairs, printable
from ._reasons import ruling_words
from ._run import document_of, place
from ._story import story
from ._telling import brief
from ._terminal import execute, exit_code, out, print_json, read_value, user_name
from ._tree import tree


def run_dry(
    workflow: str,
    value: str | None,
    *,
    mocks: Path | None,
    beside: Sequence[str],
    project: Path,
    user: str | None,
    as_json: bool,
) -> None:
    async def work() -> int:
        if beside:
            raise UserError(
                "bad-options",
                f"A dry run does not go with {listed(beside)}.",
                hint="orchestrion run WORKFLOW --dry --input '{…}' --mock FILE",
            )
        given = read_value(value, "The input")
        where, files = place(workflow, project)
        async with rehearse(where, workflows=files, mocks=mocks) as rehearsal:
            app = rehearsal.app
            document = document_of(app, workflow)
            started = await app.start(document, given if value else {}, subject=user_name(user))
            ended = await app.engine.settle(started.id)
            found = [deed async for deed in deeds(app.journal, ended, rehearsal.dry)]
            if as_json:
                print_json(_json(ended, found, rehearsal.dry.unused))
            else:
                entries = await app.journal.entries(ended.id)
                told = story(ended, entries, await app.journal.requests(run_id=ended.id), document)
                out.print(tree(told, dry=True))
                _tell(ended, found, rehearsal.dry.unused)
            return exit_code(ended)

    execute(work, as_json=as_json)


def _json(run: Run, found: Sequence[Deed], unused: Sequence[str]) -> Json:
    return {
        **{name: value for name, value in brief(run).items() if name != "id"},
        "dry": True,
        "workflow": f"{run.namespace}/{run.workflow}",
        "version": run.version,
        "would": [deed.to_json() for deed in found],
        "unused_mocks": list(unused),
    }


_COLOURS: Mapping[str, str] = {
    "read": "cyan",
    "write": "bold yellow",
    "ask": "magenta",
    "wait": "dim",
    "start": "blue",
    "emit": "blue",
    "listen": "magenta",
}


_MOST_ARGUMENTS = 6


def _tell(run: Run, found: Sequence[Deed], unused: Sequence[str]) -> None:
    out.print()
    if not found:
        out.print("It would do nothing outside, and wait for nobody.")
    else:
        out.print(Text("It would", style="bold"))
    for number, deed in enumerate(found, 1):
        head = Text(f"{number:>3}  ", style="dim")
        head.append(f"{deed.sort:<7}", style=_COLOURS[deed.sort])
        head.append(printable(_what(deed, run)))
        out.print(head, soft_wrap=True)
        for text, style in _lines(deed):
            out.print(Text(f"            {printable(text)}", style=style, no_wrap=True, overflow="ellipsis"))
    out.print()
    for line in _remarks(found, unused):
        out.print(Text(line, style="dim"))
    if run.status is RunStatus.COMPLETED:
        out.print(Text("out", style="bold"), end="  ")
        out.print(Text(printable(pairs(run.output))), soft_wrap=True)


def _what(deed: Deed, run: Run) -> str:
    """The task, and what it would do to what."""
    where = "" if deed.workflow == f"{run.namespace}/{run.workflow}" else f"{deed.workflow}: "
    match deed.sort:
        case "read" | "write":
            name = f"{deed.name}: {entity(deed.by)}, {deed.what}" if deed.by else f"{deed.name}: {deed.what}"
            return f"{where}{name} on {' '.join(deed.on) if deed.on else ''}"
        case "ask":
            return f"{where}{deed.name}: {deed.what}, “{mapping(deed.arguments).get('title')}”"
        case "wait":
            seconds = mapping(deed.arguments).get("seconds")
            return f"{where}{deed.name}: {lasting(seconds) if isinstance(seconds, int | float) else ''}; passed at once here"
        case "start" | "emit" | "listen":
            return f"{where}{deed.name}: {deed.what}"


def _lines(deed: Deed) -> Iterator[tuple[str, str]]:
    """With what, what policy says, and what it was answered with."""
    width = max(out.width - 13, 30)
    for line in _arguments(deed):
        yield cut(line, width), "dim"
    if deed.ruling is not None:
        yield (
            cut(ruling_words(replace(deed.ruling, approved_by=None)), width),
            "red" if deed.ruling.verdict == "deny" else "green",
        )
    if deed.approval is not None:
        role, verdict = deed.approval["role"], deed.approval["verdict"]
        if deed.approval["answered"] == "assumed":
            yield cut(f"needs the approval of {role}, assumed here", width), "yellow"
        else:
            yield cut(f"needs the approval of {role}; {deed.approval['answered']}: {verdict}", width), "yellow"
    if deed.sort == "listen" and deed.answered is None:
        yield "no event that a dry run could make up fits: it would wait", "yellow"
    if deed.problem is not None and (deed.answered or deed.ruling is None or deed.ruling.verdict == "allow"):
        said = str(mapping(deed.problem).get("detail") or mapping(deed.problem).get("title"))
        yield cut(f"answered by {deed.answered}: {said}" if deed.answered else said, width), "red"
    elif deed.answered and deed.sort != "start":
        words = f"made up from {deed.answered}" if deed.made_up else f"answered by {deed.answered}"
        yield cut(f"{words}: {pairs(deed.output)}", width), ""


def _arguments(deed: Deed) -> Iterator[str]:
    if deed.sort not in ("read", "write", "start"):
        return
    known = deed.on[1] if deed.on else None
    named = {name: value for name, value in mapping(deed.arguments).items() if value != known}
    for name, value in list(named.items())[:_MOST_ARGUMENTS]:
        yield f"{name}  {pairs(value)}"
    if len(named) > _MOST_ARGUMENTS:
        yield f"… {len(named) - _MOST_ARGUMENTS} more"


def _remarks(found: Sequence[Deed], unused: Sequence[str]) -> Iterator[str]:
    silent = [deed.mock for deed in found if deed.sort == "listen" and deed.answered is None and deed.mock]
    if silent:
        yield f"Give the events that {listed(silent)} would wait for with --mock FILE."
    made_up = list(dict.fromkeys(deed.mock for deed in found if deed.made_up and deed.mock))
    if made_up:
        it = "it" if len(made_up) == 1 else "them"
        yield f"Made up: {listed(made_up)}. With true answers it may go another way; give {it} with --mock FILE."
    if unused:
        yield f"Nothing asked for the {counted(len(unused), 'mock')} {listed(list(unused))}."
    yield "Nothing was performed, and nothing is kept."
