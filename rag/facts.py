"""Hard facts of a sentence in a common form: quantities, dates, times, names, and what it denies.

Two sentences can share every word but one and say the opposite; embeddings and rerankers hardly see it. These checks do, by rules.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
        )
        + ("august aug", "september sep sept", "october oct oktober", "november nov", "december dec dezember"),
        start=1,
    )
    for name in names.split()
}
_MONTH_NAMES = {number: name for name, number in reversed(_MONTHS.items())}
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

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_ONES.split())} | {
    word: 10 * at for at, word in enumerate(_TENS.split(), 2)
}
_SMALL = "|".join(_ONES.split())
_NUMBER_WORD = re.compile(
    rf"\b(?:(?P<tens>{_TENS.replace(' ', '|')})(?:[-\s](?P<one>{_SMALL}))?|(?P<small>{_SMALL}))(?P<hundred>[-\s]hundred)?\b",
    re.IGNORECASE,
)
_SCALES = {"hundred": 1e2, "thousand": 1e3, "k": 1e3, "million": 1e6, "mio": 1e6, "m": 1e6, "billion": 1e9, "bn": 1e9}
_CURRENCIES = {
    "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD", "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "¥": "JPY", "jpy": "JPY", "yen": "JPY", "chf": "CHF", "franc": "CHF",
    "francs": "CHF", "czk": "CZK", "kč": "CZK", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN", "cad": "CAD", "aud": "AUD",
    "inr": "INR", "cny": "CNY", "cent": "cent", "cents": "cent",
}  # fmt: skip
_UNITS = _CURRENCIES | {
    spelling: spellings.split()[0]
    for spellings in (
        "% percent pct", "second seconds sec secs", "minute minutes min mins", "hour hours hr hrs h", "day days", "week weeks wk wks",
        "month months", "year years yr yrs", "night nights", "km kilometre kilometres kilometer kilometers", "mile miles mi",
        "m metre metres meter meters", "cm centimetre centimetres centimeter centimeters", "mm millimetre millimetres millimeter millimeters",
        "inch inches", "foot feet ft", "kg kilogram kilograms kilo kilos", "g gram grams", "mg milligram milligrams", "lb lbs",
        "ton tons tonne tonnes", "l litre litres liter liters", "ml", "cup cups", "tablespoon tablespoons tbsp", "teaspoon teaspoons tsp",
        "ounce ounces oz", "kb", "mb", "gb", "tb", "w watt watts", "kw", "mw", "kwh", "v volt volts", "kv", "ma", "hz", "khz", "mhz", "ghz",
        "°c celsius", "°f fahrenheit", "° degree degrees", "bar", "mbar", "psi", "pa", "kpa", "mpa", "ppm", "ppb", "rpm", "px", "bps",
        "calorie calories kcal",
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
_CODE = re.compile(
    r"\b(?!(?:USD|EUR|GBP|CHF|CZK|SEK)\d)[A-Za-z]{1,12}[-_/]?\d[\w]*(?:[-_./]\w+)*|\b(?!\d{1,3}(?:\.\d{3}){2,}\b)[vV]?\d+(?:\.\d+){2,}\w*"
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
    r"(?:at least|no less than|not less than|no fewer than|not fewer than|minimum(?: of)?|(?<!no )(?<!not )more than|(?<!no )(?<!not )longer than"
    r"|exceeding|exceeds?)\W{0,3}$",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:at most|up to|no more than|not more than|maximum(?: of)?|(?<!no )(?<!not )less than|(?<!no )(?<!not )fewer than|no longer than|within"
    r"|no later than|not later than|not exceed(?:ing)?)\W{0,3}$",
    re.IGNORECASE,
)

_WORD = re.compile(r"[^\W\d_][\w]*(?:['’][^\W\d_]+)?|\d[\w]*")
_SENTENCE_START = re.compile(r"(?:^|[.!?:;|\n•>\"“”(\[])[\s*_\"“'‘(\[|>-]*$")
_TOKEN = re.compile(r"[\w'’-]+|[.,;:!?()—–]")
_CUES = frozenset(
    "not no never without cannot neither nor none nobody nothing nowhere unless except excluding excludes exclude excluded".split()
)
_NO_DENIAL = re.compile(
    r"\bnot only\b|\b(?:no|not) (?:later|more|less|fewer|longer) than\b|\bnot (?:to )?exceed\w*|\bno\.? ?(?=\d)|\bwhether or not\b|^\W*no,|\bno doubt\b",
    re.IGNORECASE,
)
_SCOPE = 4  # content words behind a negation that it is taken to deny, up to the next clause

STOP_WORDS = frozenset(
    "a about above after again all also am an and any are as at be because been before being between both but by can could did do does doing "
    "down during each etc few for from further had has have having he her here hers him his how i if in into is it its itself just let me more "
    "most my no nor not now of off on once only or other our ours out over own per same shall she should so some such than that the their "
    "theirs them then there these they this those through to too under until up upon us very was we were what when where which while who whom "
    "whose why will with within without would you your yours may might must cannot never none neither unless except however therefore thus "
    "e.g i.e".split()
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit ("" where it has none) and bound: "least", "most" or ""."""

    value: float
    unit: str = ""
    bound: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What must agree. Dates are (year, month, day) and times (hour, minute), 0 where not said; words are stems."""

    words: frozenset[str]
    quantities: tuple[Quantity, ...]
    dates: tuple[tuple[int, int, int], ...]
    times: frozenset[tuple[int, int]]
    codes: frozenset[str]
    names: frozenset[str]
    initials: str
    denied: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the Snowball stem of a lower-case word."""
    stemmed: str = _stemmer().stemWord(word)
    return stemmed


