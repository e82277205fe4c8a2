"""The guard finds personal data by checksum, schema violations and nothing by guessing."""

import json
import time
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from orchestrion.core import Datum, Invocation, Json, LeafContext, UserError
from orchestrion.functions._guard import GuardFunction
from orchestrion.functions._personal_data import find_personal_data
from orchestrion.project import GuardPolicy

CARDS = [
    "4111111111111111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "6759649826438453",
]
IBANS = [
    "DE89370400440532013000",
    "GB82WEST12345698765432",
    "NL91ABNA0417164300",
    "FR1420041010050500013M02606",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
]
NATIONAL = {
    "national-id-nl": ["111222333", "123456782"],
    "national-id-es": ["12345678Z", "X1234567L", "Z1234567R"],
    "national-id-se": ["8112189876", "198112189876"],
    "national-id-de": ["86095742719", "47036892816", "65929970489"],
}
CHECKED = [
    *(("payment-card", value) for value in CARDS),
    *(("iban", value) for value in IBANS),
    *((kind, value) for kind, values in NATIONAL.items() for value in values),
]


class NoSecrets:
    def get(self, name: str) -> Json:
        raise AssertionError(name)


async def guard(
    content: Json, subject: Json = None, *, policy: Json = "outbound", guards: dict[str, GuardPolicy] | None = None
) -> Datum:
    function = GuardFunction(guards or {"outbound": GuardPolicy()})
    arguments: dict[str, Json] = {"policy": policy, "content": content, "subject": subject}
    invocation = Invocation(key="/do/0/guard~1", task="/do/0/guard", function="guard:1.0.0", arguments=Datum(arguments))
    context = LeafContext(run_id="r", idempotency_key="k", secrets=NoSecrets())
    return (await function.perform(invocation, context)).output


def kinds(text: str, *, contacts: bool = False) -> list[str]:
    return [found.kind for found in find_personal_data(text, contacts=contacts)]


@pytest.mark.parametrize(("kind", "value"), CHECKED)
def test_numbers_with_right_check_digits_are_found(kind: str, value: str) -> None:
    (found,) = find_personal_data(f"It is {value}, thanks.")
    assert (found.kind, found.value) == (kind, value)
    assert value not in found.redacted + found.why


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1111 12/27",
        "call 555 4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111 - 1111 - 1111 - 1111",
        "card٤١١١١١١١١١١١١١١١",  # Arabic-Indic digits
        "4111\u00a01111\u20111111\u200b1111",
        "4１１１1111 11111111",  # fullwidth
        "x4111111111111111x",
    ],
)
def test_a_card_hides_behind_no_spelling(text: str) -> None:
    assert kinds(text) == ["payment-card"]


@pytest.mark.parametrize(
    "text", ["iban: de89 3704 0044 0532 0130 00.", "(DE89-3704-0044-0532-0130-00)", "D E 8 9 370400440532013000"]
)
def test_an_iban_hides_behind_no_spelling(text: str) -> None:
    assert kinds(text) == ["iban"]


@pytest.mark.parametrize(
    "text",
    [
        "Order 4006381333931 arrived 2026-03-12 at 14:30.",  # a German article number, 13 digits from 4
        "We refunded 1,234.56 EUR on 12.03.2026, transaction 20260312143000.",
        "Call 0800 123 4567 or +49 30 1234567",
        "a4f1e2d3c4b5a6978877665544332211",
        "550e8400-e29b-41d4-a716-446655440000",
        "Customer C-1042, invoice 2026/0815",
    ],
)
def test_ordinary_numbers_are_not_personal_data(text: str) -> None:
    assert kinds(text) == []


def test_numbers_that_often_pass_by_chance_are_certain_only_in_context() -> None:
    assert [each.certain for each in find_personal_data("transaction 111222333")] == [False]
    assert [each.certain for each in find_personal_data("BSN: 111222333")] == [True]
    assert [each.certain for each in find_personal_data("Steuer-ID 86095742719")] == [True]


def test_a_us_number_has_no_checksum() -> None:
    (found,) = find_personal_data("SSN 123-45-6789")
    assert (found.kind, found.certain) == ("national-id-us", False)
    assert kinds("000-45-6789 666-45-6789 900-45-6789 123-00-6789 123-45-0000 123-456789") == []


def test_contacts_are_looked_for_only_when_asked() -> None:
    text = "Write to ana@mail.example or call +31 6 1234 5678"
    assert kinds(text) == []
    assert kinds(text, contacts=True) == ["email", "phone"]


spacing = st.lists(st.sampled_from(["", "", " ", "-", ".", "\u00a0", " - "]), min_size=40, max_size=40)


@given(st.sampled_from([pair for pair in CHECKED if pair[0] not in ("national-id-nl", "national-id-de")]), spacing)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_spaces_and_dashes_hide_nothing(pair: tuple[str, str], gaps: list[str]) -> None:
    kind, value = pair
    text = "".join(character + gap for character, gap in zip(value, gaps, strict=False))
    assert any(found.kind == kind and found.value == value for found in find_personal_data(f"Number: {text} ok"))


@given(st.sampled_from(CHECKED), st.integers(0, 40), st.integers(1, 9))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_wrong_digit_and_it_is_none(pair: tuple[str, str], position: int, add: int) -> None:
    """All these checks catch every single wrong digit."""
    kind, value = pair
    position %= len(value)
    if not value[position].isdigit():
        return
    wrong = value[:position] + str((int(value[position]) + add) % 10) + value[position + 1 :]
    if kind == "national-id-se" and len(value) == 12 and position < 2:
        return  # the century is not part of the check
    assert kind not in kinds(wrong)


