"""Decisions in plain words."""

from typing import assert_never

from orchestrion.core import Allow, Decision, Deny, NeedsApproval


def explain(decision: Decision) -> str:
    """One or two sentences for somebody who reads neither policies nor JSON."""
    match decision:
        case Allow(policies=policies):
            return f"Allowed by {_named(policies)}."
        case Deny(reason=reason):
            return f"Refused. {reason}"
        case NeedsApproval(role=role, reason=reason, policies=policies):
            asks = f" ({_named(policies)})" if policies else ""
            return f"A person with the role {role!r} must approve this first{asks}. {reason}"
        case _:
            assert_never(decision)


def _named(policies: tuple[str, ...]) -> str:
    names = [repr(each) for each in policies]
    if not names:
        return "no named policy"
    *most, last = names
    return f"policies {', '.join(most)} and {last}" if most else f"policy {last}"