def words(text: str) -> list[str]:
    """Return the stems of all words and numbers, in order; possessives lose their 's."""
    return [stem(re.sub(r"['’](?:s|re|ve|ll|d|m)?$", "", word)) for word in _WORD.findall(text.lower())]


def content_words(text: str) -> list[str]:
    """Return the stems of the words that carry meaning, in order, with repetitions."""
    return [
        stem(re.sub(r"['’](?:s|re|ve|ll|d|m)?$", "", word))
        for word in _WORD.findall(text.lower())
        if word not in STOP_WORDS and not word.endswith(("n't", "n’t"))
    ]


def facts(text: str) -> Facts:
    """Return the facts of plain `text`, one or a few sentences.

    `1,000`, `1 000` and `1000` are one number; number words count up to ninety-nine hundred; `5 %`, `5 percent` are one, and so are `EUR 5`,
    `5 euros`, `€5`; dates come from ISO, `1 March 2026`, `March 1, 2026`, `01.03.2026`; names are capitalised words inside a sentence and
    acronyms anywhere.
    """
    text = unicodedata.normalize("NFKC", text)
    rest, dates = _take_dates(text)
    rest, times = _take_times(rest)
    codes = frozenset(re.sub(r"[-_/]", "", code).lower() for code in _CODE.findall(rest))
    quantities = tuple(_quantities(_digits_for_words(_CODE.sub(" ", rest))))
    capitals = [word[0] if word[0].isupper() else " " for word in _WORD.findall(text) if word.lower() not in STOP_WORDS]
    months = {stem(_MONTH_NAMES[month]) for _, month, _ in dates if month}
    return Facts(
        words=frozenset(words(text)) | months,
        quantities=quantities,
        dates=tuple(dates),
        times=frozenset(times),
        codes=codes,
        names=frozenset(_names(_CODE.sub(" ", rest))),
        initials="".join(capitals).lower(),
        denied=tuple(_denied(text)),
    )


def disagreement(claim: Facts, source: Facts, context: frozenset[str] = frozenset()) -> str:
    """Return the first fact of `claim` that `source` does not bear out, in words; "" if all agree.

    `context` are stems of the headings and title above the source: they may bear out names, nothing else.
    """
    for date in claim.dates:
        if not any(_same_date(date, other, source) for other in source.dates):
            return "date " + "-".join(f"{part:02d}" for part in date if part)
    if missing := claim.times - source.times:
        return "time {:02d}:{:02d}".format(*min(missing))
    if missing := claim.codes - source.codes - {word for word in source.words | context}:
        return f"code {min(missing)}"
    for quantity in claim.quantities:
        if not any(_same_quantity(quantity, other, source) for other in source.quantities) and not _date_part(
            quantity, source
        ):
            return f"number {quantity.value:g} {quantity.unit}".rstrip()
    known = source.words | context
    for name in sorted(claim.names):
        if stem(name) not in known and not (len(name) > 1 and name in source.initials):
            return f"name {name}"
    return _contradiction(claim, source)


