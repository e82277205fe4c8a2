"""Entities: amounts, dates and ids found in a message by simple patterns."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache

from orchestrion.core import Json

_NUMBER = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?"
_CURRENCY = r"€|\$|£|EUR\b|USD\b|GBP\b|CHF\b|euros?\b|dollars?\b|pounds?\b|francs?\b|bucks\b"
_MONEY = (
    re.compile(rf"(?:{_CURRENCY})\s?(?P<n>{_NUMBER})(?![\d])", re.IGNORECASE),
    re.compile(rf"(?<![\w.,])(?P<n>{_NUMBER})\s?(?:{_CURRENCY})", re.IGNORECASE),
    re.compile(r"(?<![\w.,-])(?P<n>\d+[.,]\d{2})(?![\w]|[.,]\d)"),
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = r"(?P<m>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATES = (
    re.compile(r"(?<!\d)(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?!\d)"),
    re.compile(r"(?<!\d)(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})(?!\d)"),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\.? (?:of )?{_MONTH},? (?P<y>\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"\b{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})\b", re.IGNORECASE),
)
_PLAIN = re.compile(r"(?<![\w.,-])\d+(?![\w]|[.,]\d)")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


def _cents(text: str) -> int:
    """`1.250,50`, `1,250.5`, `1 250` → cents. A last separator with one or two digits behind it is the decimal one."""
    parts = re.fullmatch(r"(?P<whole>.*?)(?:[.,](?P<part>\d{1,2}))?", text)
    assert parts is not None  # both halves may be empty
    whole = re.sub(r"\D", "", parts["whole"])
    return int(whole) * 100 + int((parts["part"] or "0").ljust(2, "0"))


def _money(text: str) -> Json:
    for pattern in _MONEY:
        if found := pattern.search(text):
            return _cents(found["n"])
    return None


def _day(found: re.Match[str]) -> str | None:
    month = found["m"].casefold()[:3]
    number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
    try:
        return date(int(found["y"]), number, int(found["d"])).isoformat()
    except ValueError:
        return None


def _date(text: str) -> Json:
    days = (_day(found) for pattern in _DATES for found in pattern.finditer(text))
    return next((day for day in days if day), None)


def _number(text: str) -> Json:
    found = _PLAIN.search(text)
    return int(found[0]) if found and len(found[0]) <= 15 else None


def _email(text: str) -> Json:
    found = _EMAIL.search(text)
    return found[0] if found else None


KINDS: Mapping[str, Callable[[str], Json]] = {"money": _money, "date": _date, "number": _number, "email": _email}


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """A playbook's regular expression; case does not matter."""
    return re.compile(pattern, re.IGNORECASE)


def matched(pattern: str, text: str) -> Json:
    """The first group of the first match, or all of it; None without one."""
    found = compiled(pattern).search(text)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]
