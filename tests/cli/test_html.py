"""The page: self-contained, inert whatever customers write, and understandable."""

import base64
import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Protocol

import pytest

from orchestrion.cli._evaluate import inert
from orchestrion.cli._html import page
from orchestrion.cli._markup import Html, stylesheet, tag
from orchestrion.cli._step import Step, Story
from orchestrion.cli._story import story
from orchestrion.cli._waterfall import Scale
from orchestrion.core import Entry, Json, Request, Run, dump
from orchestrion.spec import Document
from orchestrion.testing import run_command

EVIL = (
    "</script></pre></style><img src=x onerror=alert(1)><script>alert(2)</script>\" onload='alert(3)' \u202e\x00&amp;"
)


class Played(Protocol):
    run: Run
    entries: Sequence[Entry]
    requests: Sequence[Request]
    document: Document
    story: Story


Plays = Mapping[str, Played]


class Parsed(HTMLParser):
    """What a browser would make of the page: elements with attributes, and text."""

    void = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "every element ends where it should"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def parsed(each: Played) -> Parsed:
    return Parsed(page(each.story, each.run, each.entries))


def test_pages_are_well_formed_and_need_nothing_else(played: Plays) -> None:
    allowed = {"charset", "http-equiv", "content", "name", "class", "id", "href", "role", "aria-label", "lang"}
    allowed |= {"x1", "x2", "y1", "y2"}
    for each in played.values():
        found = parsed(each)
        assert found.open == []
        names = {name for name, _ in found.elements}
        assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "audio", "video"}
        attributes = {name for _, given in found.elements for name in given}
        assert attributes <= allowed, "no style, no handler, nothing that loads"
        assert all((given.get("href") or "#").startswith("#") for _, given in found.elements)
        assert "url(" not in page(each.story, each.run, each.entries)
        assert "@import" not in page(each.story, each.run, each.entries)


def test_links_lead_to_cards(played: Plays) -> None:
    for each in played.values():
        found = parsed(each)
        ids = [given["id"] for _, given in found.elements if "id" in given]
        assert len(ids) == len(set(ids))
        links = {(given["href"] or "")[1:] for name, given in found.elements if name == "a"}
        assert links or each is played["raising"], "only a run of nothing but choices has no bars"
        assert links <= set(ids)


def test_the_policy_of_the_page_allows_its_own_style_and_nothing_more(played: Plays) -> None:
    text = page(played["paid"].story, played["paid"].run, played["paid"].entries)
    [given] = [given for _, given in parsed(played["paid"]).elements if given.get("http-equiv")]
    css = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert given["content"] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
    assert "max-width: 40rem" in css


def _poisoned(value: Json) -> Json:
    match value:
        case str():
            return value + EVIL
        case Mapping():
            return {**{name: _poisoned(member) for name, member in value.items()}, EVIL: EVIL}
        case None | bool() | int() | float():
            return value
        case _:
            return [_poisoned(member) for member in value]


def test_customer_text_is_inert(played: Plays) -> None:
    each = played["waiting"]
    poisoned = [
        replace(
            entry, input=_poisoned(entry.input) if entry.kind == "leaf" else entry.input, output=_poisoned(entry.output)
        )
        for entry in each.entries
    ]
    run = replace(each.run, input={"message": EVIL}, workflow=EVIL, subject=f"User::{EVIL}")
    clean = parsed(each)
    text = page(story(run, poisoned, each.requests, each.document), run, poisoned)
    found = Parsed(text)
    assert {name for name, _ in found.elements} <= {name for name, _ in clean.elements}
    assert {name for _, given in found.elements for name in given} <= {
        name for _, given in clean.elements for name in given
    }
    assert found.text.count("<img src=x onerror=alert(1)>") > 5, "it is there to be read"
    assert "<img" not in text
    assert "\u202e" not in text
    assert "\x00" not in text


def test_a_manager_reads_what_came_in_and_what_became_of_it(played: Plays) -> None:
    text = parsed(played["waiting"]).text
    for words in (
        "Customer triage … waiting",
        "What came in I was charged twice for my hotel",
        "What became of it It waits for support-lead to approve refund 250.00",
        "What is needed now Support-lead is asked to approve refund 250.00.",
        "orchestrion approvals approve ",
        'Why Because .label == "billing"; went on with billingDesk',
        "Routing Router support-intents is 93 % sure of billing",
        "Rule By the bank's own rules it owes this back.",
        "Policy Refunds above 100.00 euros are paid when a support lead approves them.",
    ):
        assert words in text


