"""Attacks on the evaluator, and what it withstands."""

import asyncio
import importlib.util
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrion.core import Json
from orchestrion.expressions import ExpressionError, Expressions
from orchestrion.expressions import _worker as worker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def expressions() -> AsyncIterator[Expressions]:
    async with Expressions(deadline_s=0.3, memory_mb=192, max_result_bytes=200_000) as pool:
        yield pool


def _compile() -> worker.Compile:
    spec = importlib.util.find_spec("jq")
    assert spec
    assert spec.origin
    return worker.load(spec.origin)


REFUSED = [
    "env", "$ENV", "env.PATH", "$ENV.PATH", "input", "[inputs]", "debug", 'debug("x")', "stderr", "halt", "halt_error",
    "halt_error(1)", "input_filename", "input_line_number", "localtime", '0 | strflocaltime("%Z")', '"a" | modulemeta',
    "get_search_list", "get_jq_origin", "get_prog_origin", 'import "a" as a; 1', 'include "a" {search: "/"}; 1',
    'import "passwd" as $p {search: "/etc"}; $p', '"\\(env)"', "{a: env}", "{(env | tojson): 1}", "[1, env]", '{"a": "\\(1, env)"}',
    "def f: env; f", "$ENV as $x | $x", "[$ENV]", ". as {a: $x} | env", "try halt catch 1", "first(inputs)", "limit(1; input)",
    "module {}; 1", "#\nenv", "$__prog_args", "$__prog_args.named",
]  # fmt: skip


@pytest.mark.parametrize("program", REFUSED)
async def test_what_looks_outside_is_refused(expressions: Expressions, program: str) -> None:
    assert await expressions.check(program, []) is not None
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate([program], {".": None})
    assert caught.value.code == "expression-syntax"


@pytest.mark.parametrize("program", REFUSED)
def test_the_worker_refuses_it_by_itself(program: str) -> None:
    """The check of the text is for good messages; what confines is what jq itself is given."""
    evaluator = worker.Evaluator(_compile(), 1_000)
    answer = evaluator.answer(program, [], [0], ["null"])
    harmless = ("={}", "=[{}]", "=null", "=1", "0")
    assert answer.startswith("!") or answer in harmless
    assert "PATH" not in answer


ESCAPES = [
    "1) | (2", "1) | env | (2", "1] | [2", "1), (2", "1; 2", "1) as $x | ($x", "1 # )\n) | (2", "1)) | ((2", "(", ")", "[", "]}",
    '"\\(1', "1 \\", "\\", "def tojson: 1;", "def limit(a; b): 1;", "| 1", "1 |", "{", '1 "', "1) | tojson | (2",
    '1) # "', "1)\n\n) | ((2", "label $out | 1) | (break $out", "1\x00) | (2", "'1'", "$__in | 1) | (2",
]  # fmt: skip


@pytest.mark.parametrize("program", ESCAPES)
async def test_no_text_leaves_its_place(expressions: Expressions, program: str) -> None:
    assert await expressions.check(program, []) is not None
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate([program], {".": None})
    assert caught.value.code == "expression-syntax"


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("1 # a comment at the end", 1),
        ("1 # continued \\", 1),
        ("1 # ) | env", 1),
        ("def tojson: 7; 1", 1),
        ("def limit(a; b): 7; 1", 1),
        ("def env: 8; env", 8),
        ("def input: 8; {input: input}", {"input": 8}),
        (".env.input", None),
        ('"env \\"$ENV\\""', 'env "$ENV"'),
        ('{import: 1, "input": 2}.import', 1),
        ("$__loc__ | type", "object"),
        ("[1, 2] | .[0]", 1),
    ],
)
async def test_innocent_text_is_left_alone(expressions: Expressions, program: str, value: Json) -> None:
    assert await expressions.check(program, []) is None
    assert await expressions.evaluate([program], {".": None}) == [value]


