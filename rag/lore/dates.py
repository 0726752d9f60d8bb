"""When a sentence says that something was: relative and absolute dates, resolved against the time it was said.

A table of phrases instead of a date library: those return one moment and guess its time of day, and what memory needs is the span that
was said ("last week" is seven days, "in 2019" a year). English; deterministic; no locale, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from rag.lore import spans
from rag.lore.holidays import HOLIDAYS, holiday
from rag.lore.spans import Grain, Span


class Role(StrEnum):
    """What a mention says of the sentence's time."""

    WHEN = "when"
    SINCE = "since"
    UNTIL = "until"
    LASTED = "lasted"
    """A length that reaches up to now: "for four years"."""


@dataclass(frozen=True, slots=True)
class Mention:
    """`text[start:end]` names the span; `reads` is what to put in its place."""

    start: int
    end: int
    span: Span
    role: Role
    reads: str
    until: datetime | None = None
    """Of what ends: "until June" ends before June, "until Friday" and "until the end of June" after it."""


_NUMBERS = {
    word: number
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
} | {"a": 1, "an": 1, "couple": 2, "fifteen": 15, "twenty": 20, "thirty": 30}
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mon",
            "tuesday tues tue",
            "wednesday wed",
            "thursday thurs thur thu",
            "friday fri",
            "saturday sat",
            "sunday sun",
        )
    )
    for name in names.split()
}
_MONTHS = {name.lower(): number for number, name in enumerate(spans.MONTHS, 1)} | {
    name: number
    for number, names in enumerate(
        ["jan", "feb", "mar", "apr", "-", "jun", "jul", "aug", "sep,sept", "oct", "nov", "dec"], 1
    )
    for name in names.split(",")
    if name != "-"
}


def _any(words: object) -> str:
    return "|".join(sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_N = rf"(?P<n>\d{{1,3}}|{_any(_NUMBERS)})"
_FEW = r"(?P<few>a couple(?: of)?|a few|several|some|many|(?:two|three|four) or (?:three|four|five))"
_UNIT = r"(?P<unit>day|night|week|weekend|month|year|decade)s?"
_MONTH = rf"(?P<month>{_any(_MONTHS)})\b\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
_PART = r"(?: (?:morning|afternoon|evening|night))?"
_WHICH = r"(?P<which>last|this past|this coming|this|next|past|previous|coming|upcoming)"
_SEASON = rf"(?P<season>{_any(spans.SEASONS)})"
_HOLIDAY = rf"(?P<holiday>{_any(HOLIDAYS)})"

_TRIGGER = re.compile(
    rf"\d|\bago\b|\b(?:yesterday|today|tonight|tomorrow|last|this|next|past|previous|coming|since|until|till|for|weekend|now|"
    rf"(?:in|from)\b.*?\b(?:day|week|month|year)s?"
    rf"|{_any(_WEEKDAYS)}|{_any(_MONTHS)}|{_any(spans.SEASONS)}|{_any(HOLIDAYS)})\b",
    re.IGNORECASE,
)
_RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str], date, bool], Span | None]]] = []


def _rule(
    pattern: str, flags: int = re.IGNORECASE
) -> Callable[[Callable[[re.Match[str], date, bool], Span | None]], None]:
    def add(resolve: Callable[[re.Match[str], date, bool], Span | None]) -> None:
        _RULES.append((re.compile(pattern, flags), resolve))

    return add


def find_dates(text: str, at: datetime, *, ahead: bool = False) -> list[Mention]:
    """Return the times that `text` names, in order, never overlapping.

    Args:
        at: when it was said; spans are days of its zone.
        ahead: a bare "on Friday" or "in May" means the coming one instead of the past one.
    """
    if not _TRIGGER.search(text):
        return []
    habit = _HABIT.search(text) is not None
    found: list[Mention] = []
    for pattern, resolve in _RULES:
        for match in pattern.finditer(text) if not (habit and "holiday" in pattern.groupindex) else ():
            first, last = match.span("named" if "named" in pattern.groupindex else 0)
            if any(first < other.end and other.start < last for other in found):
                continue
            since = _SINCE.search(text, 0, first) is not None or match[0].lower().startswith("since ")
            try:
                span = resolve(match, at.date(), ahead and not since)
            except (ValueError, OverflowError):  # 31 February, the year 10000: no date
                span = None
            if span:
                lasted = "lasted" in pattern.groupindex
                found.append(_mention(text, first, last, _in_zone(span, at), lasted=lasted))
    return sorted(found, key=lambda mention: mention.start)


