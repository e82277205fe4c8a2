"""Canonical forms of what people type: spaces, dates, amounts of money, phone numbers, e-mail addresses, IBANs."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from orchestrion.core import Json


class NotNormal(ValueError):
    """The value has no canonical form; the message continues the field's name and never shows the value."""


RULE_PATTERN = r"^(trim|collapse|lower|upper|nfc|date|date-dmy|date-mdy|cents|email|iban|phone(\+[1-9][0-9]{0,2})?)$"
"""What a rule may be called."""


def normalise(rule: str, value: Json) -> Json:
    """The canonical form of `value` under `rule`; applying it again changes nothing, except for `cents`.

    Raises: NotNormal.
    """
    name, plus, country = rule.partition("+")
    if name == "cents":
        return cents(value)
    if not isinstance(value, str):
        raise NotNormal("must be text")
    if plus:
        return phone(value, country)
    return _TEXT_RULES[name](value)


def collapse(text: str) -> str:
    """Every run of white space, line breaks included, becomes one space; none at the ends."""
    return " ".join(text.split())


def cents(value: Json) -> int:
    """An amount of money in a currency with hundredths, as a whole number of them: `"1.234,56 €"` is 123456.

    Either `.` or `,` may be the decimal mark: it is the one with one or two digits behind it; groups have three. Numbers
    are taken as whole units of currency, so 12 is 1200.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise NotNormal("must be an amount")
    if isinstance(value, str):
        return _cents_of_text(value)
    exact = Decimal(str(value)) * 100
    if not exact.is_finite() or exact != exact.to_integral_value():
        raise NotNormal("must be an amount with at most two decimals")
    return int(exact)


_CURRENCY = r"(?:€|\$|£|EUR|USD|GBP|CHF|Fr\.|SEK|NOK|DKK|PLN|CZK|AUD|CAD|NZD)"
_AMOUNT = re.compile(
    rf"""
    (?P<open>\()? (?P<minus>-)? (?:{_CURRENCY})? (?P<inner>-)?
    (?P<whole>[1-9][0-9]{{0,2}}(?P<group>[.,'])[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*|[0-9]+)
    (?:(?P<mark>[.,])(?P<part>[0-9]{{1,2}}|-))?
    (?:{_CURRENCY})? (?P<trailing>-)? (?:{_CURRENCY})? (?P<close>\))?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def _cents_of_text(text: str) -> int:
    plain = "".join(text.split()).replace("\u2212", "-").replace("\u2013", "-").replace("\u2019", "'")
    found = _AMOUNT.fullmatch(plain)
    if not found or len(plain) > 40:
        raise NotNormal("must be an amount such as 1.234,56 or 1,234.56")
    signs = [found[name] for name in ("minus", "inner", "trailing") if found[name]]
    bracketed, closed = bool(found["open"]), bool(found["close"])
    two_marks_alike = found["group"] is not None and found["group"] == found["mark"]
    if bracketed != closed or len(signs) + bracketed > 1 or two_marks_alike:
        raise NotNormal("must be an amount such as 1.234,56 or 1,234.56")
    whole = re.sub(r"[^0-9]", "", found["whole"])
    part = (found["part"] or "").replace("-", "")
    amount = int(whole) * 100 + int(part.ljust(2, "0") or "0")
    return -amount if signs or bracketed else amount


_ISO_DATE = re.compile(r"([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[T ][0-9:.,+Z -]*)?")
_LOCAL_DATE = re.compile(r"([0-9]{1,2})([./-])\s?([0-9]{1,2})\2\s?([0-9]{4})")


def iso_date(text: str, order: str | None = None) -> str:
    """`2030-01-31` from that, `2030/1/31`, `31.1.2030`, or with slashes; the time of day is dropped.

    `31.1.2030` is always day first. Where day and month could be either way round, `order` ("dmy", "mdy") decides.
    """
    text = text.strip()
    if found := _ISO_DATE.fullmatch(text):
        return _date(found[1], found[2], found[3])
    if not (found := _LOCAL_DATE.fullmatch(text)):
        raise NotNormal("must be a date such as 2030-01-31 or 31.01.2030")
    first, separator, second, year = found.groups()
    if order == "mdy" and separator != ".":
        return _date(year, first, second)
    if order == "dmy" or separator == "." or int(first) > 12 or first == second:
        return _date(year, second, first)
    if int(second) > 12:
        return _date(year, first, second)
    raise NotNormal("could be two different dates: say date-dmy (day first) or date-mdy (month first)")


def _date(year: str, month: str, day: str) -> str:
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise NotNormal("must be a date that exists") from None


_EMAIL = re.compile(
    r"(?!\.)[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?<!\.)@((?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))+)"
)


def email(text: str) -> str:
    """The address alone, without a name or `mailto:`, its domain in lower case. (Before the @, case may matter.)"""
    text = text.strip()
    if text.endswith(">") and "<" in text:
        text = text[text.rindex("<") + 1 : -1].strip()
    text = re.sub(r"^mailto:", "", text, flags=re.IGNORECASE)
    if len(text) > 254 or ".." in text or not _EMAIL.fullmatch(text):
        raise NotNormal("must be an e-mail address")
    local, _, domain = text.rpartition("@")
    return f"{local}@{domain.lower()}"


def iban(text: str) -> str:
    """Without spaces, in capitals, its check digits right."""
    plain = re.sub(r"[\s-]", "", text).upper()
    plain = plain.removeprefix("IBAN").lstrip(":")
    if not iban_is_valid(plain):
        raise NotNormal("must be an IBAN whose check digits are right")
    return plain


def iban_is_valid(plain: str) -> bool:
    """Whether `plain` (capitals, no spaces) has an IBAN's form and remainder. Source: ISO 13616 and ISO 7064, MOD 97-10."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", plain, re.ASCII):
        return False
    length = _IBAN_LENGTHS.get(plain[:2])
    if length is not None and len(plain) != length:
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


_IBAN_LENGTHS: Mapping[str, int] = {
    "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18,
    "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24,
}  # fmt: skip


_KEEP_THEIR_ZERO = {"39", "378"}
"""Italy and San Marino: the leading zero of a national number is part of the international one."""


def phone(text: str, country: str | None = None) -> str:
    """`+493012345678` (E.164). A number without a country belongs to `country`, such as "49"; without that it is refused."""
    digits = re.sub(r"(?<=.)\(0\)", "", text.strip())
    digits = re.sub(r"^tel:", "", digits, flags=re.IGNORECASE)
    digits = re.sub(r"[\s()./\u2010-\u2013-]", "", digits)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not digits.startswith("+"):
        if country is None:
            raise NotNormal("must be a phone number with its country, such as +49 30 1234567")
        digits = f"+{country}{_without_trunk_prefix(digits, country)}"
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", digits, re.ASCII):
        raise NotNormal("must be a phone number such as +49 30 1234567")
    return digits


def _without_trunk_prefix(national: str, country: str) -> str:
    if country == "1":
        return national[1:] if len(national) == 11 and national.startswith("1") else national
    return national if country in _KEEP_THEIR_ZERO else national.removeprefix("0")


_TEXT_RULES: Mapping[str, Callable[[str], Any]] = {  # values are JSON
    "trim": str.strip,
    "collapse": collapse,
    "lower": str.lower,
    "upper": str.upper,
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "date": iso_date,
    "date-dmy": lambda text: iso_date(text, "dmy"),
    "date-mdy": lambda text: iso_date(text, "mdy"),
    "email": email,
    "iban": iban,
    "phone": phone,
}
