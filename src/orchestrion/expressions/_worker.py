"""The child process that runs jq: `python -I -S _worker.py JQ_EXTENSION CPU_SECONDS MEMORY_BYTES RESULT_BYTES`.

It knows nothing of the rest of Orchestrion and imports only the standard library and the extension whose path it is told.
Once that is loaded it can open no file or socket, write no file and start no process; it reads requests from its standard
input and writes answers to its standard output. A request that uses too much processor time ends the process by a signal that
no handler can catch; so does the end of its input. It outlives a killed parent by at most that time.

A frame is four bytes of length (little endian) and lines of JSON. Request: a list of [program, names, fragments] - names of the
variables that are bound, and for `.` and each of them the number of the line its value stands on, -1 for null - then the values.
Answer, a line each: `=` and the result, `0` for none, or `!` and a list [code, message].
"""

import importlib.util
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, cast

KEPT_PROGRAMS = 2_000
OUT_OF_MEMORY = 77
MARK = "orchestrion withholds "

_WITHHELD = (
    "env", "input", "inputs", "debug", "debug(f)", "stderr", "halt", "halt_error", "halt_error(f)", "input_filename",
    "input_line_number", "localtime", "strflocaltime(f)", "modulemeta", "get_search_list", "get_jq_origin", "get_prog_origin",
)  # fmt: skip
_PRELUDE = " ".join(f'def {name}: error("{MARK}{name.partition("(")[0]}");' for name in _WITHHELD) + " {} as $ENV |"
_NO_NOW = f'def now: error("{MARK}now");'


class Program(Protocol):
    """A compiled jq program."""

    def input_text(self, text: str) -> Iterable[str]:
        """Its results for JSON text."""
        ...


Compile = Callable[[str], Program]


def compile_expression(compile_jq: Compile, program: str, names: Sequence[str]) -> Program:
    """Compile the user's text in a place it cannot leave.

    It must be valid both in parentheses and in brackets: `1) | (2` is the one but not the other. Two line ends close a
    comment, even one that a backslash continues. Raises: ValueError with jq's message, its line 2 being the text's first.
    """
    bound = ", ".join("$" + name for name in ("__in", *names))
    now = "def now: $__now;" if "__now" in names else _NO_NOW
    before = f"{_PRELUDE} . as [{bound}] | {now} $__in |"
    compiled = compile_jq(f"{before} limit(2; (\n{program}\n\n) | tojson)")
    compile_jq(f"{before} [\n{program}\n\n]")
    return compiled


class Evaluator:
    """Programs compiled so far, and the limits of their results."""

    def __init__(self, compile_jq: Compile, result_bytes: int) -> None:
        self._compile = compile_jq
        self._result_bytes = result_bytes
        self._programs: dict[tuple[str, tuple[str, ...]], Program] = {}

    def program(self, text: str, names: Sequence[str]) -> Program:
        key = (text, tuple(names))
        found = self._programs.get(key)
        if found is None:
            found = compile_expression(self._compile, text, names)
            if len(self._programs) >= KEPT_PROGRAMS:
                self._programs.clear()
            self._programs[key] = found
        return found

    def answer(self, text: str, names: Sequence[str], fragments: Sequence[int], values: Sequence[str]) -> str:
        """The line of one program."""
        try:
            program = self.program(text, names)
        except ValueError as error:
            return "!" + json.dumps(["syntax", str(error)])
        if not fragments:
            return "0"
        given = ",".join("null" if at < 0 else values[at] for at in fragments)
        try:
            results = list(program.input_text(f"[{given}]"))
        except ValueError as error:
            return "!" + json.dumps(["failed", str(error)])
        if not results:
            return "0"
        if len(results) > 1:
            return "!" + json.dumps(["several", ""])
        size = len(results[0].encode(errors="surrogatepass"))
        if size > self._result_bytes:
            return "!" + json.dumps(["result-too-big", str(size)])
        return "=" + results[0]


def confine(memory_bytes: int) -> None:
    """Give up everything this process does not need. Open descriptors stay usable; no new one can be had."""
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_NPROC, 0),
    ]
    if sys.platform == "linux":
        limits.append((resource.RLIMIT_AS, memory_bytes))
    for limit, value in limits:
        resource.setrlimit(limit, (value, value))


def _read(count: int) -> bytes:
    """Exactly `count` bytes, or the end of the process when there are no more."""
    parts: list[bytes] = []
    while count:
        part = os.read(0, min(count, 1 << 20))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def serve(evaluator: Evaluator, cpu_seconds: float) -> None:
    """Answer requests until the input ends."""
    while True:
        frame = _read(int.from_bytes(_read(4), "little"))
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        header, *values = frame.decode().split("\n")
        programs = cast("list[tuple[str, list[str], list[int]]]", json.loads(header))
        answers = "\n".join([evaluator.answer(text, names, at, values) for text, names, at in programs])
        out = answers.encode(errors="surrogatepass")
        signal.setitimer(signal.ITIMER_PROF, 0)
        out = len(out).to_bytes(4, "little") + out
        while out:
            out = out[os.write(1, out) :]


def load(path: str) -> Compile:
    """The extension's `compile`, without touching the module search path."""
    spec = importlib.util.spec_from_file_location("jq", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Compile", module.compile)


def main() -> None:
    path, cpu_seconds, memory_bytes, result_bytes = sys.argv[1:]
    compile_jq = load(path)
    confine(int(memory_bytes))
    try:
        serve(Evaluator(compile_jq, int(result_bytes)), float(cpu_seconds))
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
