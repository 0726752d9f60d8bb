"""Hard facts of a sentence in a common form: quantities, dates, times, names, and what it denies.

Two sentences can share every word but one and say the opposite; embeddings and rerankers hardly see it. These checks
do, by rules.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from rag.quantities import (
    CODE,
    CURRENCIES,
    MONTH_NAMES,
    UNITS,
    Quantity,
    quantities,
    take_dates,
    take_times,
)
from rag.words import STOP_WORDS, content_words, find_words, stem, word_set, words

_SENTENCE_START = re.compile(r"(?:^|[.!?:;|\n•>\"“”(\[])[\s*_\"“'‘(\[|>-]*$")
_TOKEN = re.compile(r"[\w'’-]+|[.,;:!?()—–]")
_CUES = word_set(
    "not no never without cannot neither nor none nobody nothing nowhere unless except excluding excludes exclude "
    "excluded avoid avoids avoiding avoided prevent prevents preventing prohibits prohibited forbids forbidden"
)
_NO_DENIAL = re.compile(
    r"\bnot only\b|\b(?:no|not) (?:later|more|less|fewer|longer) than\b|\bnot (?:to )?exceed\w*|\bno\.? ?(?=\d)"
    r"|\bwhether or not\b|^\W*no,|\bno doubt\b",
    re.IGNORECASE,
)
_SCOPE = 4  # content words behind a negation that it is taken to deny, up to the next clause


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


def facts(text: str) -> Facts:
    """Return the facts of plain `text`, one or a few sentences.

    `1,000`, `1 000` and `1000` are one number, number words count up to ninety-nine hundred; `5 %` is `5 percent`,
    `EUR 5` is `5 euros` and `€5`; dates come from ISO, `1 March 2026`, `March 1, 2026`, `01.03.2026`; names are
    capitalised words inside a sentence, and acronyms anywhere.
    """
    text = unicodedata.normalize("NFKC", text)
    rest, dates = take_dates(text)
    rest, times = take_times(rest)
    codes = frozenset(re.sub(r"[-_/]", "", code).lower() for code in CODE.findall(rest))
    amounts = tuple(quantities(CODE.sub(" ", rest)))
    capitals = [word[0] if word[0].isupper() else " " for word in find_words(text) if word.lower() not in STOP_WORDS]
    months = {stem(MONTH_NAMES[month]) for _, month, _ in dates if month}
    return Facts(
        words=frozenset(words(text)) | months,
        quantities=amounts,
        dates=tuple(dates),
        times=frozenset(times),
        codes=codes,
        names=frozenset(_names(CODE.sub(" ", rest))),
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
    if unsaid := claim.times - source.times:
        return "time {:02d}:{:02d}".format(*min(unsaid))
    if missing := claim.codes - source.codes - (source.words | context):
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
        if not starts and word.lower() not in STOP_WORDS and word.lower() not in CURRENCIES:
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
    """Every part that the claim states is in this source date; a year that it lacks may stand elsewhere."""
    year_elsewhere = not other[0] and any(quantity.value == claim[0] for quantity in source.quantities)
    return claim[1] == other[1] and (claim[2] in {0, other[2]}) and (claim[0] in {0, other[0]} or year_elsewhere)


def _same_quantity(claim: Quantity, other: Quantity, source: Facts) -> bool:
    if claim.value != other.value or (claim.bound and other.bound and claim.bound != other.bound):
        return False
    if claim.unit == other.unit or not claim.unit:
        return True
    if not other.unit:  # a table's cell: its unit stands in the header
        return claim.unit in source.words or any(UNITS.get(word) == claim.unit for word in source.words)
    return {claim.unit, other.unit} in ({"day", "working day"}, {"day", "calendar day"}, {"°", "°c"}, {"°", "°f"})


def _date_part(claim: Quantity, source: Facts) -> bool:
    return not claim.unit and any(claim.value in date[::2] for date in source.dates)


def _contradiction(claim: Facts, source: Facts) -> str:
    """Say what one side denies and the other asserts; the first content word behind a negation is surely denied."""
    denied_there = {word for scope in source.denied for word in scope}
    denied_here = {word for scope in claim.denied for word in scope}
    for scope in claim.denied:
        if not source.denied or (scope and not denied_there.intersection(scope)):
            return "negation that the source does not have"
    if () in claim.denied:  # "... while others cannot": what it denies stands before it
        return ""
    for scope in source.denied:
        if scope and scope[0] in claim.words and scope[0] not in denied_here:
            return f"negation of {scope[0]!r} in the source"
    return ""