def _take_dates(text: str) -> tuple[str, list[tuple[int, int, int]]]:
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


def _take_times(text: str) -> tuple[str, set[tuple[int, int]]]:
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


def _quantities(text: str) -> list[Quantity]:
    found = list(_NUMBER.finditer(text))
    quantities: list[Quantity] = []
    for at in reversed(range(len(found))):
        number = found[at]
        currency = (number["currency"] or "").strip().lower()
        scale = (number["scale"] or "").lower()
        end = number.end()
        if scale == "m" and not currency:  # metres, not millions
            scale, end = "", number.start("scale")
        unit = _CURRENCIES.get(currency, "") or _unit(text, end)
        if not unit and at + 1 < len(found) and _RANGE.fullmatch(text, end, found[at + 1].start()):
            unit = quantities[-1].unit
        before = text[max(0, number.start() - 24) : number.start()]
        bound = "least" if _LEAST.search(before) else "most" if _MOST.search(before) else ""
        quantities.append(Quantity(_value(number["digits"]) * _SCALES.get(scale, 1.0), unit, bound))
    return quantities[::-1]


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
    return _UNITS.get(first, "") or (_UNITS.get(second, "") if len(second) > 2 and first not in STOP_WORDS else "")


def _names(text: str) -> list[str]:
    if text.isupper():
        return []
    names = []
    for found in re.finditer(r"[^\W\d_]{2,}", text):
        word = found[0]
        acronym = sum(char.isupper() for char in word) > 1
        if not word[0].isupper() and not acronym:
            continue
        starts = _SENTENCE_START.search(text, 0, found.start()) if not acronym else None
        if not starts and word.lower() not in STOP_WORDS and word.lower() not in _CURRENCIES:
            names.append(word.lower())
    return names


def _denied(text: str) -> list[tuple[str, ...]]:
    tokens = _TOKEN.findall(_NO_DENIAL.sub(" ", text.lower()))
    scopes = []
    for at, token in enumerate(tokens):
        prefixed = token.startswith("non-")
        if not (token in _CUES or prefixed or token.endswith(("n't", "n’t"))):
            continue
        scope = [stem(token[4:])] if prefixed else []
        for following in [] if prefixed else tokens[at + 1 :]:
            if following in ".,;:!?()—–" or following == "but" or len(scope) == _SCOPE:
                break
            scope += content_words(following)
        scopes.append(tuple(scope[:_SCOPE]))
    return scopes


def _same_date(claim: tuple[int, int, int], other: tuple[int, int, int], source: Facts) -> bool:
    """Every part that the claim states stands in this source date, or, where it leaves the year out, elsewhere in the source."""
    year_elsewhere = not other[0] and any(quantity.value == claim[0] for quantity in source.quantities)
    return claim[1] == other[1] and (claim[2] in {0, other[2]}) and (claim[0] in {0, other[0]} or year_elsewhere)


def _same_quantity(claim: Quantity, other: Quantity, source: Facts) -> bool:
    if claim.value != other.value or (claim.bound and other.bound and claim.bound != other.bound):
        return False
    if claim.unit == other.unit or not claim.unit:
        return True
    if not other.unit:  # a table's cell: its unit stands in the header
        return claim.unit in source.words or any(_UNITS.get(word) == claim.unit for word in source.words)
    return {claim.unit, other.unit} in ({"day", "working day"}, {"day", "calendar day"}, {"°", "°c"}, {"°", "°f"})


def _date_part(claim: Quantity, source: Facts) -> bool:
    return not claim.unit and any(claim.value in date[::2] for date in source.dates)


def _contradiction(claim: Facts, source: Facts) -> str:
    """Say what one side denies and the other asserts. The first content word behind a negation is what it denies for sure."""
    denied_there = {word for scope in source.denied for word in scope}
    denied_here = {word for scope in claim.denied for word in scope}
    for scope in claim.denied:
        if not source.denied or (scope and not denied_there.intersection(scope)):
            return "negation that the source does not have"
    for scope in source.denied:
        if scope and scope[0] in claim.words and scope[0] not in denied_here:
            return f"negation of {scope[0]!r} in the source"
    return ""
