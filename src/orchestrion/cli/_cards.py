"""Steps as cards: what, why, who, what policy said, what it cost, and the data behind it."""

import json
from collections.abc import Iterator, Mapping, Sequence

from orchestrion.core import Json, Problem

from ._markup import Html, tag
from ._phrases import clock, counted, entity, lasting, moment, price
from ._step import SIGNS, Reason, Step, Story, Waiting, notable

MOST_CHARS = 20_000
"""Of one value on the page."""
_MOST_ALIKE = 40
_FUNCTIONS: Mapping[str, str] = {
    "query": "Database",
    "http": "Web service",
    "route": "Routing by examples",
    "guard": "Check before it leaves",
    "transform": "Putting data in order",
    "infer": "Language model",
    "workflow": "Another workflow",
}
_KINDS: Mapping[str, str] = {
    "engagement": "Colleague at work",
    "answer": "Decision of the agent",
    "person": "Question to a person",
    "approval": "Approval by a person",
    "inquiry": "Question to a person",
    "switch": "Choice of the way",
    "set": "Preparation",
    "wait": "Pause",
    "event": "Event sent",
    "listen": "Waiting for events",
    "heard": "Event received",
    "workflow": "Another workflow",
    "group": "Group of steps",
    "loop": "Repetition",
    "round": "One round",
    "branches": "Side by side",
    "try": "Tried with a way out",
    "attempt": "One attempt",
    "caught": "What was done then",
    "raise": "A stop that the workflow foresees",
    "note": "For the record",
    "extension": "Extension",
    "part": "Part",
}
_ABOUT: Mapping[str, str] = {
    "branch": "Why",
    "routing": "Routing",
    "rule": "Rule",
    "model": "Model",
    "policy": "Policy",
    "person": "Person",
    "time": "Time",
    "result": "Found",
    "record": "Record",
}


def cards(told: Story, anchors: Mapping[str, str]) -> Html:
    """Every step of the run, numbered as people count."""
    return tag("ol", *_items(told.steps, told, anchors, "", depth=0), class_="cards")


def _items(
    steps: Sequence[Step], told: Story, anchors: Mapping[str, str], number: str, *, depth: int
) -> Iterator[Html]:
    at = 0
    for step, more in notable(steps, _MOST_ALIKE):
        at += more or 1
        if step is None:
            yield tag("li", f"{more:,} more like these, all done", class_="more")
        else:
            yield tag("li", _card(step, told, anchors, f"{number}{at}", depth=depth))


def _card(step: Step, told: Story, anchors: Mapping[str, str], number: str, *, depth: int) -> Html:
    inner = list(_items(step.steps, told, anchors, f"{number}.", depth=depth + 1))
    result = tag("span", f" → {step.result}", class_="result") if step.result and step.kind != "person" else None
    return tag(
        "article",
        tag(
            "header",
            tag("span", number, class_="number"),
            tag("h3" if depth == 0 else "h4", step.title, result),
            tag("span", f"{SIGNS[step.status]} {step.status}", class_=f"pill {step.status}"),
        ),
        tag("p", " · ".join(_facts(step, told.timezone)), class_="facts"),
        _reasons(step.reasons),
        trouble(step.problem) if step.problem and step.status in ("failed", "interrupted") else None,
        await_(step.waits, told.timezone) if step.waits else None,
        _data(step),
        _folded(step, tag("ol", *inner, class_="inner")) if inner else None,
        class_=f"card {step.status}",
        id=anchors.get(step.key),
    )


def _folded(step: Step, inner: Html) -> Html:
    """The rounds of a loop that simply went well need not be read."""
    if step.kind != "loop" or any(each.status != "done" for each in step.every()):
        return inner
    return tag("details", tag("summary", f"All {counted(len(step.steps), 'round')}"), inner)


def _facts(step: Step, timezone: str) -> list[str]:
    facts = [sentence(entity(step.who)) if step.kind == "agent" and step.who else _kind(step)]
    if step.who and step.kind in ("tool", "approval", "person", "inquiry", "note"):
        facts.append(entity(step.who))
    if step.started_at is not None:
        facts.append(clock(step.started_at, timezone))
    if step.duration_s is not None:
        facts.append(lasting(step.duration_s))
    if step.attempts > 1:
        facts.append(f"{step.attempts} attempts")
    if cost := price(step.cost):
        facts.append(cost)
    return facts


def _kind(step: Step) -> str:
    function = step.function.partition(":")[0]
    if step.kind in ("call", "tool") and function:
        return _FUNCTIONS.get(function, function)
    if step.kind == "tool":
        return "Tool of the agent"
    if step.kind == "agent":
        return "Agent" if step.function == "agent" else "Language model"
    return _KINDS.get(step.kind, "Step")


def _reasons(reasons: Sequence[Reason]) -> Html | None:
    if not reasons:
        return None
    labels = ["" if before and before.about == one.about else _ABOUT[one.about] for before, one in _paired(reasons)]
    lines = (
        tag("div", tag("dt", label), tag("dd", sentence(one.text))) for label, one in zip(labels, reasons, strict=True)
    )
    return tag("dl", *lines, class_="why")


def _paired(reasons: Sequence[Reason]) -> Iterator[tuple[Reason | None, Reason]]:
    """Each with the one before it, whose label it need not repeat."""
    return zip((None, *reasons), reasons, strict=False)


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def trouble(problem: Problem) -> Html:
    """A problem, open, with what to do next."""
    code = tag("p", tag("code", problem.code), class_="code") if problem.code else None
    return tag(
        "div",
        tag("strong", problem.title or "Problem"),
        tag("p", problem.detail) if problem.detail else None,
        tag("p", "What to do: ", problem.hint, class_="hint") if problem.hint else None,
        code,
        class_="trouble",
    )


def await_(waits: Waiting, timezone: str) -> Html:
    """What is waited for, for how long at most, and what ends it."""
    whom = f"{sentence(waits.whom)} is asked to {waits.what}" if waits.whom else f"Waits for {waits.what}"
    since = f"since {moment(waits.since, timezone)}" if waits.since is not None else ""
    until = f"until {moment(waits.until, timezone)} at the latest" if waits.until is not None else ""
    return tag(
        "div",
        tag("strong", f"{whom}."),
        tag("p", sentence(", ".join(each for each in (since, until) if each)) + ".") if since or until else None,
        tag("p", tag("code", waits.command)) if waits.command else None,
        class_="waits",
    )


def _data(step: Step) -> Html | None:
    """What went in and what came out, folded."""
    parts = [
        value_block(label, value)
        for label, value in (("Given", step.input), ("Gave", step.output))
        if value is not None
    ]
    if not parts:
        return None
    place = tag("p", "In the record: ", tag("code", step.key), class_="place")
    return tag("details", tag("summary", "Data"), *parts, place)


def value_block(label: str, value: Json) -> Html:
    """A value as indented JSON, or as text if it is one; a very long one is cut, and says so."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    over = len(text) - MOST_CHARS
    cut = tag("p", f"… {over:,} more characters; the record has all of it.", class_="note") if over > 0 else None
    return tag("figure", tag("figcaption", label), tag("pre", text[:MOST_CHARS]), cut)
