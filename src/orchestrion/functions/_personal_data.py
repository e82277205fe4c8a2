"""Personal data in text, recognised by structure and checksum rather than by guessing."""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

_GAP = r"[\s./_-]{0,3}"
_DIGIT_RUN = re.compile(rf"[0-9]+(?:{_GAP}\+?[0-9]+)*")
_IBAN_START = re.compile(rf"(?<![A-Z0-9])[A-Z]{_GAP}[A-Z]{_GAP}[0-9]{_GAP}[0-9]")
_SPANISH = re.compile(
    rf"(?<![A-Z0-9])(?:[XYZ]{_GAP}[0-9](?:{_GAP}[0-9]){{6}}|[0-9](?:{_GAP}[0-9]){{7}}){_GAP}[A-Z](?![A-Z0-9])"
)
_SSN = re.compile(r"(?<![A-Z0-9-])([0-9]{3})([- ])([0-9]{2})\2([0-9]{4})(?![A-Z0-9-])")
_EMAIL = re.compile(r"(?<![A-Z0-9._%+-])[A-Z0-9][A-Z0-9._%+-]{0,63}@[A-Z0-9-]{1,63}(?:\.[A-Z0-9-]{1,63}){1,8}")
_PHONE = re.compile(r"(?<![A-Z0-9+])(?:\+|00)[1-9](?:[ ()./-]{0,2}[0-9]){7,13}(?![0-9])")
_DIGIT_BEFORE = re.compile(rf"[0-9]{_GAP}$")
_DIGIT_AFTER = re.compile(rf"{_GAP}[0-9]")
_CONTEXT_CHARS = 60
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹘﹣－"), "-")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"), " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A piece of personal data. `value` never leaves the guard."""

    kind: str
    value: str
    """Letters and digits alone, in capitals; an e-mail address as written, in capitals."""
    certain: bool
    """Whether a checksum and a distinctive form, or the words around it, leave little doubt."""
    why: str
    start: int
    end: int

    @property
    def redacted(self) -> str:
        """Enough to find it again, too little to use it."""
        match self.kind:
            case "email":
                return f"{self.value[0].lower()}…@…"
            case "payment-card":
                return f"…{self.value[-4:]}"
            case "iban":
                return f"{self.value[:2]}…{self.value[-4:]}"
            case _:
                return f"…{self.value[-2:]}"


def find_personal_data(text: str, *, contacts: bool = False) -> list[Found]:
    """What `text` holds, in order, nothing twice. Digits of all scripts count, and so do spaces and dashes between them.

    `contacts` adds e-mail addresses and phone numbers, which carry no checksum.
    """
    plain = _plain(text)
    taken = list[Found]()
    starts = list[int]()
    for found in _candidates(plain, contacts=contacts):
        at = bisect_right(starts, found.start)
        after, before = taken[at : at + 1], taken[max(0, at - 1) : at]
        if all(found.end <= other.start for other in after) and all(other.end <= found.start for other in before):
            taken.insert(at, found)
            starts.insert(at, found.start)
    return taken


def squeezed(value: str) -> str:
    """A value without what people put between its characters: two that mean the same compare equal."""
    return re.sub(r"[\s./_-]", "", _plain(value))


def _plain(text: str) -> str:
    """The same text, character by character, in capitals, ASCII digits, plain dashes and visible gaps."""
    if text.isascii():
        return text.upper()
    return "".join(_plain_character(character) for character in text.translate(_DASHES).translate(_INVISIBLE))