def _mention(text: str, start: int, end: int, span: Span, *, lasted: bool) -> Mention:
    if lasted:
        return Mention(start, end, span, Role.LASTED, f"{text[start:end]} (since {span.label})")
    before = _PREPOSITION.search(text, 0, start)
    word = before[1].lower() if before else ""
    role = _ROLES.get(word.split()[0] if word else "", Role.WHEN)
    if word == "from" and _RANGE.match(text, end):
        role = Role.SINCE
    elif word == "to" and _FROM.search(text, 0, start):
        role = Role.UNTIL
    bare = (bool(word) and not (word in _LOOSE and _RELATIVE.match(text, start))) or text[end : end + 2] in {"'s", "’s"}
    included = span.grain in {Grain.DAY, Grain.WEEKEND} or "end of" in word
    until = (span.end if included else span.start) if role is Role.UNTIL else None
    return Mention(start, end, span, role, span.label if bare else span.phrase, until)


_SINCE = re.compile(r"\bsince (?:the )?$", re.IGNORECASE)
"""What began is past, whatever else the sentence speaks of."""
_HABIT = re.compile(r"\b(?:usually|always|often|every|each|typically|traditionally)\b", re.IGNORECASE)
"""\"We usually bake on Christmas" is of no one year."""
_ROLES = {"since": Role.SINCE, "until": Role.UNTIL, "till": Role.UNTIL, "til": Role.UNTIL}
_LOOSE = frozenset({"at", "in", "about", "near", "and", "or", "than", "with"})
_RELATIVE = re.compile(r"(?:yesterday|today|tomorrow|tonight|last|this|next)\b|[\w ]+ ago\b", re.IGNORECASE)
"""No preposition governs these: "at the shelter where I help yesterday"."""
_RANGE = re.compile(r"\s*(?:to|till?|until|-|–|on\b|onwards?)", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\b[^.;]{3,30}\bto\s*$", re.IGNORECASE)
_PREPOSITION = re.compile(
    r"\b((?:since|until|till|til) the (?:end|start|beginning|middle) of|on|in|at|since|until|till|til|by|before|after|from|to|for|"
    r"of|during|around|about|through|over|between|near|than|and|or"
    r"|the(?: end| start| beginning| middle) of)\s+(?:(?:early|late|mid|the|back)[\s-]+)?$",
    re.IGNORECASE,
)


def _in_zone(span: Span, at: datetime) -> Span:
    return Span(span.start.replace(tzinfo=at.tzinfo), span.end.replace(tzinfo=at.tzinfo), span.label, span.grain)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBERS[word.lower()]


def _back(unit: str, number: int, today: date) -> Span | None:
    """`number` units before today (after it where negative), as exactly as people mean it."""
    if unit in {"day", "night"}:
        return spans.day(today - timedelta(number), None)
    if unit == "week":
        return spans.week(today - timedelta(7 * number), None)
    if unit == "weekend":
        return spans.weekend(today - timedelta(7 * number), None)
    if unit == "month":
        return spans.month(today.year, today.month - number, None)
    return spans.year(today.year - number * (10 if unit == "decade" else 1), None)


_DAYS = {"day": 1, "night": 1, "week": 7, "weekend": 7, "month": 30, "year": 365, "decade": 3650}


def _few(unit: str, today: date, words: str, *, ahead: bool) -> Span:
    days = _DAYS[unit]
    near, far = timedelta(days), timedelta(days * 6)
    words = re.sub(r"^some ", "a few ", words)
    if ahead:
        return spans.vague(today + near, today + far, f"{words} after {spans.read_day(today)}", None)
    return spans.vague(today - far, today - near, f"{words} before {spans.read_day(today)}", None)


# Absolute.


@_rule(r"\b(?P<year>(?:19|20)\d\d)-(?P<month>[01]\d)-(?P<day>[0-3]\d)\b")
def _iso(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.day(date(int(match["year"]), int(match["month"]), int(match["day"])), None)


def _month_day(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    number, written = _MONTHS[match["month"].lower().rstrip(".")], match["year"]
    if written:
        return spans.day(date(int(written), number, int(match["day"])), None)
    here = date(today.year, number, int(match["day"]))
    if ahead and here < today:
        here = here.replace(year=here.year + 1)
    elif not ahead and here > today:
        here = here.replace(year=here.year - 1)
    return spans.day(here, None)


_rule(rf"\b(?:the )?{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?")(_month_day)
_rule(rf"\b{_MONTH} (?:the )?{_DAY}\b(?!:|\s?[%ap]m?\b)(?:,? {_YEAR})?")(_month_day)


@_rule(rf"\b{_MONTH},?(?: of)? {_YEAR}")
def _month_year(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.month(int(match["year"]), _MONTHS[match["month"].lower().rstrip(".")], None)


@_rule(rf"\b(?:the )?{_SEASON}(?: of|,)? {_YEAR}")
def _season_year(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.season(int(match["year"]), match["season"].lower(), None)


@_rule(rf"\b{_HOLIDAY},?(?: of| in)? {_YEAR}")
def _holiday_year(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return holiday(match["holiday"].lower(), int(match["year"]))


# Relative to the day it was said.


@_rule(r"\bthe day (?P<which>before yesterday|after tomorrow)\b")
def _two_days(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.day(today + timedelta(-2 if "yes" in match["which"].lower() else 2), None)


@_rule(
    rf"\b(?:(?P<past>yesterday{_PART}|last night|last evening)|(?P<coming>tomorrow{_PART})"
    r"|(?:earlier |later )?(?:today|tonight|this (?:morning|afternoon|evening)))\b"
)
def _near(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.day(today + timedelta(1 if match["coming"] else -1 if match["past"] else 0), None)


@_rule(rf"\b(?:about |around |over |almost |nearly )?(?:{_FEW}|{_N}) {_UNIT} (?:ago|back|earlier)\b")
def _ago(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    unit = match["unit"].lower()
    if match["few"]:
        return _few(unit, today, f"{match['few'].lower()} {unit}s", ahead=False)
    return _back(unit, _number(match["n"]), today)


@_rule(
    rf"\b(?:in (?:about |around )?(?:{_FEW}|{_N}) {_UNIT}(?: from now|['’]s? time)?|(?:{_FEW.replace('few>', 'few2>')}|"
    rf"{_N.replace('n>', 'n2>')}) (?P<unit2>day|week|month|year)s? from (?:now|today))\b(?! of)"
)
def _hence(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    few, number, unit = (
        match["few"] or match["few2"],
        match["n"] or match["n2"],
        (match["unit"] or match["unit2"]).lower(),
    )
    if not ahead and not match["unit2"]:
        return None  # "finished it in two days" is a length
    return _few(unit, today, f"{few.lower()} {unit}s", ahead=True) if few else _back(unit, -_number(number), today)


@_rule(
    rf"\b(?P<lasted>for)(?: about| around| over| almost| nearly| more than| the (?:last|past))? (?:{_FEW}|{_N}) {_UNIT}(?: (?:now|"
    rf"already))?\b(?! ago)"
)
def _lasted(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    unit = match["unit"].lower()
    if match["few"] or unit in {"day", "night", "weekend"}:
        return None
    return _back(unit, _number(match["n"]), today)


@_rule(rf"\b(?:(?:earlier|later|sometime) )?(?:the )?{_WHICH} (?P<unit>week|weekend|month|year)\b(?! of\b)")
def _unit(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    step = _step(match["which"])
    unit = match["unit"].lower()
    if unit == "weekend":
        return _weekend(step, today, ahead, coming="coming" in match["which"].lower())
    return _back(unit, -step, today)


def _weekend(step: int, today: date, ahead: bool, *, coming: bool) -> Span:
    if step < 0:
        return spans.weekend(today - timedelta(7), None)
    if step == 0 and not ahead and today.weekday() < 2:
        return spans.weekend(today - timedelta(7), None)  # "this weekend", told on the Monday after it
    return spans.weekend(today + timedelta(7 if step > 0 and not coming else 0), None)


@_rule(rf"\b{_WHICH} (?P<day>{_any(_WEEKDAYS)}){_PART}\b")
def _weekday(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    number, step = _WEEKDAYS[match["day"].lower()], _step(match["which"])
    if step == 0:
        return spans.day(today + timedelta(number - today.weekday()), None)
    return _nearest_weekday(number, today, ahead=step > 0)


@_rule(rf"\b(?:on )?(?P<day>{_any(name for name in _WEEKDAYS if len(name) > 3)}){_PART}\b(?!s)")
def _bare_weekday(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    if match[0][:2].lower() != "on" and not match[0][0].isupper():
        return None
    return _nearest_weekday(_WEEKDAYS[match["day"].lower()], today, ahead=ahead)


def _nearest_weekday(number: int, today: date, *, ahead: bool) -> Span:
    if ahead:
        return spans.day(today + timedelta((number - today.weekday() - 1) % 7 + 1), None)
    return spans.day(today - timedelta((today.weekday() - number - 1) % 7 + 1), None)


@_rule(rf"\b{_WHICH} {_MONTH}")
def _which_month(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    number, step = _MONTHS[match["month"].lower().rstrip(".")], _step(match["which"])
    year = today.year
    if step < 0:
        year -= number >= today.month
    elif step > 0:
        year += number <= today.month
    return spans.month(year, number, None)


@_rule(rf"\b{_WHICH} {_SEASON}\b")
def _which_season(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    name, step = match["season"].lower(), _step(match["which"])
    years = range(today.year - 2, today.year + 3)
    known = [spans.season(year, name, None) for year in years]
    now = datetime(today.year, today.month, today.day)
    if step < 0:
        return [span for span in known if span.end <= now][-1]
    if step > 0:
        return next(span for span in known if span.start > now)
    running = [span for span in known if span.start <= now < span.end]
    return running[0] if running else spans.season(today.year, name, None)


@_rule(rf"\b(?:{_WHICH} |(?:on|at|for|over|during|since|until|before|after) ){_HOLIDAY}\b(?: (?:day|eve))?")
def _some_holiday(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    step = _step(match["which"]) if match["which"] else 1 if ahead else -1
    known = [holiday(match["holiday"].lower(), year) for year in range(today.year - 1, today.year + 2)]
    now = datetime(today.year, today.month, today.day)
    if match["which"] and step == 0:
        return known[1]
    if step > 0:
        return next(span for span in known if span.end > now)
    return [span for span in known if span.start <= now][-1]


_AFTER = r"\b(?:in|since|until|till|from|to|by|before|after|of|during|around|about|early|late|mid|back in)[ -]"


@_rule(rf"{_AFTER}(?P<named>{_MONTH})(?! \d)")
def _bare_month(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    if not match["named"][0].isupper():
        return None
    number = _MONTHS[match["month"].lower()]
    year = today.year + (number < today.month if ahead else -(number > today.month))
    return spans.month(year, number, None)


@_rule(rf"{_AFTER}(?P<named>{_YEAR})")
def _bare_year(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    return spans.year(int(match["year"]), None)


@_rule(r"\b(?:on|since|until|by) (?P<named>the (?P<day>[0-3]?\d)(?:st|nd|rd|th))\b")
def _bare_day(match: re.Match[str], today: date, ahead: bool) -> Span | None:
    number = int(match["day"])
    first = date(today.year, today.month, 1)
    if not ahead and number > today.day:
        first = spans.month_start(today.year, today.month - 1)
    elif ahead and number < today.day:
        first = spans.month_start(today.year, today.month + 1)
    return spans.day(first.replace(day=number), None)


def _step(which: str) -> int:
    word = which.lower()
    return 0 if word == "this" else 1 if word in {"next", "coming", "upcoming", "this coming"} else -1
