"""The months, years and days that a question names, and how near a moment lies to them.

A question's dates are no filter: people speak of a thing days or weeks after it, so what was said soon after counts too, less and less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from indexes.arrays import Int64Vector
from indexes.fusion import FloatVector
from rag.lore.clock import to_micros

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_NAMES = {short: number for number, name in enumerate(_MONTHS, start=1) for short in (name, name[:3])}
_MONTH = "|".join(sorted(_NAMES, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?:(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[ ,]+(?:of[ ]+)?)?(?P<month>{_MONTH})\b\.?"
    r"(?:[ ]+(?P<day2>\d{1,2})(?:st|nd|rd|th)?\b(?!\d))?(?:[ ,]+(?:of[ ]+)?(?P<year>(?:19|20)\d\d)\b)?"
    r"|\b(?P<iso>(?:19|20)\d\d-\d\d(?:-\d\d)?)\b|\b(?P<bare>(?:19|20)\d\d)\b"
)
_RELATIVE = re.compile(
    r"\b(?:(today|yesterday)|(this|last|past|previous)\s+(week|weekend|month|year))\b", re.IGNORECASE
)
_PRESENT = re.compile(r"\b(?:is|are|does|do|gets?|lives?|should|can)\b|^(?:who|what)\s+\w+s\b", re.IGNORECASE)
_PAST = re.compile(
    r"\b(?:did|was|were|had|has|have|been|ever|ago|first|original\w*|before|previous\w*|earlier|used to)\b",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"\b(?:now|current\w*|latest|still|nowadays|these days|at present|presently|most recent\w*|any ?more|any ?longer)\b",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\b(?:now|no longer|not \w+ any ?more|any longer|instead|(?:from|as of) (?:now|today|tomorrow|\w+) on|(?:moves?|moved|changes?|changed|"
    r"switch(?:es|ed)|raised|lowered|postponed|rescheduled) (?:\w+ ){0,3}to|replaces?|replaced)\b",
    re.IGNORECASE,
)
_AFTER = 31
"""Days after a period in which it is still spoken of, see eval/LOG.md."""
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class Period:
    """A named stretch of time; None where the question leaves it open, so that "in May" is that of any year."""

    year: int | None = None
    month: int | None = None
    day: int | None = None


def named_periods(question: str, now: datetime) -> list[Period]:
    """Return the periods that a question names, in order; relative ones are counted from `now`."""
    found = [period for match in _DATE.finditer(question) if (period := _dated(match))]
    return found + [period for match in _RELATIVE.finditer(question) for period in _relative(match, now)]


def asks_of_now(question: str) -> float:
    """Return how much a question asks for what holds at present: 1 by its tense, 3 by a word such as "now", else 0."""
    if _NOW.search(question):
        return 3.0
    return float(bool(_PRESENT.search(question)) and not _PAST.search(question) and not _DATE.search(question))


def tells_of_change(text: str) -> bool:
    """Return whether a text says that something is otherwise than before: "now", "no longer", "moves to", "instead"."""
    return _CHANGE.search(text) is not None


def nearness(periods: list[Period], times: Int64Vector) -> FloatVector:
    """Return for each time (microseconds since 1970, UTC) 1 within a period, falling to 0 a month after its end, 0 elsewhere.

    Of several periods the nearest counts. All 0 where there are none.
    """
    near = np.zeros(len(times), np.float32)
    for start, end in _spans(periods, times):
        days = (times - end) / _DAY
        value = np.where(times < start, 0.0, np.clip(1 - days / _AFTER, 0.0, 1.0))
        near = np.maximum(near, value.astype(np.float32))
    return near


def _dated(match: re.Match[str]) -> Period | None:
    if bare := match["bare"]:
        return Period(int(bare))
    if iso := match["iso"]:
        year, month, day = (int(part) for part in f"{iso}-0".split("-")[:3])
        return Period(year, month, day or None) if 1 <= month <= 12 else None
    number = match["day"] or match["day2"]
    return Period(
        int(match["year"]) if match["year"] else None, _NAMES[match["month"]], int(number) if number else None
    )


def _relative(match: re.Match[str], now: datetime) -> Iterator[Period]:
    if match[1]:
        at = now - timedelta(days=match[1].lower() == "yesterday")
        yield Period(at.year, at.month, at.day)
        return
    back, unit = match[2].lower() != "this", match[3].lower()
    if unit == "year":
        yield Period(now.year - back)
    elif unit == "month":
        at = now.replace(day=1) - timedelta(days=back)
        yield Period(at.year, at.month)
    else:
        monday = now - timedelta(days=now.weekday() + 7 * back)
        for day in range(7):
            at = monday + timedelta(days=day)
            yield Period(at.year, at.month, at.day)


def _spans(periods: list[Period], times: Int64Vector) -> Iterator[tuple[int, int]]:
    """Yield first and last microsecond of each period; one without a year in every year that the times reach into."""
    if not periods or not len(times):
        return
    ends = np.array([times.min(), times.max()]).astype("datetime64[us]").astype("datetime64[Y]").astype(np.int64)
    first, last = (ends + 1970).tolist()
    for period in periods:
        for year in [period.year] if period.year else range(first - 1, last + 1):
            if (span := _span(year, period)) is not None:
                yield span


def _span(year: int, period: Period) -> tuple[int, int] | None:
    """None where there is no such day."""
    try:
        start = datetime(year, period.month or 1, period.day or 1, tzinfo=UTC)
    except ValueError:
        return None
    if period.day:
        end = start + timedelta(days=1)
    elif period.month:
        end = (start + timedelta(days=31)).replace(day=1)
    else:
        end = start.replace(year=year + 1)
    return to_micros(start), to_micros(end) - 1
