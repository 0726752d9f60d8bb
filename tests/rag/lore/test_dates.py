from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lore.dates import Role, find_dates
from rag.lore.holidays import HOLIDAYS, holiday

MONDAY = datetime(2023, 5, 8, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reads", "first", "after"),
    [
        ("yesterday", "on 7 May 2023", "2023-05-07", "2023-05-08"),
        ("the day before yesterday", "on 6 May 2023", "2023-05-06", "2023-05-07"),
        ("last night", "on 7 May 2023", "2023-05-07", "2023-05-08"),
        ("last week", "in the week of 1 May 2023", "2023-05-01", "2023-05-08"),
        ("last weekend", "on the weekend of 6 May 2023", "2023-05-06", "2023-05-08"),
        ("last month", "in April 2023", "2023-04-01", "2023-05-01"),
        ("last year", "in 2022", "2022-01-01", "2023-01-01"),
        ("last Monday", "on 1 May 2023", "2023-05-01", "2023-05-02"),
        ("last May", "in May 2022", "2022-05-01", "2022-06-01"),
        ("last winter", "in winter 2022-23", "2022-12-01", "2023-03-01"),
        ("last summer", "in summer 2022", "2022-06-01", "2022-09-01"),
        ("last Christmas", "on 25 December 2022", "2022-12-25", "2022-12-26"),
        ("at Easter", "on 9 April 2023", "2023-04-09", "2023-04-10"),
        ("Thanksgiving 2022", "on 24 November 2022", "2022-11-24", "2022-11-25"),
        ("3 days ago", "on 5 May 2023", "2023-05-05", "2023-05-06"),
        ("two weeks ago", "in the week of 24 April 2023", "2023-04-24", "2023-05-01"),
        ("six months ago", "in November 2022", "2022-11-01", "2022-12-01"),
        ("a few weeks ago", "a few weeks before 8 May 2023", "2023-03-27", "2023-05-01"),
        ("in 1999", "1999", "1999-01-01", "2000-01-01"),
        ("in the summer of 2021", "summer 2021", "2021-06-01", "2021-09-01"),
        ("on 2021-02-03", "3 February 2021", "2021-02-03", "2021-02-04"),
        ("on the 15th", "15 April 2023", "2023-04-15", "2023-04-16"),
        ("in December", "December 2022", "2022-12-01", "2023-01-01"),
    ],
)
def test_a_time_is_a_span_with_the_granularity_that_was_said(text: str, reads: str, first: str, after: str) -> None:
    (mention,) = find_dates(f"I was there {text}", MONDAY)
    assert mention.reads == reads
    assert (mention.span.start.date().isoformat(), mention.span.end.date().isoformat()) == (first, after)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("on Friday", "on 12 May 2023"),
        ("next month", "in June 2023"),
        ("this summer", "in summer 2023"),
        ("next summer", "in summer 2023"),
        ("tomorrow", "on 9 May 2023"),
        ("in two weeks", "in the week of 22 May 2023"),
        ("in March", "March 2024"),
        ("on 3 March", "3 March 2024"),
        ("next Christmas", "on 25 December 2023"),
        ("a week from now", "in the week of 15 May 2023"),
    ],
)
def test_what_lies_ahead_is_found_ahead(text: str, reads: str) -> None:
    (mention,) = find_dates(f"I will be there {text}", MONDAY, ahead=True)
    assert mention.reads == reads


@pytest.mark.parametrize(
    "text",
    [
        "May I come",
        "I march on",
        "on 31 April",
        "2023-02-30",
        "I saw 2019 birds",
        "an hour ago",
        "We always bake on Christmas",
        "in 5 minutes",
    ],
)
def test_what_is_no_date_is_left_alone(text: str) -> None:
    assert find_dates(text, MONDAY) == []


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("since 2019", [Role.SINCE]),
        ("until the end of June 2024", [Role.UNTIL]),
        ("from 2015 to 2019", [Role.SINCE, Role.UNTIL]),
        ("for four years", [Role.LASTED]),
        ("in 2019", [Role.WHEN]),
    ],
)
def test_the_words_around_a_time_say_what_it_bounds(text: str, roles: list[Role]) -> None:
    assert [mention.role for mention in find_dates(f"I was there {text}", MONDAY)] == roles


def test_days_are_those_of_the_zone_that_the_time_carries() -> None:
    tokyo = timezone(timedelta(hours=9))
    (mention,) = find_dates("I left yesterday", datetime(2023, 5, 9, 1, tzinfo=tokyo))
    assert mention.span.start == datetime(2023, 5, 8, tzinfo=tokyo)


@pytest.mark.parametrize("year", [1999, 2024, 2100])
def test_every_holiday_falls_into_its_year(year: int) -> None:
    assert {holiday(name, year).start.year for name in HOLIDAYS} == {year}


@given(
    st.text(alphabet="0123456789- MayJunelastofi31sthergo", max_size=40),
    st.datetimes(datetime(1, 3, 1), datetime(9990, 1, 1)),
)
def test_any_text_at_any_time_gives_ordered_mentions_that_do_not_overlap(text: str, at: datetime) -> None:
    mentions = find_dates(text, at.replace(tzinfo=UTC))
    for mention in mentions:
        assert mention.span.start < mention.span.end
        assert 0 <= mention.start < mention.end <= len(text)
    assert all(one.end <= two.start for one, two in pairwise(mentions))