@given(st.text(st.characters()) | st.text("0123456789 -.+AZDE@/", max_size=200))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_can_be_searched(text: str) -> None:
    for found in find_personal_data(text, contacts=True):
        assert 0 <= found.start < found.end <= len(text)
        assert len(found.redacted) <= 8


@pytest.mark.anyio
async def test_a_reply_with_somebody_elses_account_is_blocked_and_said_without_it() -> None:
    output = await guard({"reply": "Send it to DE89 3704 0044 0532 0130 00.", "cards": [{"no": 4111111111111111}]})
    assert output.value == snapshot(
        {
            "verdict": "block",
            "findings": [
                {
                    "kind": "payment-card",
                    "where": "/cards/0/no",
                    "what": "…1111",
                    "why": "a payment card number whose check digit is right (Luhn)",
                    "verdict": "block",
                },
                {
                    "kind": "iban",
                    "where": "/reply",
                    "what": "DE…3000",
                    "why": "an account number whose check digits are right (ISO 13616, modulo 97)",
                    "verdict": "block",
                },
            ],
        }
    )
    assert output.labels == {"/findings/0": frozenset({"pii"}), "/findings/1": frozenset({"pii"})}
    assert "3704" not in json.dumps(output.value)


@pytest.mark.anyio
async def test_the_subjects_own_values_may_appear() -> None:
    content = "Your account DE89 3704 0044 0532 0130 00, card 4111-1111-1111-1111."
    subject: Json = {"iban": "de89370400440532013000", "cards": ["his card is 4111 1111 1111 1111"]}
    assert (await guard(content, subject)).value == {"verdict": "allow", "findings": []}
    guards = {"outbound": GuardPolicy(allow=("DE89370400440532013000",))}
    (left,) = findings(await guard(content, guards=guards))
    assert left["kind"] == "payment-card"


def findings(output: Datum) -> list[dict[str, str]]:
    assert isinstance(output.value, dict)
    return cast("list[dict[str, str]]", output.value["findings"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("policy", "content", "verdict"),
    [
        ({}, "4111111111111111", "block"),
        ({"personal_data": "review"}, "4111111111111111", "review"),
        ({"personal_data": "allow"}, "4111111111111111", "allow"),
        ({}, "number 111222333", "review"),
        ({}, "ana@mail.example", "allow"),
        ({"contacts": "review"}, "ana@mail.example", "review"),
        ({"contacts": "block", "allow": ["service@bank.example"]}, "service@bank.example", "allow"),
        ({"max_length": 3}, {"a": ["bc", "d"]}, "block"),
        ({"max_length": 4}, {"a": ["bc", "d"]}, "allow"),
        ({"schema": {"type": "string", "pattern": "^Dear"}}, "Hi", "block"),
        ({"schema": {"type": "string", "pattern": "^Dear"}}, "Dear Ana", "allow"),
        ({}, "x" * 50_001, "block"),
    ],
)
async def test_settings_decide(policy: Json, content: Json, verdict: str) -> None:
    output = await guard(content, policy=policy)
    assert isinstance(output.value, dict)
    assert output.value["verdict"] == verdict


@pytest.mark.anyio
async def test_names_of_members_are_searched_and_not_repeated() -> None:
    output = await guard({"4111111111111111": {"a/b": "DE89370400440532013000"}})
    assert [each["where"] for each in findings(output)] == ["", "/…/a~1b"]
    schema: Json = {"schema": {"additionalProperties": {"type": "string"}}}
    assert "4111" not in json.dumps((await guard({"4111111111111111": 1}, policy=schema)).value)


@pytest.mark.anyio
async def test_unknown_and_broken_guards_are_said() -> None:
    with pytest.raises(UserError, match=r"no guard 'outbnd'. Did you mean 'outbound'\?"):
        await guard("x", policy="outbnd")
    with pytest.raises(UserError, match="setting `personal_data`"):
        await guard("x", policy={"personal_data": "maybe"})
    with pytest.raises(UserError, match="JSON Schema"):
        await guard("x", policy={"schema": {"type": "nothing"}})
    with pytest.raises(UserError, match="JSON Schema"):
        GuardFunction({"g": GuardPolicy.model_validate({"schema": {"type": 3}})})


values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([*CARDS, *IBANS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.sampled_from(CARDS), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.anyio
@given(values, values)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_any_content_gets_a_verdict_that_repeats_none_of_it(content: Json, subject: Json) -> None:
    output = await guard(content, subject, policy={"contacts": "block"})
    assert isinstance(output.value, dict)
    text = json.dumps(output.value)
    assert output.value["verdict"] in ("allow", "review", "block")
    assert not any(value in text for value in (*CARDS, *IBANS))


@pytest.mark.anyio
async def test_long_and_hostile_content_is_searched_in_reasonable_time() -> None:
    hostile = ["1 " * 9_000, "9" * 49_000, "DE89 " * 4_000, "a@" * 20_000, "+1 2 " * 4_000, "12345678." * 4_000]
    began = time.perf_counter()
    for text in hostile:
        assert isinstance((await guard(text, policy={"contacts": "review"})).value, dict)
    assert time.perf_counter() - began < 30
