"""What is evaluated without jq is what jq gives: random programs over random values, one beside the other."""

from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrion.core import Json
from orchestrion.expressions import ExpressionError, Expressions
from orchestrion.expressions._native import native

pytestmark = pytest.mark.anyio

NAMES: list[str] = ["a", "b", "label", "first name"]
TEXTS = st.sampled_from(["", "billing", "ä", "\U0001f600", "a\u2028b", "10", "9"])
NUMBERS = st.sampled_from([0, 1, -1, 2, 10, 2**53, 2**53 + 1, 10**30, 0.5, 1.5, -0.0, 1e300]) | st.integers(-3, 3)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    [
        ".",
        ".a",
        ".a.b",
        '."first name"',
        '.["label"]',
        ".a[0]",
        ".a[1].b",
        "$context",
        "$context.a",
        "$context.label",
        "$context[.label]",
        "$context.a[.b]",
        "$item",
        "$item[2]",
        ".a?",
        ".[]",
        ".[-1]",
        ".a[0:1]",
    ]
)
LITERALS = st.sampled_from(
    ["null", "true", "false", "0", "1", "2", "9007199254740993", "1.5", '""', '"billing"', '"\\u00e4"', '"a\\nb"']
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "and", "or", "//", "|", ","])
    return st.one_of(
        st.builds("{} {} {}".format, inner, operators, inner),
        st.builds("({})".format, inner),
        st.builds("({}).a".format, inner),
        st.builds("[{}]".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{ a: {}, label, $item }}".format, inner),
        st.builds('{{ "first name": ({}), b: {} }}'.format, inner, inner),
        st.builds("$context + {{ label: {} }}".format, inner),
        st.builds("if {} then {} else {} end".format, inner, inner, inner),
        st.builds("if {} then {} elif . then {} end".format, inner, inner, inner),
        st.builds('"x\\({})y\\({})"'.format, inner, inner),
        st.builds("{} | length".format, inner),
        st.builds("{} | not".format, inner),
        st.builds("{} # {}\n".format, inner, st.just("why")),
    )


PROGRAMS = st.recursive(PATHS | LITERALS, _larger, max_leaves=5)
VARIABLES = st.fixed_dictionaries({".": VALUES, "context": VALUES, "item": VALUES})
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
BY_JQ = "label $jq | "
"""Before a program, it changes nothing and is more than the native evaluation knows."""


@pytest.fixture(scope="module")
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions() as pool:
        yield pool


async def by_jq(expressions: Expressions, program: str, variables: Mapping[str, Json]) -> Json:
    assert native(BY_JQ + program, variables) is None
    return (await expressions.evaluate([BY_JQ + program], variables))[0]


def kinds(value: Json) -> object:
    """A value with its types: 1, 1.0 and true are equal in Python and are not the same JSON."""
    match value:
        case Mapping():
            return {name: kinds(inner) for name, inner in value.items()}
        case list():
            return [kinds(inner) for inner in value]
        case _:
            return type(value), value


@settings(max_examples=600, deadline=None, suppress_health_check=SHARED)
@given(program=PROGRAMS, variables=VARIABLES)
async def test_it_agrees_with_jq(expressions: Expressions, program: str, variables: dict[str, Json]) -> None:
    found = native(program, variables)
    if found is None:
        return
    try:
        expected = await by_jq(expressions, program, variables)
    except ExpressionError as error:
        raise AssertionError(f"jq refuses {program!r} over {variables!r}: {error}") from None
    assert kinds(found[0]) == kinds(expected), (program, variables)


@pytest.mark.soak
@settings(max_examples=30_000, deadline=None, suppress_health_check=SHARED)
@given(program=PROGRAMS, variables=VARIABLES)
async def test_it_agrees_with_jq_for_long(expressions: Expressions, program: str, variables: dict[str, Json]) -> None:
    found = native(program, variables)
    if found is not None:
        assert kinds(found[0]) == kinds(await by_jq(expressions, program, variables)), (program, variables)


COMMON: list[tuple[str, Json]] = [
    ('.label == "billing"', True),
    ("$context + { route: . }", {"customer": {"language": "de"}, "de": "Hallo", "route": {"label": "billing", "n": 3}}),
    ("$context.reply // $context[$context.customer.language]", "Hallo"),
    (".n < 1 or .n > 2", True),
    ('"refund-\\(.n)-\\(.label)"', "refund-3-billing"),
    ("{ label, count: (.n + 1), who: $context.customer }", {"label": "billing", "count": 4, "who": {"language": "de"}}),
    ("($context.customer | length) == 1", True),
    ('if .n > 2 then "many" else "few" end', "many"),
    ('$context.receipt != null and .label != ""', False),
]


@pytest.mark.parametrize(("program", "expected"), COMMON)
def test_what_workflows_say_most_needs_no_jq(program: str, expected: Json) -> None:
    variables: dict[str, Json] = {
        ".": {"label": "billing", "n": 3},
        "context": {"customer": {"language": "de"}, "de": "Hallo"},
    }
    assert native(program, variables) == (expected,)


@pytest.mark.parametrize(
    "program",
    [
        '.label == "billing',
        "(.n",
        ".n +",
        "{ a: 1 b: 2 }",
        ".n + 1.5",
        "map(.a)",
        ".. | .a",
        "$unknown",
        '"\\(.n"',
        "1 < 2 < 3",
    ],
)
def test_what_is_more_or_wrong_is_left_to_jq(program: str) -> None:
    assert native(program, {".": {"n": 3}}) is None