def _plain_character(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKC", character)
    upper = (folded if len(folded) == 1 else character).upper()
    return upper if len(upper) == 1 else character


def _candidates(text: str, *, contacts: bool) -> Iterator[Found]:
    """All that passes its check, the most distinctive first."""
    yield from _ibans(text)
    yield from _cards(text)
    yield from _spanish(text)
    if contacts:
        yield from _by_form(text, _EMAIL, "email", "an e-mail address")
        yield from _by_form(text, _PHONE, "phone", "a phone number in international form")
    for match in _SSN.finditer(text):
        area, group, serial = match[1], match[3], match[4]
        if area not in ("000", "666") and area < "900" and group != "00" and serial != "0000":
            yield _found(
                "national-id-us", match, "the form of a US social security number, which has no checksum", False
            )
    yield from _numbers(text)


def _found(kind: str, match: re.Match[str], why: str, certain: bool) -> Found:
    return Found(kind=kind, value=squeezed(match[0]), certain=certain, why=why, start=match.start(), end=match.end())


def _by_form(text: str, pattern: re.Pattern[str], kind: str, what: str) -> Iterator[Found]:
    for match in pattern.finditer(text):
        value = match[0] if kind == "email" else squeezed(match[0])
        yield Found(
            kind=kind, value=value, certain=False, why=f"the form of {what}", start=match.start(), end=match.end()
        )


# --- IBAN -----------------------------------------------------------------------------------------------------------

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FO FI GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}


def _ibans(text: str) -> Iterator[Found]:
    """Source: ISO 13616-1; lengths from the IBAN registry kept by SWIFT; check digits ISO/IEC 7064, MOD 97-10."""
    for match in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(squeezed(match[0])[:2])
        end = _end_of(text, match.start(), length) if length else None
        if end is None or (end < len(text) and text[end].isalnum()):
            continue
        value = squeezed(text[match.start() : end])
        if is_iban(value):
            why = "an account number whose check digits are right (ISO 13616, modulo 97)"
            yield Found(kind="iban", value=value, certain=True, why=why, start=match.start(), end=end)


def _end_of(text: str, start: int, length: int) -> int | None:
    """Where `length` letters and digits from `start` on end, small gaps between them left out of the count."""
    gap = 0
    for position in range(start, len(text)):
        if text[position].isascii() and text[position].isalnum():
            length, gap = length - 1, 0
        else:
            gap += 1
            if gap > 3 or not re.match(r"[\s./_-]", text[position]):
                return None
        if length == 0:
            return position + 1
    return None


def is_iban(value: str) -> bool:
    """Whether letters and digits without gaps are an IBAN with right check digits."""
    if _IBAN_LENGTHS.get(value[:2]) != len(value) or not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+", value):
        return False
    return int("".join(str(int(character, 36)) for character in value[4:] + value[:4])) % 97 == 1


# --- payment cards --------------------------------------------------------------------------------------------------

_ISSUERS: Sequence[tuple[range, range]] = (
    (range(4000, 5000), range(16, 20, 3)),  # Visa; every tenth German article number would pass for one of 13 digits
    (range(5100, 5600), range(16, 17)),
    (range(2221, 2721), range(16, 17)),  # Mastercard
    (range(3400, 3500), range(15, 16)),
    (range(3700, 3800), range(15, 16)),  # American Express
    (range(6011, 6012), range(16, 20, 3)),
    (range(6440, 6600), range(16, 20, 3)),  # Discover
    (range(3000, 3060), range(14, 20)),
    (range(3095, 3096), range(14, 20)),
    (range(3600, 3700), range(14, 20)),
    (range(3800, 4000), range(16, 20)),  # Diners Club
    (range(3528, 3590), range(16, 20)),  # JCB
    (range(6200, 6300), range(16, 20)),
    (range(8100, 8172), range(16, 20)),  # UnionPay
    *(
        (range(prefix, prefix + 1), range(12, 20)) for prefix in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)
    ),  # Maestro
)
"""First four digits, and the lengths issued. Source: ISO/IEC 7812-1 and the schemes' published ranges."""

_LENGTHS = {str(prefix): lengths for prefixes, lengths in _ISSUERS for prefix in prefixes}


def is_luhn(digits: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) << (position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """Whether some issuer gives out numbers of this beginning and length, and the check digit is right."""
    return len(digits) in _LENGTHS.get(digits[:4], ()) and is_luhn(digits)


def _cards(text: str) -> Iterator[Found]:
    for digits, start, end in _windows(text, (19, 18, 17, 16, 15, 14, 13, 12)):
        if is_card(digits):
            why = "a payment card number whose check digit is right (Luhn)"
            yield Found(kind="payment-card", value=digits, certain=True, why=why, start=start, end=end)


# --- national numbers -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _National:
    kind: str
    lengths: Sequence[int]
    check: Callable[[str], bool]
    words: re.Pattern[str] | None
    """Where one number in ten or so passes by chance: what must stand before it to leave little doubt. Without these words, it
    is doubtful when it stands alone, and nothing when it is part of a longer row of digits."""
    why: str


def is_bsn(digits: str) -> bool:
    """Dutch burgerservicenummer. Source: Logisch Ontwerp BRP, the "elfproef" (weights 9 to 2 and -1, modulo 11)."""
    weighted = sum(int(digit) * weight for digit, weight in zip(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), strict=True))
    return weighted % 11 == 0 and int(digits) > 0


