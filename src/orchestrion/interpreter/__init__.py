"""Walks a workflow over Effects. Ordinary recursive async code; it decides nothing and touches nothing outside."""

from ._filters import values_of
from ._interpreter import SEMANTICS, Interpreter
from ._state import Evaluator
from ._trigger import Started

__all__ = ["SEMANTICS", "Evaluator", "Interpreter", "Started", "values_of"]
