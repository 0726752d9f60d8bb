"""Quantities, dates, times and product codes of a text, in a common form."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.words import STOP_WORDS

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar",
            "february feb februar",
            "march mar märz",
            "april apr",
            "may mai",
            "june jun juni",
            "july jul juli",
            "august aug",
            "september sep sept",
            "october oct oktober",
            "november nov",
            "december dec dezember",
        ),
        start=1,
    )
    for name in names.split()
}
MONTH_NAMES = {number: name for name, number in reversed(_MONTHS.items())}
_MONTH = "(?P<m>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})\b",
        r"\b(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})\b",
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}(?:,?\s+(?P<y>\d{{4}})\b)?",
        rf"\b{_MONTH}\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?[%:])(?:,?\s+(?P<y>\d{{4}})\b)?",
        rf"\b{_MONTH},?\s+(?P<y>\d{{4}})\b",
    )
)
_TIME = re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s?(a\.?m\b\.?|p\.?m\b\.?)|\b([01]?\d|2[0-4]):([0-5]\d)\b", re.IGNORECASE)

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * at for at, word in enumerate(_TENS.split(), 2)
}
_SMALL = "|".join(_ONES.split())
_TENTHS = _TENS.replace(" ", "|")
_NUMBER_WORD = re.compile(
    rf"\b(?:(?P<tens>{_TENTHS})(?:[-\s](?P<one>{_SMALL}))?|(?P<small>{_SMALL}))(?P<hundred>[-\s]hundred)?\b",
    re.IGNORECASE,
)
_SCALES = {"hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "mio": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}
CURRENCIES = {
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "€": "EUR", "eur": "EUR",
    "euro": "EUR", "euros": "EUR", "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "¥": "JPY",
    "jpy": "JPY", "yen": "JPY", "chf": "CHF", "franc": "CHF", "francs": "CHF", "czk": "CZK", "kč": "CZK",
    "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN", "cad": "CAD", "aud": "AUD", "inr": "INR", "cny": "CNY",
    "cent": "cent", "cents": "cent",
}  # fmt: skip
UNITS = CURRENCIES | {
    spelling: spellings.split()[0]
    for spellings in (
        "% percent pct", "second seconds sec secs", "minute minutes min mins", "hour hours hr hrs h", "day days",
        "week weeks wk wks", "month months", "year years yr yrs", "night nights",
        "km kilometre kilometres kilometer kilometers", "mile miles mi", "m metre metres meter meters",
        "cm centimetre centimetres centimeter centimeters", "mm millimetre millimetres millimeter millimeters",
        "inch inches", "foot feet ft", "kg kilogram kilograms kilo kilos", "g gram grams",
        "mg milligram milligrams", "lb lbs", "ton tons tonne tonnes", "l litre litres liter liters", "ml",
        "cup cups", "tablespoon tablespoons tbsp", "teaspoon teaspoons tsp", "ounce ounces oz", "kb", "mb", "gb",
        "tb", "w watt watts", "kw", "mw", "kwh", "v volt volts", "kv", "ma", "hz", "khz", "mhz", "ghz",
        "°c celsius", "°f fahrenheit", "° degree degrees", "bar", "mbar", "psi", "pa", "kpa", "mpa", "ppm", "ppb",
        "rpm", "px", "bps", "calorie calories kcal",
    )
    for spelling in spellings.split()
}  # fmt: skip
_DAY_KINDS = {
    "working": "working",
    "business": "working",
    "work": "working",
    "calendar": "calendar",
    "consecutive": "calendar",
}
CODE = re.compile(
    r"(?<![\w-])(?!(?:USD|EUR|GBP|CHF|CZK|SEK)\d)[A-Za-z]{1,12}[-_/]?\d[\w]*(?:[-_./]\w+)*"
    r"|\b(?!\d{1,3}(?:\.\d{3}){2,}\b)[vV]?\d+(?:\.\d+){2,}\w*"
)
_NUMBER = re.compile(
    r"(?P<currency>(?:US\$|[$€£¥]|\b(?:USD|EUR|GBP|CHF|CZK|SEK|NOK|DKK|PLN|JPY|CAD|AUD|INR|CNY))\s?)?"
    r"(?P<digits>\d{1,3}(?:[,' \u2019]\d{3})+(?!\d)(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}(?!\d)|\d+(?:[.,]\d+)?)"
    r"(?:[\s-]?(?P<scale>hundred|thousand|million|billion|mio|bn|k|m)\b)?",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"[\s-]?(?P<first>%|°\s?[CF]?|[$€£]|per\s?cent\b|[^\W\d_]+)(?:[\s-](?P<second>[^\W\d_]+))?", re.IGNORECASE
)
_RANGE = re.compile(r"\s*(?:-|–|—|to|and|or|through|bis)\s*[$€£]?", re.IGNORECASE)
_LEAST = re.compile(
    r"(?:at least|no less than|not less than|no fewer than|not fewer than|minimum(?: of)?|exceeding|exceeds?"
    r"|(?<!no )(?<!not )(?:more|longer) than)\W{0,3}$",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:at most|up to|no more than|not more than|maximum(?: of)?|(?<!no )(?<!not )(?:less|fewer) than"
    r"|no longer than|within|no later than|not later than|not exceed(?:ing)?)\W{0,3}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit ("" where it has none) and bound: "least", "most" or ""."""

    value: float
    unit: str = ""
    bound: str = ""


