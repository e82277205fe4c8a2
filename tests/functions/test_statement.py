"""Reading SQL: parameters are found where they are, and nowhere else; writes are recognised."""

import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from orchestrion.core import UserError
from orchestrion.functions._statement import read_statement


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("select :a, :b_2, :a", {"a", "b_2"}),
        ("select ':a', \":b\", `:c`, 'it''s :d' -- :e\n, :f /* :g */", {"f"}),
        ("select x::int, :y::text, a:b, '12:30'", {"y"}),
        ("select $$ :a $$, $tag$ :b $$ $tag$, :c", {"c"}),
        (r"select e'it\'s :a', :b", {"b"}),
        ("select 1 where a[1:2] = :x;  -- :done\n", {"x"}),
    ],
)
def test_parameters(source: str, names: set[str]) -> None:
    statement = read_statement(source)

    assert statement.names == names
    assert set(text(statement.text).compile().params) == names


@pytest.mark.parametrize(
    ("source", "writes"),
    [
        ("select 1", False),
        ("  -- insert\n SELECT 'delete'", False),
        ("(select 1) union select 2", False),
        ("with a as (select replace(x, 'a', 'b') from t) select * from a", False),
        ("values (1)", False),
        ("insert into t values (1)", True),
        ("/* select */ DELETE from t", True),
        ("with gone as (delete from t returning *) select * from gone", True),
        ("with n(i) as (values (1)) insert into t select i from n", True),
        ("with n(i) as (values (1)) replace into t select i from n", True),
    ],
)
def test_writing_is_recognised(source: str, writes: bool) -> None:
    assert read_statement(source).writes is writes


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("", "empty-statement"),
        ("-- nothing", "empty-statement"),
        ("select 1; delete from t", "several-statements"),
        ("select 1;;", None),
        ("select 'open", "unfinished-statement"),
        ("select 1 /* open", "unfinished-statement"),
        ("pragma query_only = off", "statement-not-supported"),
        ("attach 'x.db' as x", "statement-not-supported"),
        ("drop table t", "statement-not-supported"),
        ("commit", "statement-not-supported"),
    ],
)
def test_what_is_refused(source: str, code: str | None) -> None:
    if code is None:
        assert not read_statement(source).writes
        return
    with pytest.raises(UserError) as caught:
        read_statement(source)
    assert caught.value.code == code


@given(st.text(st.sampled_from(":a'\"\\%; -/*\n"), max_size=30))
def test_a_quoted_text_reaches_the_database_as_it_is(content: str) -> None:
    literal = content.replace("'", "''")
    statement = read_statement(f"select '{literal}', :p")
    compiled = str(text(statement.text).compile()).replace(":p", "?") if ":p" not in content else None

    assert statement.names == {"p"}
    if compiled is not None:
        connection = sqlite3.connect(":memory:")
        assert connection.execute(compiled, ["x"]).fetchone() == (content, "x")
        connection.close()


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(source: str) -> None:
    with suppress(UserError):
        assert read_statement(source).text
