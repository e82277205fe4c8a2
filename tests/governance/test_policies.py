"""What is wrong with policy files is found before anything starts, with its place."""

import pytest

from orchestrion.governance import ActionDeclaration, Catalogued, CedarGate, PolicyFile

CATALOGUED = Catalogued(
    actions=[
        ActionDeclaration(
            name="refund",
            input_schema={
                "type": "object",
                "required": ["amount_eur"],
                "properties": {"amount_eur": {"type": "integer"}, "note": {"type": "string"}},
            },
            resource_types=["Connection"],
        )
    ],
    agents=["billing"],
    workflows=["support/triage"],
    connections=["bank"],
    roles=["support-lead"],
    users={"ana": ["support-lead"]},
)


def findings(*texts: str) -> list[str]:
    files = [PolicyFile(file=f"{number}.cedar", text=text) for number, text in enumerate(texts)]
    gate, found = CedarGate.load(files, CATALOGUED)
    assert (gate is None) == bool(found)
    return [f"{each.file}:{each.line}:{each.column} {each.code} {each.message} {each.hint}" for each in found]


HEAD = 'permit(principal, action == Action::"refund", resource)'


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("// ok; \n\npermit(principal action, resource);", "0.cedar:3:18 policy-syntax", "unexpected token `action`"),
        (HEAD + "\nwhen { context.arguments.amount_eur < };", "0.cedar:2:40 policy-syntax", "unexpected token `}`"),
        (HEAD + "\nwhen { 1 == 1 }", "0.cedar:2:16 policy-syntax", "closed by a semicolon"),
        (HEAD + ' when { "a };', "0.cedar:1:64 policy-syntax", "invalid token"),
        (HEAD + " when { frobnicate(1) };", "0.cedar:1:64 policy-syntax", "`frobnicate` is not a valid function"),
        ("permit(principal == ?principal, action, resource);", "0.cedar:1:21 policy-syntax", "templates"),
        (HEAD + "\nwhen { context.arguments.amount < 3 };", "0.cedar:2:16 policy-schema", "`arguments.amount`"),
        (
            HEAD + '\nwhen { context.arguments.note == "x" };',
            "0.cedar:2:16 policy-schema",
            "`context.arguments has note",
        ),
        (HEAD + '\nwhen { context.approval.by == "x" };', "0.cedar:2:16 policy-schema", "`context has approval &&"),
        (HEAD + '\nwhen { context.arguments.amount_eur == "x" };', "0.cedar:1:1 policy-schema", "not compatible"),
        ('forbid(principal == Agent::"biling", action, resource);', "0.cedar:1:21 unknown-agent", "mean 'billing'?"),
        ('forbid(principal, action == Action::"refnd", resource);', "0.cedar:1:29 unknown-action", "mean 'refund'?"),
        ('forbid(principal, action, resource == Connection::"x");', "0.cedar:1:39 unknown-connection", "are: 'bank'"),
        ('forbid(principal in Role::"boss", action, resource);', "0.cedar:1:21 unknown-role", "'support-lead'"),
        (
            HEAD + '\nwhen { context has approval && context.approval.role == "suport-lead" };',
            "0.cedar:2:57 unknown-role",
            "mean 'support-lead'?",
        ),
        (
            HEAD + '\nwhen { context has approval && ["lead"].contains(context.approval.role) };',
            "0.cedar:2:33 unknown-role",
            "'support-lead'",
        ),
    ],
)
def test_a_mistake_is_found_at_its_place(text: str, place: str, words: str) -> None:
    (found,) = findings(text)
    assert found.startswith(place)
    assert words in found


def test_all_mistakes_are_told_at_once() -> None:
    found = findings(
        f"{HEAD};\npermit(oops);\n{HEAD} when {{ context.arguments.x == 1 }};\n",
        'forbid(principal == User::"anna", action, resource);',
    )
    assert [each.split()[:2] for each in found] == [
        ["0.cedar:2:1", "policy-syntax"],
        ["0.cedar:3:72", "policy-schema"],
        ["1.cedar:1:21", "unknown-user"],
    ]


def test_ids_are_unique_over_all_files() -> None:
    (found,) = findings(f'@id("a") {HEAD};', f'@id("b") {HEAD};\n@id("a") {HEAD};')
    assert found.startswith("1.cedar:2:1 repeated-policy-id The id 'a' is already that of the policy at 0.cedar:1.")


def test_comments_and_texts_may_hold_semicolons() -> None:
    assert findings(f'// a; b "\n{HEAD} when {{ "; // no" != "x\\";" }}; // end;') == []
    assert findings("// only a comment;\n") == []
