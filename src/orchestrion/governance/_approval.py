"""What an approval holds for: one call, exactly as it was shown."""

from collections.abc import Mapping
from typing import TypeAlias, cast

from orchestrion.core import Deny, Json

Binding: TypeAlias = Mapping[str, str]


def approval_binding(*, invocation_digest: str, agent_version: str, policy_version: str) -> Binding:
    """What goes with a question to a person and comes back with the answer."""
    return {"invocation": invocation_digest, "agent": agent_version, "policies": policy_version}


_CHANGED: Mapping[str, str] = {
    "invocation": "the call or its arguments",
    "agent": "the agent",
    "policies": "the policies",
}


def verify_approval(
    approved: Json, current: Binding, *, decided_at: float, expires_at: float | None, used: bool
) -> Deny | None:
    """The Deny that an approval turns into, or None when it holds.

    `approved` is the binding the person decided on, `current` that of the call about to happen; times are seconds since the epoch.
    `used` says whether some call was already performed on it: an approval is good for one.
    """
    reason = _void(approved, current)
    if reason is None and used:
        reason = "it was already used, and an approval is good for one call"
    if reason is None and expires_at is not None and decided_at >= expires_at:
        reason = "it came after its deadline"
    if reason is None:
        return None
    return Deny(reason=f"The approval does not hold: {reason}.", version=current["policies"])


def _void(approved: Json, current: Binding) -> str | None:
    if not isinstance(approved, Mapping) or set(approved) != set(current):
        return "it does not say what it was given for"
    given = cast("Mapping[str, Json]", approved)
    changed = [words for name, words in _CHANGED.items() if given.get(name) != current[name]]
    return f"{' and '.join(changed)} changed since it was given" if changed else None