def test_the_choices_that_made_the_run_stand_at_the_top(played: Plays) -> None:
    top = parsed(played["denied"]).text.partition("How the time went")[0]
    assert "What was decided Router support-intents is 93 % sure of billing" in top
    assert "Refund 900.00 was refused: Policy 'refund-cap-500' forbids it: The service desk pays back" in top
    assert "Refund 250.00 was approved by ana" in parsed(played["approved"]).text
    assert "Bo answered: Ask person" in parsed(played["answered"]).text
    assert "What was decided" not in parsed(played["failing"]).text


def test_problems_stand_open_with_their_hint(played: Plays) -> None:
    found = parsed(played["failing"])
    assert "Why it stopped Bank away The bank does not answer. What to do: Try again later. bank-away" in re.sub(
        r" +", " ", found.text
    )
    assert "details" not in found.open
    assert "What is needed now" not in found.text


def test_statuses_stand_in_words_with_their_signs(played: Plays) -> None:
    assert "⊘ denied" in parsed(played["denied"]).text
    assert "! interrupted" in parsed(played["interrupted"]).text
    assert "– skipped" in parsed(played["paid"]).text
    assert "□ abandoned" in parsed(played["shapes"]).text


def test_large_values_and_long_records_are_cut_and_say_so(played: Plays) -> None:
    each = played["failing"]
    step = Step(key="/do/0/x#1", name="x", title="X", kind="call", status="done", output="é" * 50_000)
    many = [replace(each.entries[0], key=f"/do/0/x#{number}") for number in range(3_000)]
    text = page(replace(each.story, steps=(step,)), each.run, many)
    assert "30,000 more characters" in text
    assert "The record: 3,000 entries" in text
    assert len(text) < 600_000