def is_personnummer(digits: str) -> bool:
    """Swedish personnummer or samordningsnummer, 10 or 12 digits. Source: Skatteverket, SKV 704 and SKV 707 (Luhn over ten digits)."""
    year, month, day = int(digits[:-8]), int(digits[-8:-6]), int(digits[-6:-4])
    if len(digits) == 12 and not 1800 <= year < 2100:
        return False
    try:
        date(year if len(digits) == 12 else 2000 + year, month, day - 60 if day > 60 else day)
    except ValueError:
        return False
    return is_luhn(digits[-10:])


def is_steuer_id(digits: str) -> bool:
    """German tax identification number. Source: Bundeszentralamt für Steuern, ISO/IEC 7064 MOD 11,10; one digit repeats."""
    repeats = sorted(count for count in (digits[:10].count(digit) for digit in "0123456789") if count > 1)
    if digits[0] == "0" or repeats not in ([2], [3]):
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


_NATIONAL = (
    _National(
        "national-id-se",
        (12, 10),
        is_personnummer,
        None,
        "a Swedish personal number with a real date and a right check digit",
    ),
    _National(
        "national-id-de",
        (11,),
        is_steuer_id,
        re.compile(r"STEUER|\bTAX\b|\bTIN\b|IDNR|ID-NR"),
        "a German tax number whose check digit is right (modulo 11, 10)",
    ),
    _National(
        "national-id-nl",
        (9,),
        is_bsn,
        re.compile(r"\bBSN\b|BURGERSERVICE|SOFI"),
        "nine digits that pass the check of Dutch citizen numbers (modulo 11)",
    ),
)


def _numbers(text: str) -> Iterator[Found]:
    for national in _NATIONAL:
        for digits, start, end in _windows(text, national.lengths):
            before, after = text[max(0, start - _CONTEXT_CHARS) : start], text[end : end + 4]
            if before[-1:].isalnum() or after[:1].isalnum() or not national.check(digits):
                continue
            certain = national.words is None or bool(national.words.search(before))
            if certain or not (_DIGIT_BEFORE.search(before) or _DIGIT_AFTER.match(after)):
                why = national.why
                yield Found(kind=national.kind, value=digits, certain=certain, why=why, start=start, end=end)


_SPANISH_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_spanish_id(value: str) -> bool:
    """DNI or NIE. Source: Ministerio del Interior, "Cálculo del dígito de control del NIF-NIE" (modulo 23)."""
    number = str("XYZ".find(value[0])) + value[1:-1] if value[0] in "XYZ" else value[:-1]
    return _SPANISH_LETTERS[int(number) % 23] == value[-1]


def _spanish(text: str) -> Iterator[Found]:
    for match in _SPANISH.finditer(text):
        if is_spanish_id(squeezed(match[0])):
            yield _found("national-id-es", match, "a Spanish identity number whose letter is right (modulo 23)", True)


def _windows(text: str, lengths: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Digits of one of the `lengths`, made of whole groups that stand close together; and their start and end."""
    longest, wanted = max(lengths), set(lengths)
    for run in _DIGIT_RUN.finditer(text):
        groups = [(run.start() + each.start(), each[0]) for each in re.finditer("[0-9]+", run[0])]
        for first, (start, _) in enumerate(groups):
            digits, windows = "", list[tuple[str, int, int]]()
            for at, group in groups[first : first + longest]:
                digits += group
                if len(digits) > longest:
                    break
                if len(digits) in wanted:
                    windows.append((digits, start, at + len(group)))
            yield from reversed(windows)
