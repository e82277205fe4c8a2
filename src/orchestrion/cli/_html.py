"""A run as one page that needs nothing else: no network, no script, readable by whoever it is sent to."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrion import __version__
from orchestrion.core import Entry, Run, canonical

from ._cards import await_, cards, sentence, trouble, value_block
from ._markup import Html, tag
from ._page import whole_page
from ._phrases import counted, entity, lasting, moment, price
from ._reasons import given_by
from ._step import Step, Story
from ._waterfall import waterfall

_MOST_ENTRIES = 2_000
_MOST_DECISIONS = 6
_RUN_SIGNS: Mapping[str, tuple[str, str]] = {
    "completed": ("✓", "done"),
    "faulted": ("✗", "failed"),
    "diverged": ("≠", "failed"),
    "cancelled": ("■", "denied"),
    "waiting": ("…", "waiting"),
    "running": ("▶", "running"),
    "pending": ("○", "running"),
}
"""The run's sign, and the step status whose colour it shares."""


def page(told: Story, run: Run, entries: Sequence[Entry]) -> str:
    """The whole story as HTML. Data is shown as recorded, personal data included: it is the operator's own record."""
    anchors = {step.key: f"step-{number}" for number, step in enumerate(told.every(), start=1)}
    return whole_page(
        f"{told.title}: {told.status}",
        _head(told),
        _needed(told),
        _stopped(told),
        waterfall(told, anchors),
        tag("section", tag("h2", "Step by step"), cards(told, anchors)),
        _ends(told),
        _record(entries),
        _foot(told, run),
    )


def _head(told: Story) -> Html:
    sign, colour = _RUN_SIGNS.get(told.status, ("", "running"))
    came = tag("blockquote", told.came_in) if told.came_in else tag("p", "Nothing: it takes no input.")
    return tag(
        "header",
        tag("p", f"{told.workflow} {told.version}", class_="eyebrow"),
        tag("h1", told.title, " ", tag("span", f"{sign} {told.status}", class_=f"pill {colour}")),
        tag(
            "div",
            tag("div", tag("h2", "What came in"), came),
            tag("div", tag("h2", "What became of it"), tag("p", told.became, class_="fate")),
            class_="two",
        ),
        _decided(told),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in _figures(told)), class_="figures"),
        class_="top",
    )


def _decided(told: Story) -> Html | None:
    """The choices that made this run what it is, in a few lines."""
    lines = [line for step in told.every() if (line := _decision(step)) is not None]
    if not lines:
        return None
    over = len(lines) - _MOST_DECISIONS
    more = tag("li", f"and {over:,} more, below") if over > 0 else None
    shown = (tag("li", sentence(line)) for line in lines[:_MOST_DECISIONS])
    return tag("div", tag("h2", "What was decided"), tag("ul", *shown, more), class_="decided")


def _decision(step: Step) -> str | None:
    """Worth a line: where a message was sent, what was refused or approved, what a person answered."""
    reasons = [reason.text for reason in step.reasons]
    match step.kind:
        case "call" if step.function.startswith("route:") and reasons:
            return reasons[0]
        case "call" | "tool" | "engagement" if step.status == "denied":
            return f"{step.title} was {next((text for text in reasons if text.startswith('refused')), 'refused')}"
        case "call" | "tool" if step.ruling is not None and step.ruling.approved_by:
            return f"{step.title} was approved by {step.ruling.approved_by}"
        case "person" if step.status in ("done", "denied"):
            return f"{given_by(step.who)} {'answered' if step.status == 'done' else 'declined'}: {step.title}"
        case "agent" if reasons:
            return f"{step.title}: {reasons[0]}"
        case _:
            return None


def _figures(told: Story) -> Iterator[tuple[str, str]]:
    yield "Began", moment(told.started_at or told.created_at, told.timezone)
    if told.ended_at is not None:
        yield "Took", lasting(told.ended_at - told.created_at)
    yield "Steps", str(sum(1 for step in told.every() if step.kind not in ("note", "round", "attempt", "group")))
    people = sorted(
        {entity(step.who).partition(" ")[2] for step in told.every() if (step.who or "").startswith("User::")}
    )
    yield "People", ", ".join(people) if people else "none so far" if told.ended_at is None else "none"
    yield "Models cost", price(told.cost) or "nothing"
    if told.attempt > 1:
        yield "Attempt", str(told.attempt)
    if told.subject:
        yield "Started by", entity(told.subject)


def _needed(told: Story) -> Html | None:
    if not told.waits:
        return None
    return tag(
        "section",
        tag("h2", "What is needed now"),
        *(await_(waits, told.timezone) for waits in told.waits),
        class_="now",
    )


def _stopped(told: Story) -> Html | None:
    if told.problem is None:
        return None
    return tag("section", tag("h2", "Why it stopped"), trouble(told.problem), class_="now")


def _ends(told: Story) -> Html | None:
    blocks = [
        value_block(label, value)
        for label, value in (("Input", told.input), ("Output", told.output))
        if value is not None
    ]
    if not blocks:
        return None
    return tag("section", tag("details", tag("summary", "Input and output of the run"), *blocks), class_="ends")


def _record(entries: Sequence[Entry]) -> Html:
    rows = (
        tag(
            "tr",
            tag("td", tag("code", entry.key)),
            tag("td", entry.kind),
            tag("td", entry.status),
            tag("td", entry.function),
        )
        for entry in entries[:_MOST_ENTRIES]
    )
    over = len(entries) - _MOST_ENTRIES
    return tag(
        "section",
        tag(
            "details",
            tag("summary", f"The record: {counted(len(entries), 'entry', 'entries')}"),
            tag("p", f"The first {_MOST_ENTRIES:,} are listed.", class_="note") if over > 0 else None,
            tag(
                "div",
                tag(
                    "table",
                    tag("thead", tag("tr", *(tag("th", name) for name in ("Place", "Kind", "Status", "Function")))),
                    tag("tbody", *rows),
                ),
                class_="wide",
            ),
        ),
        class_="record",
    )


def _foot(told: Story, run: Run) -> Html:
    facts = [f"Run {run.id}", f"version {run.digest[:12]}"]
    if run.copied_from:
        facts.append(f"goes on from run {run.copied_from}")
    if run.parent_id:
        facts.append(f"part of run {run.parent_id}")
    versions = tag("p", "Decided by ", tag("code", canonical(run.versions))) if run.versions else None
    return tag(
        "footer",
        tag("p", " · ".join(facts)),
        versions,
        tag(
            "p",
            f"Made by Orchestrion {__version__} from the run's own record, as of {moment(told.last_at, told.timezone)}. "
            "It shows data as recorded, personal data included.",
        ),
    )
