"""A run drawn as a tree, for terminals of any width, with or without colour."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ._phrases import clock, cut, entity, lasting, moment, pairs, price, printable
from ._step import SIGNS, Status, Step, Story, Waiting, notable

_DRAWN: Mapping[Status, tuple[str, str]] = {
    "done": ("+", "green"),
    "failed": ("x", "red"),
    "denied": ("#", "magenta"),
    "waiting": ("?", "yellow"),
    "interrupted": ("!", "red"),
    "running": (">", "cyan"),
    "skipped": ("-", "dim"),
    "abandoned": ("o", "dim"),
}
"""The sign in ASCII, and the colour. The word always stands beside it."""

_RUN_COLOURS = {"completed": "green", "faulted": "red", "diverged": "red", "cancelled": "magenta", "waiting": "yellow"}
_WOULD = {"completed": "would complete", "faulted": "would fault", "waiting": "would wait"}
_ASCII = str.maketrans({"├": "+", "└": "`", "│": "|", "─": "-", "→": ">", "·": "-", "–": "-", "“": '"', "”": '"'})
_FEWEST, _MOST_ROUNDS, _NARROW, _NARROWEST = 40, 12, 72, 52


@dataclass(slots=True)
class _Page:
    """Lines as they are drawn, and whether something had to be cut."""

    width: int
    ascii: bool
    timezone: str
    lines: list[Text] = field(default_factory=list[Text])
    cut: bool = False

    def add(self, *parts: tuple[str, str]) -> None:
        line = Text(no_wrap=True, overflow="ignore")
        for text, style in parts:
            line.append(self.plain(text), style=style or None)
        line.rstrip()
        self.lines.append(line)

    def plain(self, text: str) -> str:
        """Without what could steer a terminal; in ASCII where nothing else can be shown."""
        safe = printable(text)
        if not self.ascii:
            return safe
        return safe.translate(_ASCII).replace("…", "...").encode("ascii", "replace").decode()

    def fit(self, text: str, cells: int) -> str:
        """On one line of so many cells, with `…` where it was cut."""
        line = " ".join(text.split())
        if cell_len(line) <= cells:
            return line
        self.cut = True
        return set_cell_size(line, max(cells - (3 if self.ascii else 1), 0)).rstrip() + "…"

    def wrapped(self, text: str, cells: int, most: int) -> list[str]:
        """On up to `most` lines of so many cells."""
        line, lines = "", list[str]()
        words = text.split()
        for at, word in enumerate(words):
            longer = f"{line} {word}" if line else word
            if cell_len(longer) <= cells:
                line = longer
            elif len(lines) == most - 1:
                lines.append(self.fit(" ".join([line, *words[at:]]).strip(), cells))
                return lines
            else:
                if line:
                    lines.append(line)
                line = self.fit(word, cells)
        return [*lines, line] if line else lines


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTree:
    """Draws itself as wide as the console is, unless told otherwise."""

    story: Story
    ascii: bool = False
    width: int | None = None
    dry: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(_FEWEST, self.width or options.max_width)
        yield from lines(self.story, width=width, ascii=self.ascii or options.ascii_only, dry=self.dry)


def tree(told: Story, *, ascii: bool = False, width: int | None = None, dry: bool = False) -> RunTree:  # noqa: A002  the usual word
    """The run as something rich can print. A dry run is not kept: nothing leads to more about it."""
    return RunTree(story=told, ascii=ascii, width=width, dry=dry)


def lines(told: Story, *, width: int, ascii: bool, dry: bool = False) -> list[Text]:  # noqa: A002  the usual word
    page = _Page(width, ascii, told.timezone)
    _head(page, told, dry=dry)
    page.add()
    steps = list(notable(told.steps, _MOST_ROUNDS))
    for position, (step, more) in enumerate(steps):
        _draw(page, step, more, "", last=position == len(steps) - 1)
    if page.cut and not dry:
        page.add()
        page.add(("… marks what was cut or left out. All of it, as a page:", "dim"))
        page.add((f"orchestrion runs show {told.run_id} --html", "dim"))
    return page.lines


# --- head ---


def _head(page: _Page, told: Story, *, dry: bool) -> None:
    status = _WOULD.get(told.status, told.status) if dry else told.status
    page.add((f"{told.workflow} {told.version}", "bold"), ("  ", ""), (status, _RUN_COLOURS.get(told.status, "cyan")))
    facts = ["dry run" if dry else f"run {told.run_id}", moment(told.created_at, told.timezone)]
    if told.ended_at is not None:
        facts.append(f"took {lasting(told.ended_at - told.created_at)}")
    if told.attempt > 1:
        facts.append(f"attempt {told.attempt}")
    if cost := price(told.cost):
        facts.append(cost)
    for line in page.wrapped(" · ".join(facts), page.width, 3):
        page.add((line, "dim"))
    if told.came_in:
        page.add(("in   ", "dim"), (page.fit(told.came_in, page.width - 5), ""))
    for at, line in enumerate(page.wrapped(told.became, page.width - 5, 3)):
        page.add(("     " if at else "out  ", "dim"), (line, ""))
    for waits in told.waits:
        if waits.command:
            page.add(("     ", ""), (waits.command, "bold"))
    if told.problem is not None and told.problem.hint:
        for line in page.wrapped(told.problem.hint, page.width - 5, 3):
            page.add(("     ", ""), (line, "italic"))


# --- steps ---


def _draw(page: _Page, step: Step | None, more: int, guide: str, *, last: bool) -> None:
    branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
    if step is None:
        page.cut = True
        page.add((guide + branch, "dim"), (f"… {more:,} more", "dim"))
        return
    _label(page, step, guide + branch)
    inner = [*notable(step.steps, _MOST_ROUNDS)]
    under = guide + below + ("│  " if inner else "   ")
    for text, style in _details(page, step):
        for line in page.wrapped(text, page.width - len(under), 4):
            page.add((under, "dim"), (line, style))
    if step.waits is not None and step.waits.command:
        page.add((under, "dim"), (step.waits.command, "bold"))
    for position, (each, hidden) in enumerate(inner):
        _draw(page, each, hidden, guide + below, last=position == len(inner) - 1)


def _label(page: _Page, step: Step, guide: str) -> None:
    plain, colour = _DRAWN[step.status]
    right = _right(page, step)
    room = page.width - len(guide) - 3 - len(right)
    what = _what(step)
    name = page.fit(step.name, room)
    left = room - cell_len(name)
    result = f" → {step.result}" if step.result and step.kind not in ("person", "approval", "inquiry") else ""
    result = page.fit(result, left - 1) if result and left > 5 else ""
    result = f" {result}" if result else ""
    left -= cell_len(result)
    kind = f"  {what}" if what and len(what) + 2 < left else ""
    page.add(
        (guide, "dim"),
        (f"{plain if page.ascii else SIGNS[step.status]} ", colour),
        (name, "bold" if step.kind not in ("answer", "round", "attempt", "note", "set") else ""),
        (result, ""),
        (kind, "dim"),
        (" " * (left - len(kind)), ""),
        (" " + right, colour if step.status != "done" else "dim"),
    )


def _right(page: _Page, step: Step) -> str:
    """Status, time and duration, in columns."""
    took = lasting(step.duration_s) if step.duration_s is not None else ""
    if page.width < _NARROWEST:
        return step.status
    began = clock(step.started_at, page.timezone) if step.started_at is not None and page.width >= _NARROW else ""
    return f"{step.status:<11} {began:>{8 if page.width >= _NARROW else 0}} {took:>12}"


def _what(step: Step) -> str:
    """What kind of step it is, where its name does not say it."""
    match step.kind:
        case "agent":
            return entity(step.who) if step.function == "agent" else step.function
        case "call" | "tool" | "engagement":
            return step.function.partition(":")[0]
        case "answer" | "round" | "attempt" | "caught" | "heard" | "note" | "part":
            return ""
        case _:
            return step.kind


def _details(page: _Page, step: Step) -> Iterator[tuple[str, str]]:
    """Why, what came of it, what went wrong, what it waits for."""
    for reason in step.reasons:
        yield reason.text, "dim"
    if step.problem is not None and step.status in ("failed", "interrupted"):
        yield f"{step.problem.title or step.problem.code}: {step.problem.detail or ''}".strip(": "), "red"
        if step.problem.hint:
            yield step.problem.hint, "italic"
    if _gives(step):
        text = pairs(step.output)
        room = page.width - 20
        if len(text) > room:
            page.cut = True
        yield f"gave {cut(text, room)}", "dim"
    if cost := price(step.cost):
        yield f"cost {cost}", "dim"
    if step.waits is not None:
        yield _waits(step.waits, page.timezone), "yellow"


def _gives(step: Step) -> bool:
    """Whether the output says more than the reasons did."""
    told = step.function.startswith(("route:", "guard:")) or step.kind not in (
        "call",
        "tool",
        "person",
        "workflow",
        "set",
    )
    return not told and step.status == "done" and step.output is not None


def _waits(waits: Waiting, timezone: str) -> str:
    whom = f"waits for {waits.whom} to {waits.what}" if waits.whom else f"waits for {waits.what}"
    until = f", until {moment(waits.until, timezone)}" if waits.until is not None else ""
    return f"{whom}{until}"
