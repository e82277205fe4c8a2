"""What differs between two versions is said in words."""

import pytest

from orchestrion.registry import differences, summary


@pytest.mark.parametrize(
    ("piece", "before", "after", "said"),
    [
        ("agents/billing.yaml", "limits: { turns: 8 }", "limits: { turns: 6 }", "agent billing: limits.turns: 8 → 6"),
        (
            "agents/billing.yaml",
            f"instructions: {'be kind and brief ' * 5}",
            f"instructions: {'be kind and brief ' * 4}be kind and brisk",
            "agent billing: prompt changed in 1 place",
        ),
        ("agents/billing.yaml", "limits: {}", "limits: {} # none", "agent billing: layout or comments only"),
        (
            "agents/billing.yaml",
            "tools: [{ name: refund, write: false }]",
            "tools: [{ name: refund, write: true }, { name: post }]",
            "agent billing: tools.refund.write: false → true; tools.post added: {}",
        ),
        (
            "policies/refunds.cedar",
            '@id("small") permit (principal, action, resource) when { context.amount <= 100 };',
            '@id("small") permit (principal, action, resource) when { context.amount <= 250 }; // more',
            "policy refunds: rule small: 100 → 250",
        ),
        ("routers/intents.csv", "text,label\na,x\nb,y\n", "text,label\na,x\nc,y\nd,y\n", None),
        ("settings/models/fast", '{"provider":"a:b"}', '{"provider":"a:c"}', "model fast: provider: a:b → a:c"),
    ],
)
def test_a_change_is_said_in_words(piece: str, before: str, after: str, said: str | None) -> None:
    (change,) = differences({piece: before.encode()}, {piece: after.encode()})
    assert str(change) == (said or "examples intents: 2 rows added, 1 row removed")


def test_pieces_come_and_go() -> None:
    changes = differences({"agents/a.yaml": b"x", "agents/b.yaml": b"y"}, {"agents/b.yaml": b"y", "teams/c.yaml": b"z"})
    assert [str(change) for change in changes] == ["agent a removed", "team c added"]
    assert summary([]) == "nothing differs"
