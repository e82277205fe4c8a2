"""jq, confined: expressions are evaluated in child processes that see only the variables they name."""

from ._errors import ExpressionError, SyntaxProblem
from ._pool import Expressions
from ._program import is_simple_path, mentions_now, needs_input, read_by, strip, variables_of
from ._uri import expand_uri

__all__ = [
    "ExpressionError",
    "Expressions",
    "SyntaxProblem",
    "expand_uri",
    "is_simple_path",
    "mentions_now",
    "needs_input",
    "read_by",
    "strip",
    "variables_of",
]
