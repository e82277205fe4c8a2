"""Walks a workflow over Effects. Ordinary recursive async code; it decides nothing and touches nothing outside."""

from ._interpreter import SEMANTICS, Interpreter
from ._state import Evaluator

__all__ = ["SEMANTICS", "Evaluator", "Interpreter"]
