"""An evaluation as one page that needs nothing else: what was measured, and every case that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrion import __version__
from orchestrion.app import Evaluated
from orchestrion.core import Json
from orchestrion.oversight import Case, Observation, Row, Scorer, truth_of
from orchestrion.registry import short

from ._cards import value_block
from ._interval_bars import bar, difference_bar
from ._markup import Html, joined, tag
from ._measured import agreement_of, count_of, difference_of, interval_of, value_of
from ._page import whole_page
from ._phrases import counted, lasting, listed, mapping, moment

_MOST_CASES, _MOST_SET_ASIDE = 200, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrong:
    """A case that some scorers call wrong."""

    case: Case
    seen: Observation
    why: Mapping[str, str]
    """Scorer → why."""
    lost: bool
    """One of these scorers calls it right with the other version."""


def evaluation_page(found: Evaluated, now: float) -> str:
    """The whole evaluation as HTML. Inputs are shown as they are, personal data included."""
    title = found.file.evaluation.title or found.file.name
    return whole_page(
        f"{title}: {_verdict(found)}",
        _head(found, title),
        _measured(found),
        _wrong(found),
        _set_aside(found.gathered.set_aside),
        _foot(found, now),
    )


def _verdict(found: Evaluated) -> str:
    if found.passed:
        return "passed" if any(_is_gated(each) for each in found.file.evaluation.scorers.values()) else "no gate"
    return "below the gate"


def _head(found: Evaluated, title: str) -> Html:
    sign, colour = ("✓", "done") if found.passed else ("✗", "failed")
    figures = [("Version", short(found.bundle.digest))]
    if found.against is not None:
        figures.append(("Against", short(found.against.digest)))
    figures.append(("Cases", f"{len(found.gathered.cases):,}"))
    if found.gathered.set_aside:
        figures.append(("Set aside", f"{len(found.gathered.set_aside):,}"))
    return tag(
        "header",
        tag("p", f"{found.bundle.workflow}, evaluation {found.file.name}", class_="eyebrow"),
        tag("h1", title, " ", tag("span", f"{sign} {_verdict(found)}", class_=f"pill {colour}")),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in figures), class_="figures"),
        class_="top",
    )


# --- what was measured ---


def _measured(found: Evaluated) -> Html:
    names = ["Scorer", "Value", "95 % interval", "Cases"]
    if found.against is not None:
        names += ["Difference", "Better, worse"]
    scorers = found.file.evaluation.scorers
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", name) for name in names))),
        tag("tbody", *(_row(row, scorers[row.name], compared=found.against is not None) for row in found.rows)),
        class_="measured",
    )
    failures = [f"{row.name} is below the gate: {failure}" for row in found.rows for failure in row.failures]
    notes = [agreement_of(row, row.agreement) for row in found.rows if row.agreement is not None]
    key = "The dot is the value, the line its interval of 95 %, an upright line what the gate asks for"
    if found.against is not None:
        key += (
            f"; paler below, version {short(found.against.digest)}. A difference right of the middle is more than that"
        )
    return tag(
        "section",
        tag("h2", "What was measured"),
        tag("ul", *(tag("li", failure) for failure in failures), class_="below") if failures else None,
        tag("div", table, class_="wide"),
        *(tag("p", f"{note}.", class_="note") for note in notes),
        tag("p", f"{key}.", class_="note"),
    )


def _row(row: Row, scorer: Scorer, *, compared: bool) -> Html:
    tone = "failed" if row.failures else "done" if _is_gated(scorer) else "running"
    cells = [
        tag("td", tag("strong", f"{'✗ ' if row.failures else ''}{row.name}"), tag("p", row.kind, class_="note")),
        tag("td", value_of(row), class_="number"),
        tag("td", bar(row, _levels(scorer), tone), tag("p", interval_of(row.estimate, row)), class_="span"),
        tag("td", count_of(row), class_="number"),
    ]
    if compared:
        cells += [
            tag("td", difference_bar(row), tag("p", difference_of(row)), class_="span"),
            tag("td", f"{row.gained:,}, {row.lost:,}", class_="number"),
        ]
    return tag("tr", *cells)


def _is_gated(scorer: Scorer) -> bool:
    return bool(scorer.gate.model_dump(exclude_none=True))


def _levels(scorer: Scorer) -> Sequence[float]:
    """What the gate asks of the value or its interval."""
    gate = scorer.gate
    asked = (gate.at_least, gate.at_most, gate.surely_at_least, gate.surely_at_most)
    return [level for level in asked if level is not None]


# --- what is wrong ---


def _wrong(found: Evaluated) -> Html:
    cases = sorted(_wrong_cases(found), key=lambda each: not each.lost)
    if not cases:
        return tag("section", tag("h2", "What is wrong"), tag("p", "No case is wrong."))
    heading = f"What is wrong: {counted(len(cases), 'case')} of {len(found.gathered.cases):,}"
    over = len(cases) - _MOST_CASES
    more = f"and {over:,} more: orchestrion evaluate {found.file.name} --json lists all." if over > 0 else None
    shown = (tag("li", _card(each, number, found)) for number, each in enumerate(cases[:_MOST_CASES], start=1))
    return tag(
        "section",
        tag("h2", heading),
        tag("ol", *shown, class_="cards"),
        tag("p", more, class_="more") if more else None,
    )


def _wrong_cases(found: Evaluated) -> Iterator[_Wrong]:
    shares = [row.name for row in found.rows if row.is_share]
    for number, (case, seen) in enumerate(zip(found.gathered.cases, found.seen, strict=True)):
        why = {name: found.scores[name][number].why for name in shares if found.scores[name][number].value == 0}
        if why:
            lost = found.theirs is not None and any(found.theirs[name][number].value == 1 for name in why)
            yield _Wrong(case=case, seen=seen, why=why, lost=lost)


def _card(wrong: _Wrong, number: int, found: Evaluated) -> Html:
    seen = wrong.seen
    lost = tag("span", "right in the other version", class_="pill failed") if wrong.lost else None
    facts = [f"{seen.status} after {lasting(seen.seconds)}"]
    if seen.calls:
        facts.append(f"called {listed([call.name for call in seen.calls])}")
    detail = mapping(seen.problem).get("detail")
    return tag(
        "article",
        tag("header", tag("span", str(number), class_="number"), tag("h3", wrong.case.name), lost),
        tag("p", " · ".join(facts), class_="facts"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", why)) for name, why in wrong.why.items()), class_="why"),
        tag("p", str(detail), class_="facts") if detail else None,
        tag("div", _sides(wrong, found.file.evaluation.scorers), class_="sides"),
        class_="card",
    )


def _sides(wrong: _Wrong, scorers: Mapping[str, Scorer]) -> Html:
    expected = {name: right for name in wrong.why for right in _expected(scorers[name], wrong.case)}
    got = wrong.seen.output
    if got is None and wrong.seen.status != "completed":
        got = f"Nothing: it is {wrong.seen.status}."
    return joined(
        value_block("Input", wrong.case.input),
        value_block("Expected", expected) if expected else None,
        value_block("Got", got),
    )


def _expected(scorer: Scorer, case: Case) -> Iterator[Json]:
    """What the case says is right, or the scorer says of all cases; nothing for a function of a package."""
    for pointer, truth in scorer.truths:
        if pointer == f"/{scorer.kind}/truth":
            yield truth_of(case, truth)
            return
    if scorer.judge is not None:
        yield list(scorer.judge.good)
    elif scorer.python is None:
        settled = mapping(scorer.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"gate"}))
        (asked,) = settled.values()
        yield mapping(asked).get("value", asked)


# --- the rest ---


def _set_aside(lines: Sequence[str]) -> Html | None:
    if not lines:
        return None
    over = len(lines) - _MOST_SET_ASIDE
    return tag(
        "section",
        tag(
            "details",
            tag("summary", f"Set aside: {counted(len(lines), 'row')} that can be no case"),
            tag("ul", *(tag("li", line) for line in lines[:_MOST_SET_ASIDE])),
            tag("p", f"and {over:,} more", class_="more") if over > 0 else None,
        ),
        class_="ends",
    )


def _foot(found: Evaluated, now: float) -> Html:
    facts = [f"Version {found.bundle.digest}"]
    if found.against is not None:
        facts.append(f"against {found.against.digest}")
    return tag(
        "footer",
        tag("p", " · ".join(facts)),
        tag(
            "p",
            f"Made by Orchestrion {__version__} on {moment(now, 'UTC')}. It shows inputs as they are, personal data included.",
        ),
    )