def test_a_scale_is_even_unless_one_wait_would_crush_the_rest() -> None:
    even = Scale.of([0.0, 1.0, 2.0, 4.0])
    assert even.even
    assert [even.place(at) for at in (-1.0, 0.0, 1.0, 2.0, 4.0, 9.0)] == [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    waited = Scale.of([0.0, 1.0, 2.0, 100_000.0])
    assert not waited.even
    assert waited.place(1.0) > 0.01
    assert waited.place(0.0) < waited.place(1.0) < waited.place(2.0) < waited.place(50_000.0) < waited.place(100_000.0)
    assert Scale.of([5.0]).place(5.0) in (0.0, 1.0)


def test_markup_escapes_text_and_attributes() -> None:
    made = tag("p", 'a < b & "c"', tag("b", "d"), None, class_='x"><i>', aria_label=None)
    assert made == Html('<p class="x&quot;&gt;&lt;i&gt;">a &lt; b &amp; &quot;c&quot;<b>d</b></p>')
    with pytest.raises(ValueError, match="end tag"):
        stylesheet("</style>")


# --- evaluations ---

ECHO = "document: { dsl: 1.0.3, namespace: test, name: echo, version: 1.0.0 }\ndo:\n  - say: { set: { reply: '${ .text }' } }\n"
SCORERS = """
workflow: echo
cases: [{ file: cases.jsonl }]
scorers:
  kind: { exact: { at: /reply, truth: reply }, gate: { at_least: 0.9 } }
  polite: { contains: { at: /reply, value: please } }
  pace: { latency: {} }
"""


def write_evaluation(folder: Path, texts: Sequence[str]) -> None:
    """Each text is given back as it is; right is the same text, once it says please."""
    rows = [dump({"text": text, "reply": f"{text} please"}) for text in texts]
    for name, text in {
        "orchestrion.yaml": "batches: { echo: { map: { text: text } } }\n",
        "workflows/echo.yaml": ECHO,
        "evaluations/manners.yaml": SCORERS,
        "cases.jsonl": "".join(f"{row}\n" for row in rows),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def evaluated(folder: Path, *arguments: str) -> tuple[str, Parsed]:
    """The page of the project's evaluation."""
    file = folder / "sent" / "manners.html"
    result = run_command("evaluate", "--project", str(folder), "--html", str(file), *arguments)
    assert (result.code, str(file) in result.err) == (1, True), result
    text = file.read_text(encoding="utf-8")
    return text, Parsed(text)


def test_an_evaluation_is_a_page_with_wrong_cases_and_intervals(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ["hello", "bye"])
    _, found = evaluated(tmp_path)
    assert found.open == []
    for words in (
        "manners ✗ below the gate",
        "kind is below the gate: at_least 0.9: it is 0",
        "✗ kind exact 0.0% 0.0% to 65.8% 2",
        "What is wrong: 2 cases of 2",
        "1 cases.jsonl:1 completed after",
        'Input { "text": "hello" } Expected { "kind": "hello please", "polite": "please" } Got { "reply": "hello" }',
    ):
        assert words in found.text
    bars = [given["aria-label"] for name, given in found.elements if name == "svg"]
    assert bars[:2] == ["kind: 0.0%, 0.0% to 65.8%", "polite: 0.0%, 0.0% to 65.8%"]
    drawn = [given["x1"] for name, given in found.elements if name == "line"][:3]
    assert drawn == ["86.80%", "4.00%", "4.00%"], "what the gate asks for, the interval and the value"


def test_an_evaluation_is_rows_for_a_spreadsheet(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ["hello", '=HYPERLINK("x")'])
    file = tmp_path / "rows.csv"
    assert run_command("evaluate", "--project", str(tmp_path), "--csv", str(file)).code == 1
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    assert [(row["case"], row["scorer"], row["value"]) for row in rows][:2] == [
        ("cases.jsonl:1", "kind", "0.0"),
        ("cases.jsonl:1", "polite", "0.0"),
    ]
    assert len(rows) == 6, "three scorers, two cases"
    assert [inert(text) for text in ("=1+1", "+1", "-1", "@sum", "\t=1", "plain", "")] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@sum",
        "'\t=1",
        "plain",
        "",
    ]


def test_an_evaluation_beside_another_shows_what_got_worse_first(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ["hello", "bye"])
    flow, file = tmp_path / "workflows/echo.yaml", tmp_path / "evaluations/manners.yaml"
    flow.write_text(ECHO.replace(".text", '.text | if . == "bye" then "bye please" else . end'))
    assert run_command("deploy", "echo", "--project", str(tmp_path)).code == 0
    flow.write_text(ECHO)
    file.write_text(SCORERS.replace("  polite:", "  sure:"))
    _, found = evaluated(tmp_path, "--against", "production")
    assert "1 cases.jsonl:2 right in the other version" in found.text
    assert "2 cases.jsonl:1 completed" in found.text
    assert "-50.0%" in found.text
    assert "kind, difference" in " ".join(given.get("aria-label") or "" for _, given in found.elements)


def test_cases_of_an_evaluation_are_inert(tmp_path: Path) -> None:
    write_evaluation(tmp_path, ["hello"])
    _, clean = evaluated(tmp_path)
    write_evaluation(tmp_path, [EVIL])
    text, found = evaluated(tmp_path)
    assert {name for name, _ in found.elements} == {name for name, _ in clean.elements}
    assert {name for _, given in found.elements for name in given} == {
        name for _, given in clean.elements for name in given
    }
    assert "<img src=x onerror=alert(1)>" in found.text, "it is there to be read"
    assert not {"<img", "\u202e", "\x00", "url(", "@import"} & set(re.findall(r"<img|\u202e|\x00|url\(|@import", text))


def test_many_wrong_cases_are_cut_and_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    write_evaluation(tmp_path, [f"text {number}" for number in range(203)])
    _, found = evaluated(tmp_path)
    assert "and 3 more: orchestrion evaluate manners --json lists all." in found.text
    assert "200 cases.jsonl:200" in found.text
    assert "201 cases.jsonl:201" not in found.text
    result = run_command(
        "evaluate", "--project", str(tmp_path), "--html", str(tmp_path / "orchestrion.yaml" / "a.html")
    )
    assert (result.code, "unwritable-file" in result.said) == (2, True)
