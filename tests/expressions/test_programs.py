"""What can be told about a program from its text."""

import pytest

from orchestrion.core import Json, UserError
from orchestrion.expressions import expand_uri, is_simple_path, mentions_now, strip, variables_of


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("${ .a }", ".a"),
        ("  ${.a}\n", ".a"),
        ("${ { a: 1 } }", "{ a: 1 }"),
        ("${ .a\n | .b }", ".a\n | .b"),
        ("${}", ""),
        ("Hello ${ .a }", None),
        ("${ .a } there", None),
        (".a", None),
        ("$ { .a }", None),
    ],
)
def test_only_a_whole_string_is_an_expression(text: str, program: str | None) -> None:
    assert strip(text) == program


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("$context.a + $input", {"context", "input"}),
        ('"costs $five" # $comment', set[str]()),
        ('"it is \\($context.x + "\\($deep)") $not"', {"context", "deep"}),
        ('"a \\" $no"', set[str]()),
        ('"\\\\" + $yes', {"yes"}),
        (". as $x | $x", {"x"}),
        ("{$task}", {"task"}),
        ("1 # a \\\n$still_comment\n| $code", {"code"}),
        ('"unclosed \\( $x', {"x"}),
        ("$", set[str]()),
    ],
)
def test_variables_are_found_where_code_is(program: str, names: set[str]) -> None:
    assert variables_of(program) == names


@pytest.mark.parametrize(
    "program", ["now", "now - .at", '"\\(now)"', "{a: now}", "{(now): 1}", "if now then 1 end", "[1,now]"]
)
def test_now_is_seen(program: str) -> None:
    assert mentions_now(program)


@pytest.mark.parametrize(
    "program", [".now", "{now: 1}", '"now"', "$now", "# now", "{a: 1, now: 2}", ".a.now", "knower", "{now}"]
)
def test_now_as_a_word_is_not_the_time(program: str) -> None:
    assert not mentions_now(program)


@pytest.mark.parametrize(
    ("program", "path"),
    [
        (".", (".", "")),
        (" .a.b ", (".", "/a/b")),
        ("$context", ("context", "")),
        ('$context.x["y"]', ("context", "/x/y")),
        ('."a b".c', (".", "/a b/c")),
        (".[0].a", (".", "/0/a")),
        ('.["a/b~c"]', (".", "/a~1b~0c")),
        (".a.[3]", (".", "/a/3")),
        ("$x.a # why", ("x", "/a")),
    ],
)
def test_paths_are_recognised(program: str, path: tuple[str, str]) -> None:
    assert is_simple_path(program) == path


@pytest.mark.parametrize(
    "program",
    [
        "", "..", ".a?", ".a | .b", ".[]", ".[-1]", ".[1:2]", '.["a\\(1)"]', ".a, .b", "a", "$x | .a", ".a + 1", "(.a)", "-.a",
        '"a"', "1", ".a.", ".[0", ".[.a]", "{a}", ".[1.5]", ".[99999999999]", '.["\\ud800"]', "now", ".. .a",
    ],
)  # fmt: skip
def test_anything_else_is_no_path(program: str) -> None:
    assert is_simple_path(program) is None


VARIABLES: dict[str, Json] = {
    "var": "value", "hello": "Hello World!", "path": "/foo/bar", "empty": "", "x": "1024", "y": 768, "list": ["red", "green"],
    "keys": {"semi": ";", "dot": "."}, "flag": True, "nothing": None, "none": [], "half": "50%", "name": "Zoë",
}  # fmt: skip


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("https://h/pet/{x}", "https://h/pet/1024"),
        ("{hello}", "Hello%20World%21"),
        ("{half}", "50%25"),
        ("{name}", "Zo%C3%AB"),
        ("{path}", "%2Ffoo%2Fbar"),
        ("{+path}/here", "/foo/bar/here"),
        ("{+half}", "50%25"),
        ("{#hello}", "#Hello%20World!"),
        ("{x,y}", "1024,768"),
        ("{var:3}", "val"),
        ("{list}", "red,green"),
        ("{/list*}", "/red/green"),
        ("{.list*}", ".red.green"),
        ("{;x,empty}", ";x=1024;empty"),
        ("/a{?x,empty}", "/a?x=1024&empty="),
        ("/a?fixed=1{&x}", "/a?fixed=1&x=1024"),
        ("{?list*}", "?list=red&list=green"),
        ("{?keys*}", "?semi=%3B&dot=."),
        ("{?keys}", "?keys=semi,%3B,dot,."),
        ("{?x,nothing,absent}", "?x=1024"),
        ("/a{?nothing,none}", "/a"),
        ("{flag}", "true"),
    ],
)
def test_templates_expand_as_rfc_6570_says(template: str, uri: str) -> None:
    assert expand_uri(template, VARIABLES) == uri


def test_a_path_with_a_hole_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs 'petId'.*The input holds: status"):
        expand_uri("https://h/pet/{petId}", {"status": "sold"})


def test_what_is_not_a_template_expression_is_refused() -> None:
    with pytest.raises(UserError, match="not a template expression"):
        expand_uri("https://h/{pet id}", {})
