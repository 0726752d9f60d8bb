"""Stretches of time with the granularity in which they were said: a day, a week, a season; and how they read in a sentence.

Calendar days are those of the zone that the reference time carries. Weeks begin on Monday; seasons are the northern ones, by whole months.
A span holds its start and ends before its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SEASONS = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}
"""First month of each; all last three."""


class Grain(StrEnum):
    """How exactly a time was said."""

    DAY = "day"
    WEEKEND = "weekend"
    WEEK = "week"
    MONTH = "month"
    SEASON = "season"
    YEAR = "year"
    VAGUE = "vague"


_PREPOSITION = {Grain.DAY: "on", Grain.WEEKEND: "on", Grain.VAGUE: ""}


@dataclass(frozen=True, slots=True)
class Span:
    """`start` belongs to it, `end` does not. `label` names it without a preposition: `7 May 2023`, `the week of 1 May 2023`."""

    start: datetime
    end: datetime
    label: str
    grain: Grain

    @property
    def phrase(self) -> str:
        """The label as an adverb: `on 7 May 2023`, `in 2022`."""
        return f"{_PREPOSITION.get(self.grain, 'in')} {self.label}".strip()


def day(of: date, zone: tzinfo | None) -> Span:
    """The calendar day."""
    return _span(of, of + timedelta(1), read_day(of), Grain.DAY, zone)


def week(of: date, zone: tzinfo | None) -> Span:
    """The week, Monday to Sunday, that holds the day."""
    monday = of - timedelta(of.weekday())
    return _span(monday, monday + timedelta(7), f"the week of {read_day(monday)}", Grain.WEEK, zone)


def weekend(of: date, zone: tzinfo | None) -> Span:
    """Saturday and Sunday of the week that holds the day."""
    saturday = of + timedelta(5 - of.weekday())
    return _span(saturday, saturday + timedelta(2), f"the weekend of {read_day(saturday)}", Grain.WEEKEND, zone)


def month(year: int, number: int, zone: tzinfo | None) -> Span:
    """A month; `number` may lie outside 1 to 12 and then counts into other years."""
    first, after = month_start(year, number), month_start(year, number + 1)
    return _span(first, after, f"{MONTHS[first.month - 1]} {first.year}", Grain.MONTH, zone)


def season(year: int, name: str, zone: tzinfo | None) -> Span:
    """Three whole months; winter begins in December of `year`."""
    first, after = month_start(year, SEASONS[name]), month_start(year, SEASONS[name] + 3)
    label = f"{name} {year}-{(year + 1) % 100:02d}" if name == "winter" else f"{name} {year}"
    return _span(first, after, label, Grain.SEASON, zone)


def year(number: int, zone: tzinfo | None) -> Span:
    """A calendar year."""
    return _span(date(number, 1, 1), date(number + 1, 1, 1), str(number), Grain.YEAR, zone)


def vague(first: date, after: date, label: str, zone: tzinfo | None) -> Span:
    """Some time between the two days, named as it was said."""
    return _span(first, after, label, Grain.VAGUE, zone)


def month_start(year: int, number: int) -> date:
    """The first day of a month counted from January of `year`, which is 1; 0 is the December before."""
    return date(year + (number - 1) // 12, (number - 1) % 12 + 1, 1)


def read_day(of: date) -> str:
    """`7 May 2023`."""
    return f"{of.day} {MONTHS[of.month - 1]} {of.year}"


def _span(first: date, after: date, label: str, grain: Grain, zone: tzinfo | None) -> Span:
    return Span(datetime.combine(first, time(), zone), datetime.combine(after, time(), zone), label, grain)