@pytest.mark.parametrize(
    ("program", "codes"),
    [
        ("[repeat(1)]", {"expression-deadline", "expression-memory"}),
        ("def f: f; f", {"expression-deadline", "expression-memory", "expression-crashed"}),
        ("last(range(1e12))", {"expression-deadline"}),
        ("1, last(range(1e12))", {"expression-deadline"}),
        ('[limit(400; repeat("x" * 1000000))] | join("")', {"expression-memory", "expression-deadline"}),
        ('"x" * 1e9', {"expression-memory", "expression-failed", "expression-deadline"}),
        ("[range(1e9)]", {"expression-memory", "expression-deadline"}),
        (".[1e9] = 1", {"expression-failed", "expression-memory"}),
        (
            "reduce range(100000) as $i (0; [.])",
            {"expression-result-unusable", "expression-deadline", "expression-crashed"},
        ),
        ("reduce range(1e9) as $i (0; [.])", {"expression-deadline", "expression-memory", "expression-crashed"}),
        ('("[" * 100000) | fromjson', {"expression-failed"}),
        ('("[" * 5000) + ("]" * 5000) | fromjson', {"expression-result-unusable"}),
        ('("a" * 40) + "b" | test("^(a+)+$")', {"expression-deadline", "expression-failed"}),
        ('"y" * 300000', {"expression-result-too-big"}),
        ("[range(100000)]", {"expression-result-too-big"}),
    ],
)
async def test_bombs_end_in_a_clear_error(expressions: Expressions, program: str, codes: set[str]) -> None:
    with pytest.raises(ExpressionError) as caught:
        await expressions.evaluate([program], {".": None})
    assert caught.value.code in codes
    assert await expressions.evaluate([". + 1 * 1"], {".": 1}) == [2]


HARMLESS = """
IN/1 IN/2 INDEX/1 INDEX/2 JOIN/2 JOIN/3 JOIN/4 abs/0 acos/0 acosh/0 add/0 add/1 all/0 all/1 all/2 any/0 any/1
any/2 arrays/0 ascii_downcase/0 ascii_upcase/0 asin/0 asinh/0 atan/0 atan2/2 atanh/0 booleans/0 bsearch/1
builtins/0 capture/1 capture/2 cbrt/0 ceil/0 combinations/0 combinations/1 contains/1 copysign/2 cos/0 cosh/0
del/1 delpaths/1 drem/2 empty/0 endswith/1 erf/0 erfc/0 error/0 error/1 exp/0 exp10/0 exp2/0 explode/0 expm1/0
fabs/0 fdim/2 finites/0 first/0 first/1 flatten/0 flatten/1 floor/0 fma/3 fmax/2 fmin/2 fmod/2 format/1
frexp/0 from_entries/0 fromdate/0 fromdateiso8601/0 fromjson/0 fromstream/1 gamma/0 getpath/1 gmtime/0
group_by/1 gsub/2 gsub/3 has/1 have_decnum/0 have_literal_numbers/0 hypot/2 implode/0 in/1 index/1 indices/1
infinite/0 inside/1 isempty/1 isfinite/0 isinfinite/0 isnan/0 isnormal/0 iterables/0 j0/0 j1/0 jn/2 join/1
keys/0 keys_unsorted/0 last/0 last/1 ldexp/2 length/0 lgamma/0 lgamma_r/0 limit/2 log/0 log10/0 log1p/0 log2/0
logb/0 ltrim/0 ltrimstr/1 map/1 map_values/1 match/1 match/2 max/0 max_by/1 min/0 min_by/1 mktime/0 modf/0
nan/0 nearbyint/0 nextafter/2 nexttoward/2 normals/0 not/0 nth/1 nth/2 nulls/0 numbers/0 objects/0 path/1
paths/0 paths/1 pick/1 pow/2 range/1 range/2 range/3 recurse/0 recurse/1 recurse/2 remainder/2 repeat/1
reverse/0 rindex/1 rint/0 round/0 rtrim/0 rtrimstr/1 scalars/0 scalb/2 scalbln/2 scan/1 scan/2 select/1
setpath/2 significand/0 sin/0 sinh/0 skip/2 sort/0 sort_by/1 split/1 split/2 splits/1 splits/2 sqrt/0
startswith/1 strftime/1 strings/0 strptime/1 sub/2 sub/3 tan/0 tanh/0 test/1 test/2 tgamma/0 to_entries/0
toboolean/0 todate/0 todateiso8601/0 tojson/0 tonumber/0 tostream/0 tostring/0 transpose/0 trim/0 trimstr/1
trunc/0 truncate_stream/1 type/0 unique/0 unique_by/1 until/2 utf8bytelength/0 values/0 walk/1 while/2
with_entries/1 y0/0 y1/0 yn/2
"""


