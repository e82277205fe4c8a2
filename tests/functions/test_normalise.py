"""Canonical forms: properties over what people type, and the cases that must be refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrion.core import Json
from orchestrion.functions._normalise import NotNormal, iban_is_valid, normalise

GROUPS = st.sampled_from(
    [("", "."), ("", ","), (".", ","), (",", "."), ("'", "."), ("\u2019", "."), (" ", ","), ("\u202f", ",")]
)
AROUND = st.sampled_from(["{}", "{} €", "€ {}", "${}", "{} EUR", "CHF {}", " {} ", "eur{}"])


def written(amount: int, group: str, mark: str) -> str:
    return f"{amount // 100:,}".replace(",", group) + f"{mark}{amount % 100:02}"


@given(st.integers(0, 10**12), GROUPS, AROUND)
def test_an_amount_means_the_same_however_it_is_written(amount: int, marks: tuple[str, str], around: str) -> None:
    text = written(amount, *marks)

    assert normalise("cents", around.format(text)) == amount
    assert normalise("cents", around.format("-" + text)) == -amount
    assert normalise("cents", around.format(text + "-")) == -amount
    assert normalise("cents", f"({around.format(text)})") == -amount


@given(st.integers(-(10**12), 10**12))
def test_numbers_are_whole_units(units: int) -> None:
    assert normalise("cents", units) == units * 100
    assert normalise("cents", str(units)) == units * 100


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1.234", 123400),
        ("1,234", 123400),
        ("1.2", 120),
        ("12,-", 1200),
        (19.99, 1999),
        (0.1, 10),
        ("\u22125,00", -500),
    ],
)
def test_amounts(value: Json, expected: int) -> None:
    assert normalise("cents", value) == expected


@pytest.mark.parametrize(
    "value",
    ["", "abc", "1.2345", "1,23,45", "1.234.56", "0.500", "--5", "-5-", "(5", "5)", "(-5)", "1e3", "١٢", "5 JPY", "¥5", "9" * 50,
     1.234, float("inf"), True, None, [], "1,234,56", "12.34.567"],
)  # fmt: skip
def test_what_is_no_amount(value: Json) -> None:
    with pytest.raises(NotNormal):
        normalise("cents", value)


@given(st.dates())
def test_a_date_means_the_same_however_it_is_written(day: "object") -> None:
    iso = str(day)
    year, month, of_month = iso.split("-")

    for text in (
        iso,
        iso.replace("-", "/"),
        f"{of_month}.{month}.{year}",
        f"{int(of_month)}. {int(month)}. {year}",
        iso + "T23:59:59Z",
    ):
        assert normalise("date", text) == iso
    assert normalise("date-dmy", f"{of_month}/{month}/{year}") == iso
    assert normalise("date-mdy", f"{month}/{of_month}/{year}") == iso
    assert normalise("date-mdy", f"{of_month}.{month}.{year}") == iso


def test_a_date_that_could_be_two_is_not_guessed() -> None:
    assert normalise("date", "31/12/2030") == "2030-12-31"
    assert normalise("date", "12/31/2030") == "2030-12-31"
    assert normalise("date", "04/04/2030") == "2030-04-04"
    with pytest.raises(NotNormal, match="date-dmy"):
        normalise("date", "03/04/2030")


@pytest.mark.parametrize(
    "text", ["", "31.02.2030", "2030-13-01", "1.2.30", "31.12/2030", "tomorrow", "2030-01-01 at noon"]
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(NotNormal):
        normalise("date", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+49 (0)30 123-4567", "+49301234567"),
        ("0049 30 1234567", "+49301234567"),
        ("tel:+1 (212) 555-0100", "+12125550100"),
    ],
)
def test_phone_numbers(text: str, expected: str) -> None:
    assert normalise("phone", text) == expected


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("phone+49", "030 / 123 45 67", "+49301234567"),
        ("phone+49", "+43 1 2345678", "+4312345678"),
        ("phone+39", "06 1234 5678", "+390612345678"),
        ("phone+1", "1-212-555-0100", "+12125550100"),
        ("phone+1", "212-555-0100", "+12125550100"),
    ],
)
def test_phone_numbers_of_a_country(rule: str, text: str, expected: str) -> None:
    assert normalise(rule, text) == expected


@pytest.mark.parametrize(
    "text", ["030 1234567", "+49 CALL ME", "+0123456789", "+49", "", "+49+301234567", "+1234567890123456"]
)
def test_what_is_no_phone_number(text: str) -> None:
    with pytest.raises(NotNormal):
        normalise("phone", text)


def test_email_addresses() -> None:
    assert normalise("email", " Ana.Li+x@Example.COM ") == "Ana.Li+x@example.com"
    assert normalise("email", "Ana Li <mailto:ana@example.com>") == "ana@example.com"
    for text in ("", "ana", "ana@", "@x.de", "a b@x.de", "a@x", "a@-x.de", "a..b@x.de", ".a@x.de", "a@x.de\nb@x.de"):
        with pytest.raises(NotNormal):
            normalise("email", text)


@given(st.text("0123456789", min_size=18, max_size=18), st.integers(0, 17), st.integers(1, 9))
def test_an_iban_with_one_wrong_digit_is_noticed(account: str, place: int, shift: int) -> None:
    check = 98 - int(account + "131400") % 97
    plain = f"DE{check:02}{account}"
    wrong = plain[: place + 4] + str((int(plain[place + 4]) + shift) % 10) + plain[place + 5 :]

    assert normalise("iban", " ".join(plain[at : at + 4] for at in range(0, 22, 4)).lower()) == plain
    assert not iban_is_valid(wrong)


def test_an_iban_of_the_wrong_length_is_noticed_though_its_check_digits_are_right() -> None:
    account = "37040044053201300"
    assert not iban_is_valid(f"DE{98 - int(account + '131400') % 97:02}{account}")


def test_ibans() -> None:
    assert normalise("iban", "IBAN: GB82 WEST 1234 5698 7654 32") == "GB82WEST12345698765432"
    for text in ("", "DE89370400440532013001", "DE8937040044053201300", "GB82"):
        with pytest.raises(NotNormal):
            normalise("iban", text)


def test_text_rules() -> None:
    assert normalise("trim", "  a  b ") == "a  b"
    assert normalise("collapse", " a \n\t b ") == "a b"
    assert normalise("nfc", "e\u0301") == "\u00e9"
    assert (normalise("lower", "ÄB"), normalise("upper", "äb")) == ("äb", "ÄB")


@given(
    st.sampled_from(["trim", "collapse", "lower", "nfc", "date", "date-dmy", "email", "iban", "phone", "phone+49"]),
    st.text(),
)
def test_normalising_twice_changes_nothing(rule: str, text: str) -> None:
    try:
        once = normalise(rule, text)
    except NotNormal:
        return
    assert normalise(rule, once) == once


@given(st.sampled_from(["cents", "date", "email", "phone"]), st.text(min_size=4))
def test_a_refusal_never_shows_the_value(rule: str, text: str) -> None:
    try:
        normalise(rule, f"<{text}>")
    except NotNormal as error:
        refusal = str(error)
        assert f"<{text}>" not in refusal
