"""Holidays that people date their lives by, as spans. United States days where the name alone does not say which."""

from __future__ import annotations

from datetime import date, timedelta

from rag.lore import spans
from rag.lore.spans import Span

_FIXED = {
    "christmas eve": (12, 24),
    "christmas day": (12, 25),
    "christmas": (12, 25),
    "xmas": (12, 25),
    "new year's eve": (12, 31),
    "new year's day": (1, 1),
    "new years": (1, 1),
    "new year's": (1, 1),
    "valentine's day": (2, 14),
    "valentine's": (2, 14),
    "st. patrick's day": (3, 17),
    "independence day": (7, 4),
    "halloween": (10, 31),
    "veterans day": (11, 11),
}
_NTH = {  # month, weekday, which one of them; -1 the last
    "mother's day": (5, 6, 2),
    "memorial day": (5, 0, -1),
    "father's day": (6, 6, 3),
    "labor day": (9, 0, 1),
    "thanksgiving": (11, 3, 4),
    "thanksgiving day": (11, 3, 4),
}
_BY_EASTER = {"good friday": -2, "easter sunday": 0, "easter": 0, "easter monday": 1}
HOLIDAYS = (*_FIXED, *_NTH, *_BY_EASTER)


def holiday(name: str, year: int) -> Span:
    """Return the day that the holiday, one of `HOLIDAYS`, falls on in `year`."""
    if name in _FIXED:
        return spans.day(date(year, *_FIXED[name]), None)
    if name in _BY_EASTER:
        return spans.day(_easter(year) + timedelta(_BY_EASTER[name]), None)
    month, weekday, which = _NTH[name]
    if which < 0:
        last = spans.month_start(year, month + 1) - timedelta(1)
        return spans.day(last - timedelta((last.weekday() - weekday) % 7), None)
    first = date(year, month, 1)
    return spans.day(first + timedelta((weekday - first.weekday()) % 7 + 7 * (which - 1)), None)


def _easter(year: int) -> date:
    """Western Easter Sunday. Source: the anonymous Gregorian computus (Meeus, Astronomical Algorithms, chapter 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    n = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * n) // 451
    month, day = divmod(h + n - 7 * m + 114, 31)
    return date(year, month, day + 1)
