"""The question the gate asks before every effect, and the three answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ._datum import Labels
from ._json import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is about to happen, in the terms policies speak: principal, action, resource, context.

    `principal` is ("Agent", "billing"), ("Workflow", "support/customer-triage") or ("User", "ana"); `action` is the tool's or
    function's name ("refund", "http"); `resource` is what it acts on, such as ("Connection", "bank") or ("Host", "api.example.com").
    """

    principal: tuple[str, str]
    action: str
    resource: tuple[str, str]
    arguments: Mapping[str, Json]
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What else is known when deciding: the run, who it acts for, and who approved exactly this call, if anyone."""

    run_id: str
    workflow: str
    subject: str | None = None
    approved_by_role: str | None = None
    approved_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """It may happen. `policies` are the ids of those that allow it."""

    policies: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """It may not happen, and no approval changes that."""

    reason: str
    policies: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsApproval:
    """It may happen once a person with `role` approves exactly these arguments."""

    role: str
    reason: str
    policies: tuple[str, ...] = ()
    version: str = ""
    expires_after_s: float = 7 * 24 * 3600.0


Decision: TypeAlias = Allow | Deny | NeedsApproval


class Gate(Protocol):
    """Decides; pure and synchronous. An error inside it is a `Deny`."""

    @property
    def version(self) -> str:
        """Digest of the policies and their schema."""
        ...

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        """Whether `call` may happen, given `evidence`."""
        ...


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Allows everything and says so: for projects without policies that perform no effects, and for tests."""

    version: str = "open"

    def decide(self, call: Call, evidence: Evidence) -> Decision:
        return Allow(policies=("open",), version=self.version)


def decision_json(decision: Decision) -> dict[str, Any]:
    """A decision as the journal stores it."""
    match decision:
        case Allow(policies=policies, version=version):
            return {"verdict": "allow", "policies": list(policies), "version": version}
        case Deny(reason=reason, policies=policies, version=version):
            return {"verdict": "deny", "reason": reason, "policies": list(policies), "version": version}
        case NeedsApproval(role=role, reason=reason, policies=policies, version=version):
            return {
                "verdict": "needs-approval",
                "role": role,
                "reason": reason,
                "policies": list(policies),
                "version": version,
            }
