"""Evidence in, decision out: Cedar policies. Decisions are pure."""

from ._catalogued import ActionDeclaration, Catalogued
from ._gate import CedarGate
from ._policies import PolicyFile
from ._rights import Person, Rights

__all__ = [
    "ActionDeclaration",
    "Catalogued",
    "CedarGate",
    "Person",
    "PolicyFile",
    "Rights",
]
