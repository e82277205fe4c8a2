"""What is said when an expression fails: jq's own words, without the data jq quotes in them."""

import re
from dataclasses import dataclass

from orchestrion.core import UserError

from ._worker import MARK


class ExpressionError(UserError):
    """An expression cannot be compiled, is refused, fails, or breaks its limits. A `catch` sees type `expression`."""

    kind = "expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntaxProblem:
    """Why a program does not compile. `line` and `column` count from 1 within the program."""

    message: str
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    def error(self, program: str) -> ExpressionError:
        """The same as an exception."""
        where = f" at line {self.line}, column {self.column}" if self.line else ""
        return ExpressionError(
            "expression-syntax",
            f"The expression {shown(program)} does not compile{where}: {self.message}.",
            hint=self.hint,
        )


_PLACE = re.compile(r"jq: error: (.*?) at <top-level>, line (\d+), column (\d+)", re.DOTALL)
_UNKNOWN_VARIABLE = re.compile(r"\$(\S+) is not defined")
_UNKNOWN_FUNCTION = re.compile(r"(\S+)/(\d+) is not defined")
_UNEXPECTED = re.compile(r"syntax error, unexpected (.+?)(?:, expecting .*)?$", re.DOTALL)
_THINGS = {
    "end of file": "its end",
    "INVALID_CHARACTER": "this character",
    "IDENT": "a name",
    "FIELD": "a member",
    "LITERAL": "a value",
    "BINDING": "a variable",
}
_TYPE = r"(?:object|array|string|number|boolean|null)"
_INDEX = re.compile(rf"Cannot index ({_TYPE}) with (?:({_TYPE}) \((.*)\)|(.*))", re.DOTALL)
_PAIR = re.compile(rf"({_TYPE}) \(.*\) and ({_TYPE}) \(.*\) (cannot [^()]*(?:\(remainder\)[^()]*)?)", re.DOTALL)
_ONE = re.compile(rf"({_TYPE}) \(.*\) ((?:cannot|can ?not|can't|has|is|only|number|not)\b[A-Za-z0-9 ',/-]*)", re.DOTALL)
_ITERATE = re.compile(rf"Cannot (iterate over|delete field of|update field of) ({_TYPE}).*", re.DOTALL)
_PLAIN = frozenset(
    (
        "Range bounds must be numeric", "explode input must be a string", "implode input must be an array",
        "startswith() requires string inputs", "endswith() requires string inputs", "ltrimstr() requires string inputs",
        "split input and separator must be strings", "trim input must be a string", "Path must be specified as an array",
        "Paths must be specified as an array", "strftime/1 requires parsed datetime inputs", "Array index too large",
        "mktime requires array inputs", "mktime requires array of 6 numbers", "gmtime() requires numeric inputs",
        "flatten depth must not be negative", "limit doesn't support negative count", "Object keys must be strings",
        "Out of bounds negative array index", "Array/string slice indices must be integers", "Equality check too deep",
        "Comparison too deep", "Containment check too deep", "Object merge too deep", "Path too deep", "String too long",
        "Repeat string result too long", "Cannot check whether number has a string key",
        "Cannot check whether string has a string key", "Cannot check whether array has a string key",
        "Cannot check whether object has a number key", "Cannot update string slices", "break",
    )
)  # fmt: skip


def shown(program: str) -> str:
    """A program as messages quote it."""
    return repr(program if len(program) <= 120 else program[:117] + "...")


def syntax_problem(message: str, program: str) -> SyntaxProblem:
    """jq's complaint about a program, placed within the program's own text."""
    found = _PLACE.search(message)
    if found is None:
        return SyntaxProblem(message=_first_line(message))
    text, line, column = _plainly(found[1]), int(found[2]) - 1, int(found[3])
    lines = program.split("\n")
    if not 1 <= line <= len(lines):
        line, column = len(lines), len(lines[-1]) + 1
        text = "it ends too early, or a bracket or quote in it does not match"
    unknown = _UNKNOWN_VARIABLE.match(text)
    if unknown:
        return SyntaxProblem(message=f"${unknown[1]} is not known here", line=line, column=column)
    unknown = _UNKNOWN_FUNCTION.match(text)
    hint = None
    if unknown:
        text = f"there is no function {unknown[1]!r} with {unknown[2]} arguments"
        hint = f"If {unknown[1]!r} is meant as text, put it in double quotes; as a member, put a dot before it."
    return SyntaxProblem(message=text, line=line, column=column, hint=hint)


def _plainly(text: str) -> str:
    """jq's words without the names its grammar has for things."""
    if "QQSTRING" in text:
        return "a string is not closed"
    found = _UNEXPECTED.match(text)
    return f"{_THINGS.get(found[1], found[1])} is not expected here" if found else text


def withheld_problem(name: str) -> SyntaxProblem:
    """What is said about a function that expressions do not have."""
    return SyntaxProblem(
        message=f"{name!r} is not available in expressions",
        hint="Expressions see the task's data and nothing of the machine they run on; pass what they need as input.",
    )


def failure(message: str, program: str) -> ExpressionError:
    """A runtime error of jq as an exception."""
    if message.startswith(MARK):
        return withheld_problem(message.removeprefix(MARK)).error(program)
    return ExpressionError("expression-failed", f"The expression {shown(program)} failed: {_safe(message, program)}.")


def _first_line(message: str) -> str:
    return message.removeprefix("jq: error: ").partition("\n")[0]


def _safe(message: str, program: str) -> str:
    """jq's message with every value left out that does not stand in the program's own text."""
    if message in _PLAIN or (len(message) > 2 and message in program):
        return message
    if found := _INDEX.fullmatch(message):
        key = found[3] or found[4] or ""
        known = key.strip('"') and key.strip('"') in program
        return f"Cannot index {found[1]} with {key if known else found[2] or 'that key'}"
    if found := _PAIR.fullmatch(message):
        return f"{found[1]} and {found[2]} {found[3]}"
    if found := _ONE.fullmatch(message):
        return f"{found[1]} {found[2]}"
    if found := _ITERATE.fullmatch(message):
        return f"Cannot {found[1]} {found[2]}"
    return "jq reported an error whose words are left out here because they may quote data"
