"""Decision tables: read, checked as a whole, and decided."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.core import UserError
from orchestrion.tables import Table, read_table
from orchestrion.tables._analysis import Analysis  # the property below compares it with trying every value
from orchestrion.tables._condition import BadCondition, read_condition

TABLE = """hit: first
inputs:
  score: number [0..1]
  amount_cents: integer >= 0
  country: text?
outputs:
  action: text block, ask, dismiss
rules:
  - name: clear fraud
    when: { score: '>= 0.9' }
    then: { action: block }
  - when: { score: '[0.5..0.9)', country: 'not(DE, AT)', amount_cents: [0..99, '> 500'] }
    then: { action: ask }
  - then: { action: dismiss }
"""


def table(text: str, file: str = "tables/t.yaml") -> Table:
    found, findings = read_table(text, file=file, name="t")
    assert [str(each) for each in findings] == []
    assert found is not None
    return found


def findings(text: str, file: str = "tables/t.yaml") -> list[str]:
    return [str(each) for each in read_table(text, file=file, name="t")[1]]


def sheet(*lines: str) -> list[str]:
    return findings("\n".join(lines), "tables/t.csv")


@pytest.mark.parametrize(
    ("given", "action", "row"),
    [
        ({"score": 0.9, "amount_cents": 5, "country": "DE"}, "block", 1),
        ({"score": 0.6, "amount_cents": 99, "country": "FR"}, "ask", 2),
        ({"score": 0.6, "amount_cents": 501}, "ask", 2),
        ({"score": 0.6, "amount_cents": 500}, "dismiss", 3),
        ({"score": 0.6, "amount_cents": 501, "country": "AT"}, "dismiss", 3),
        ({"score": 0.6, "amount_cents": 501.0, "country": None, "more": "is not looked at"}, "ask", 2),
    ],
)
def test_the_first_row_that_matches_decides(given: dict[str, Any], action: str, row: int) -> None:
    decision = table(TABLE).decide(given)

    assert decision.result == {"action": action}
    assert [each.number for each in decision.rows] == [row]


def test_a_row_tells_which_conditions_were_met() -> None:
    (row,) = table(TABLE).decide({"score": 1, "amount_cents": 0}).rows

    assert row.to_json() == {"row": 1, "name": "clear fraud", "when": {"score": ">= 0.9"}}


def test_collect_gives_all_and_no_match_is_an_empty_list() -> None:
    found = table(
        "hit: collect\ninputs: { n: integer }\noutputs: { what: text }\nrules:\n"
        "  - { when: { n: '> 1' }, then: { what: more than one } }\n  - { when: { n: '> 2' }, then: { what: more than two } }\n"
    )

    assert found.decide({"n": 3}).result == [{"what": "more than one"}, {"what": "more than two"}]
    assert found.decide({"n": 1}).result == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"amount_cents": 1}, "score is missing"),
        ({"score": None, "amount_cents": 1}, "score must be number [0..1]"),
        ({"score": 1.5, "amount_cents": 1}, "score must be number [0..1]"),
        ({"score": True, "amount_cents": 1}, "score must be number"),
        ({"score": "0.5", "amount_cents": 1}, "score must be number"),
        ({"score": 0.5, "amount_cents": 1.5}, "amount_cents must be integer >= 0"),
    ],
)
def test_input_that_does_not_fit_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said.replace("[", r"\[")) as caught:
        table(TABLE).decide(given)
    assert caught.value.code == "bad-table-input"


def test_a_sheet_says_the_same_as_yaml() -> None:
    found = table(
        "\ufefffirst;when score: number [0..1];when country: text?;then action: text block, ask, dismiss\r\n"
        'clear fraud;>= 0.9;-;block\r\n;[0.5..0.9);"not(DE, ""A;T"")";ask\r\n\r\n;-;-;dismiss\r\n',
        "tables/t.csv",
    )

    assert found.hit == "first"
    assert found.decide({"score": 0.95}).rows[0].name == "clear fraud"
    assert found.decide({"score": 0.5, "country": "A;T"}).result == {"action": "dismiss"}
    assert found.decide({"score": 0.5, "country": "FR"}).result == {"action": "ask"}


def test_gaps_are_found_at_their_bounds() -> None:
    assert findings(TABLE.replace("  - then: { action: dismiss }\n", "")) == [
        "tables/t.yaml:9:3 error[bad-table] No row matches when score is in [0..0.5). Add a row for it, a last row with - in every "
        "column, or say what may occur after the column's type.",
        "tables/t.yaml:9:3 error[bad-table] No row matches when score is in [0.5..0.9) and amount_cents is in [0..99] or above 500 "
        "and country is 'DE' or 'AT'. Add a row for it, a last row with - in every column, or say what may occur after the "
        "column's type.",
        "tables/t.yaml:9:3 error[bad-table] No row matches when score is in [0.5..0.9) and amount_cents is in (99..500]. Add a row "
        "for it, a last row with - in every column, or say what may occur after the column's type.",
    ]


def test_overlaps_are_found_with_their_cell() -> None:
    assert sheet("unique,when n: integer,then x: integer", ",<= 5,1", "late,[5..9],2", ",> 9,3") == [
        "tables/t.csv:3:6 error[bad-table] Row 2 matches what row 1 matches: when n is 5. With `unique` one row at most may match. "
        "Narrow one of them, or say `first`."
    ]
    assert sheet("unique,when n: integer,then x: integer", ",< 5,1", ",[5..9],2", ",> 9,3") == []


def test_whole_numbers_leave_no_gap_between_neighbours() -> None:
    rows = (",<= 5,1", ",>= 6,2")

    assert sheet("unique,when n: integer,then x: integer", *rows) == []
    assert "No row matches when n is in (5..6)." in sheet("unique,when n: number,then x: integer", *rows)[0]


def test_rows_that_are_never_reached_are_found() -> None:
    told = sheet("first,when a: boolean,when n: integer,then x: text", ",true,-,p", ",-,< 5,q", ",true,> 7,r", ",-,-,s")

    assert told == [
        "tables/t.csv:4:2 error[bad-table] Row 3 is never reached: the rows before it match all that it matches. Remove it, or move "
        "it up."
    ]


def test_a_misspelt_word_is_found() -> None:
    told = sheet('first,"when v: text fraud, harmless",then x: boolean', ",frod,true", ",-,false")

    assert told == [
        "tables/t.csv:2:2 error[bad-table] Nothing that may occur fulfils 'frod': v is text fraud, harmless."
    ]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["any,when n: integer,then x: text"], ":1:1 error[bad-table] The first cell does not say how many"),
        (["first,n,then x: text"], ":1:7 error[bad-table] 'n' names no column"),
        (["first,when n: integer,then n: text"], ":1:23 error[bad-table] There is a column 'n' already"),
        (["first,when n: whole,then x: text", ",-,y"], ":1:7 error[bad-table] 'whole' is no type of a column"),
        (
            ["first,when n: integer,then x: text", ",1,2,y"],
            ":2:1 error[bad-table] This row has 4 cells; the first has 3",
        ),
        (["first,when n: integer,then x: text", ',">= a",y', ",-,z"], ":2:2 error[bad-table] '>= a' is no condition"),
        (["first,when n: integer,then x: text", ",,y", ",-,z"], ":2:2 error[bad-table] The cell is empty. Write -"),
        (["first,when n: integer,then x: text", ",-,"], ":2:4 error[bad-table] The output 'x' is missing"),
        (["first,when n: integer,then x: integer", ",-,1.5"], ":2:4 error[bad-table] '1.5' is not a whole number"),
        (['first,when n: integer,"then x: text a, b"', ",-,c"], ":2:4 error[bad-table] 'c' is not among a, b"),
        (["first,when n: integer,then x: text"], ":1:1 error[bad-table] List should have at least 1 item"),
    ],
)
def test_mistakes_are_named_at_their_cell(lines: list[str], said: str) -> None:
    assert said in sheet(*lines)[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("hit: first", "hit: best", "t.yaml:1:6 error[bad-table] Input should be 'unique', 'first' or 'collect'"),
        ("hit: first", "hits: first", "t.yaml:1:7 error[bad-table] 'hits' is not known here. Known here: hit"),
        ("score: '>= 0.9'", "scores: '>= 0.9'", "t.yaml:10:21 error[bad-table] There is no column 'scores'"),
        (
            "{ action: block }",
            "{ action: stop }",
            "t.yaml:11:21 error[bad-table] 'stop' is not among block, ask, dismiss",
        ),
        ("{ action: block }", "{}", "t.yaml:11:11 error[bad-table] The output 'action' is missing"),
        ("    then: { action: block }\n", "", "t.yaml:9:5 error[bad-table] `then` is missing. Add `then:`"),
    ],
)
def test_mistakes_in_yaml_are_named_at_their_place(old: str, new: str, said: str) -> None:
    assert said in findings(TABLE.replace(old, new))[0]


@pytest.mark.parametrize("text", ["[5..1]", "[1..2", "(1..1)", "1,,2", 'a"b', "5 apples", "not(", "-, 5", "nul"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BadCondition):
        read_condition(text, "text" if '"' in text else "number")


def test_what_is_too_large_to_be_looked_through_is_said_and_used() -> None:
    names = [f"c{number}" for number in range(24)]
    header = ",".join(["first", *(f"when {name}: boolean" for name in names), "then x: boolean"])
    rows = [
        ",".join(["", *("true" if at in (one, two) else "-" for at in range(24)), "true"])
        for one in range(24)
        for two in range(one)
    ]

    assert ["warning[bad-table] The table has too many combinations" in each for each in sheet(header, *rows)] == [True]


_CELLS = st.sampled_from(["-", "0", "< 1", ">= 1", "[0..2)", "(0..2]", "not(1)", "0, 2"])
_WORDS = st.sampled_from(["-", "a", "b", "a, b", "not(a)"])


@settings(max_examples=200)
@given(st.lists(st.tuples(_CELLS, _WORDS, _CELLS), min_size=1, max_size=4))
def test_the_analysis_agrees_with_trying_every_value(cells: list[tuple[str, str, str]]) -> None:
    rules = "".join(
        f"  - {{ when: {{ n: '{number}', w: '{word}', m: '{other}' }}, then: {{ x: true }} }}\n"
        for number, word, other in cells
    )
    text = f"hit: collect\ninputs: {{ n: 'integer [-1..3]', w: 'text a, b, c', m: 'integer [-1..3]' }}\noutputs: {{ x: boolean }}\nrules:\n{rules}"
    found = table(text)
    every = [{"n": n, "w": w, "m": m} for n in range(-1, 4) for w in "abc" for m in range(-1, 4)]
    matched = [{row.number for row in found.rows if row.holds(values)} for values in every]
    analysis = Analysis(found.inputs, found.rows)

    assert bool(list(analysis.gaps())) == any(not numbers for numbers in matched)
    pairs = {(a, b) for numbers in matched for a in numbers for b in numbers if a < b}
    assert {(one.number, two.number) for one, two, _ in analysis.overlaps()} == pairs
    firsts = {min(numbers) for numbers in matched if numbers}
    assert {row.number for row in analysis.unreached()} == {row.number for row in found.rows} - firsts
