"""Evidence in, decision out: Cedar policies, and what an approval holds for. Decisions are pure."""

from ._approval import Binding, approval_binding, verify_approval
from ._catalogued import ActionDeclaration, Catalogued
from ._explain import explain
from ._gate import CedarGate
from ._policies import PolicyFile

__all__ = [
    "ActionDeclaration",
    "Binding",
    "Catalogued",
    "CedarGate",
    "PolicyFile",
    "approval_binding",
    "explain",
    "verify_approval",
]
