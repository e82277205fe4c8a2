"""What programs give."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrion.core import ERROR_TYPES, BugError, Json
from orchestrion.expressions import ExpressionError, Expressions
from orchestrion.expressions._program import facts

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions() as pool:
        yield pool


async def test_several_programs_over_the_same_variables(expressions: Expressions) -> None:
    variables: dict[str, Json] = {".": {"n": [1, 2]}, "context": {"k": "v"}, "unused": object.__name__, "__now": 12.5}
    programs = [
        ".n | add",
        "$context.k",
        "{k: $context.k, n: .n}",
        "now + 1",
        "empty",
        ".missing",
        '"\\(.n[0])-\\($context.k)"',
    ]
    assert await expressions.evaluate(programs, variables) == [3, "v", {"k": "v", "n": [1, 2]}, 13.5, None, None, "1-v"]


async def test_nothing_to_do_is_no_round_trip(expressions: Expressions) -> None:
    assert await expressions.evaluate([], {}) == []


async def test_several_results_are_an_error_that_gives_the_fix(expressions: Expressions) -> None:
    with pytest.raises(ExpressionError, match=r"Wrap it in \[ \]") as caught:
        await expressions.evaluate([".[]"], {".": [1, 2]})
    assert caught.value.code == "several-results"
    assert caught.value.problem.type == ERROR_TYPES["expression"]
    assert caught.value.problem.status == 400


async def test_now_needs_a_recorded_time(expressions: Expressions) -> None:
    with pytest.raises(BugError, match="now"):
        await expressions.evaluate(["now"], {".": None})


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (".name + 1", "string and number cannot be added"),
        (".name.first", 'Cannot index string with "first"'),
        (".name[.key]", "Cannot index string with string."),
        (".name | keys", "string has no keys"),
        (".name | tonumber", "string cannot be parsed as a number"),
        (".name[]", "Cannot iterate over string"),
        (".name | error", "left out here because they may quote data"),
        ('error("no stock")', "no stock"),
        ("error({name})", "left out here"),
        (".name | fromjson", "left out here"),
        (".pair + {}", "array and object cannot be added"),
        (".tricky | tonumber", "string cannot be parsed as a number"),
    ],
)
async def test_failures_name_the_cause_and_not_the_data(expressions: Expressions, program: str, said: str) -> None:
    data: Json = {
        "name": "Wilhelmina",
        "key": "Wilhelmina",
        "pair": ["Wilhelmina"],
        "tricky": 'a") cannot be Wilhelmina and string ("b',
    }
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate([program], {".": data})
    assert caught.value.code == "expression-failed"
    assert said in str(caught.value)
    assert "Wilhelmina" not in json.dumps(caught.value.problem.to_json())


async def test_integers_of_any_size_survive_untouched(expressions: Expressions) -> None:
    huge = 2**200 + 1
    assert await expressions.evaluate(["[.]", "{a: $b.c}"], {".": -huge, "b": {"c": huge}}) == [[-huge], {"a": huge}]
    assert await expressions.evaluate(["9007199254740993", ". + 0 | type"], {".": huge}) == [9007199254740993, "number"]


async def test_what_json_cannot_hold(expressions: Expressions) -> None:
    assert await expressions.evaluate(["nan", "[nan]"], {}) == [None, [None]]
    for program in ("infinite", "[-infinite]", "{a: 1e1000}"):
        with pytest.raises(ExpressionError, match="infinite number"):
            await expressions.evaluate([program], {})
    assert await expressions.evaluate(['"1E+999"', "1e300"], {}) == ["1E+999", 1e300]


async def test_only_what_is_named_is_sent() -> None:
    """With room for 4 kB, a program may name a small part of large variables, and not the whole of one."""
    large = {"small": 1, "deep": {"er": 2, "large": "x" * 9_000}}
    async with Expressions(workers=1, max_input_bytes=4_000) as pool:
        variables: dict[str, Json] = {".": large, "context": large, "other": large}
        assert await pool.evaluate(["$context.small + $context.deep.er * 1"], variables) == [3]
        assert await pool.evaluate(["$other.small * 1 == 1 and true"], variables) == [True]
        for program in ("$context | tojson", ". | tojson", "$context.deep | tojson"):
            with pytest.raises(ExpressionError, match="at most 4,000") as caught:
                await pool.evaluate([program], variables)
            assert caught.value.code == "expression-input-too-big"


async def test_syntax_is_checked_without_running(expressions: Expressions) -> None:
    assert await expressions.check("$context.a + (.b | length) + now", ["context"]) is None
    assert await expressions.check("repeat(.)", []) is None
    assert await expressions.check(".a", []) is None


@pytest.mark.parametrize(
    ("program", "place", "said"),
    [
        ("$kontext.a", (1, 1), "$kontext is not known here"),
        (".a +\n  $who", (2, 3), "$who is not known here"),
        ("1 +", (1, 4), "too early"),
        (".a + lenght", (1, 6), "no function 'lenght' with 0 arguments"),
        ("refund", (1, 1), "no function 'refund'"),
        ('"abc', (1, 2), "a string is not closed"),
        (".a }", (1, 4), "this character is not expected"),
        ("if .a then 1", (1, 13), "too early"),
        ("", (None, None), "empty"),
        ("$secrets.token", (None, None), "$secrets"),
    ],
)
async def test_syntax_problems_have_their_place(
    expressions: Expressions, program: str, place: tuple[int | None, int | None], said: str
) -> None:
    problem = await expressions.check(program, ["context", "input"])
    assert problem is not None
    assert (problem.line, problem.column) == place
    assert said in problem.message


async def test_an_unknown_variable_is_told_the_known_ones(expressions: Expressions) -> None:
    problem = await expressions.check("$kontext", ["input", "context"])
    assert problem
    assert problem.hint == "Known here: $context, $input."


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "", "x y"]), inner, max_size=3)
    ),
    max_leaves=8,
)
paths = st.sampled_from(
    [".", ".a", '.a["b"]', ".[0]", ".a.[1]", '.["x y"].a', '.""', ".a.b.a", "$v", "$v[2].a", "$v.b"]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, path=paths)
async def test_paths_give_what_jq_gives(expressions: Expressions, value: Json, path: str) -> None:
    """A path is walked here; in parentheses jq walks it."""
    variables = {".": value, "v": value}
    try:
        (expected,) = await expressions.evaluate([f"({path})"], variables)
    except ExpressionError:
        with pytest.raises(ExpressionError):
            await expressions.evaluate([path], variables)
        return
    (walked,) = await expressions.evaluate([path], variables)
    assert json.dumps(walked) == json.dumps(expected) or walked == expected


INPUTS: list[Json] = [{"a": 1, "x": {"b": 2}, "n": None, "context": 3}, [1, [2]], "text", 5]


@pytest.mark.parametrize(
    "program",
    [
        "$c", "$c.a", "$c.a + 1", '{k: $c.a, "l": $c["x"]}', "{$c}", "[$c.a, 1]", '"v \\($c.a)"', "if $c.a == 1 then 2 else 3 end",
        "$c.x.b // 4", "$c.a and true", "-$c.a", "$c.a?", "{a: 1, b: {c: $c.a}}", '$c."a"', "{(\"k\"): $c.a}", "[$c.x | .b]",
        "$c | length", "{a}", '{"a"}', "[.[]?]", "$c.a | not", "if $c.a then 7 end", "if $c.n then 7 end", "$c[.k]?", "length", '@json "\\(.)"', "@json",
        "..", "{a: .}", "$c.a = 5", "try error catch .", "reduce 1 as $i (.; .)", "{(.a?): 1}?", "[$c.x[]?]", "{\"a\\(1)\"}?", "not",
        "$c.x.b as $b | $b", "{a: 1, $c}", ".a? // $c.a", "input_line_number?", "{$c, a: 2}", "$c.x == {b: 2}", "[$c.x, $c.x.b]",
    ],
)  # fmt: skip
async def test_leaving_things_out_changes_no_result(expressions: Expressions, program: str) -> None:
    """Every shape is evaluated as sent, and again in a form in which nothing can be left out."""
    for value in INPUTS:
        variables: dict[str, Json] = {".": value, "c": INPUTS[0]}
        whole = f"[., $c] as $whole | {program}"
        assert facts(whole).needs_input
        outcomes: list[object] = []
        for form in (program, whole):
            try:
                outcomes.append(await expressions.evaluate([form], variables))
            except ExpressionError as error:
                outcomes.append(error.code)
        assert outcomes[0] == outcomes[1], program


@pytest.mark.parametrize("program", ["$c.a", "{k: $c.a}", '"v \\($c.a)"', "if $c.a then 1 else 2 end", "$c.a != null"])
async def test_the_input_is_left_out_where_it_can_play_no_part(program: str) -> None:
    assert not facts(program).needs_input