def take_dates(text: str) -> tuple[str, list[tuple[int, int, int]]]:
    """Return the text without its dates, and the dates as (year, month, day), 0 where a part is not said."""
    dates: list[tuple[int, int, int]] = []

    def take(found: re.Match[str]) -> str:
        parts = found.groupdict()
        month = _MONTHS.get(parts["m"].lower()) or (int(parts["m"]) if parts["m"].isdigit() else 0)
        day = int(parts.get("d") or 0)
        if parts["m"] == "may" or not 1 <= month <= 12 or day > 31:  # the verb; a version number
            return found[0]
        dates.append((int(parts.get("y") or 0), month, day))
        return " , "

    for pattern in _DATES:
        text = pattern.sub(take, text)
    return text, dates


def take_times(text: str) -> tuple[str, set[tuple[int, int]]]:
    """Return the text without its times of day, and the times as (hour, minute)."""
    times: set[tuple[int, int]] = set()

    def take(found: re.Match[str]) -> str:
        hour, minute = int(found[1] or found[4]), int(found[2] or found[5] or 0)
        if found[3]:
            hour = hour % 12 + (12 if found[3][0] in "pP" else 0)
        times.add((hour, minute))
        return " , "

    return _TIME.sub(take, text), times


def _digits_for_words(text: str) -> str:
    def digits(found: re.Match[str]) -> str:
        alone = (found["small"] or "").lower() == "one" and not found["hundred"]
        if alone and not _unit(text, found.end()):
            return found[0]  # "one of the", "no one"
        value = sum(_WORDS[part.lower()] for part in (found["tens"], found["one"], found["small"]) if part)
        return str(value * 100 if found["hundred"] else value)

    return _NUMBER_WORD.sub(digits, text)


def quantities(text: str) -> list[Quantity]:
    """Return the numbers of `text`, in digits or words, with unit and bound; dates, times and codes are out."""
    text = _digits_for_words(text)
    found = list(_NUMBER.finditer(text))
    amounts: list[Quantity] = []
    for at in reversed(range(len(found))):
        number = found[at]
        currency = (number["currency"] or "").strip().lower()
        scale = (number["scale"] or "").lower()
        end = number.end()
        if scale == "m" and not currency:  # metres, not millions
            scale, end = "", number.start("scale")
        unit = CURRENCIES.get(currency, "") or _unit(text, end)
        if not unit and at + 1 < len(found) and _RANGE.fullmatch(text, end, found[at + 1].start()):
            unit = amounts[-1].unit
        before = text[max(0, number.start() - 24) : number.start()]
        bound = "least" if _LEAST.search(before) else "most" if _MOST.search(before) else ""
        amounts.append(Quantity(_value(number["digits"]) * _SCALES.get(scale, 1.0), unit, bound))
    return amounts[::-1]


def _value(digits: str) -> float:
    if re.fullmatch(r"\d+,\d{1,2}", digits):  # a decimal comma
        return float(digits.replace(",", "."))
    if digits.count(".") > 1:
        digits = digits.replace(".", "")
    return float(re.sub(r"[,' \u2019]", "", digits))


def _unit(text: str, end: int) -> str:
    found = _UNIT.match(text, end)
    if not found:
        return ""
    first = re.sub(r"\s", "", found["first"].lower())
    second = (found["second"] or "").lower()
    if second in {"day", "days"} and first in _DAY_KINDS:
        return f"{_DAY_KINDS[first]} day"
    if first in {"degree", "degrees"} and second[:1] in {"c", "f"}:
        return f"°{second[0]}"
    return UNITS.get(first, "") or (UNITS.get(second, "") if len(second) > 2 and first not in STOP_WORDS else "")