def test_every_function_of_jq_has_been_looked_at() -> None:
    """A new jq may bring a function that looks outside: this list is what has been judged harmless."""
    withheld = {name.partition("(")[0] for name in worker._WITHHELD} | {"now"}  # pyright: ignore[reportPrivateUsage]  the list under test
    builtins = list(_compile()("builtins[]").input_text("null"))
    unknown = {name for name in builtins if name.partition("/")[0] not in withheld}
    assert unknown - set(HARMLESS.split()) == set()


def _assert_bare(process: Path) -> None:
    if not process.exists():
        pytest.skip("needs /proc")
    assert b"canary" not in (process / "environ").read_bytes()
    assert (process / "cwd").readlink() == Path("/")
    assert sorted(int(fd.name) for fd in (process / "fd").iterdir()) == [0, 1, 2]
    limits = " ".join((process / "limits").read_text().split())
    for limit in ("open files 3", "core file size 0", "file size 0", "address space 256000000"):
        assert f"Max {limit} " in limits


async def test_the_process_has_nothing_and_can_do_nothing() -> None:
    os.environ["ORCHESTRION_CANARY"] = "canary"
    try:
        async with Expressions(workers=1) as pool:
            await pool.evaluate([". + 1 * 1"], {".": 1})
            _assert_bare(Path(f"/proc/{pool.worker_pids()[0]}"))
    finally:
        del os.environ["ORCHESTRION_CANARY"]


async def test_a_killed_worker_is_replaced_and_nobody_notices() -> None:
    async with Expressions(workers=1) as pool:
        await pool.evaluate([". + 1 * 1"], {".": 1})
        (pid,) = pool.worker_pids()
        os.kill(pid, signal.SIGKILL)
        assert await pool.evaluate([". + 1 * 1"], {".": 2}) == [3]
        assert pool.worker_pids() != [pid]


async def test_a_worker_killed_by_somebody_else_costs_a_second_try() -> None:
    async with Expressions(workers=1, deadline_s=30) as pool:
        await pool.evaluate([". + 1 * 1"], {".": 1})
        (pid,) = pool.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.ensure_future(pool.evaluate([". + 1 * 1"], {".": 2}))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert await asked == [3]


async def test_requests_in_the_queue_outlive_a_neighbours_deadline() -> None:
    async with Expressions(workers=1, deadline_s=0.2) as pool:
        bad = asyncio.ensure_future(pool.evaluate(["last(range(1e12))"], {}))
        good = [asyncio.ensure_future(pool.evaluate([". + 1 * 1"], {".": n})) for n in range(20)]
        assert await asyncio.gather(*good) == [[n + 1] for n in range(20)]
        with pytest.raises(ExpressionError):
            await bad


async def test_a_cancelled_request_leaves_the_pool_in_order() -> None:
    async with Expressions(workers=1, deadline_s=30) as pool:
        asked = asyncio.ensure_future(pool.evaluate(["last(range(1e12))"], {}))
        await asyncio.sleep(0)
        assert pool.worker_pids()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await pool.evaluate([". + 1 * 1"], {".": 1}) == [2]


async def test_a_worker_ends_with_its_parent() -> None:
    """The end of the socket ends an idle worker; a busy one is ended by its processor-time limit."""
    code = (
        "import asyncio, os, signal\n"
        "from orchestrion.expressions import Expressions\n"
        "async def main():\n"
        "    pool = Expressions(workers=2, deadline_s=0.3)\n"
        "    await pool.evaluate(['. + 1 * 1'], {'.': 1})\n"
        "    asyncio.ensure_future(pool.evaluate(['last(range(1e12))'], {}))\n"
        "    asyncio.ensure_future(pool.evaluate(['. + 2 * 1'], {'.': 1}))\n"
        "    while len(pool.worker_pids()) < 2: await asyncio.sleep(0)\n"
        "    print(*pool.worker_pids(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    output, _ = await parent.communicate()
    pids = [int(pid) for pid in output.split()]
    assert len(pids) == 2
    give_up = time.monotonic() + 10
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
