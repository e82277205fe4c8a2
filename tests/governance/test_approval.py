"""An approval holds for one call, exactly as it was shown."""

import pytest

from orchestrion.core import Json
from orchestrion.governance import approval_binding, verify_approval

NOW = approval_binding(invocation_digest="call", agent_version="agent", policy_version="policies")


def test_it_holds_for_what_it_was_given_for() -> None:
    assert verify_approval(dict(NOW), NOW, decided_at=10.0, expires_at=20.0, used=False) is None
    assert verify_approval(dict(NOW), NOW, decided_at=10.0, expires_at=None, used=False) is None


@pytest.mark.parametrize(
    ("approved", "words"),
    [
        ({**NOW, "invocation": "other"}, "the call or its arguments changed"),
        ({**NOW, "agent": "x", "policies": "y"}, "the agent and the policies changed"),
        ({}, "does not say what it was given for"),
        (None, "does not say what it was given for"),
        ({**NOW, "more": 1}, "does not say what it was given for"),
    ],
)
def test_it_holds_for_nothing_else(approved: Json, words: str) -> None:
    refused = verify_approval(approved, NOW, decided_at=10.0, expires_at=None, used=False)
    assert refused
    assert words in refused.reason
    assert refused.version == "policies"


def test_it_is_good_for_one_call_and_until_its_deadline() -> None:
    used = verify_approval(dict(NOW), NOW, decided_at=10.0, expires_at=20.0, used=True)
    assert used
    assert "already used" in used.reason
    late = verify_approval(dict(NOW), NOW, decided_at=20.0, expires_at=20.0, used=False)
    assert late
    assert "deadline" in late.reason
