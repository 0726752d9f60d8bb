"""Ranking of memory's candidates: each clue moves what it should, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.lore.clock import to_micros
from rag.lore.periods import Period, asks_of_now, named_periods, nearness
from rag.lore.rank import Candidates, best_to_read, query_terms, rank, with_changes

steady = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
OLD = datetime(2024, 1, 10, tzinfo=UTC)


def candidates(
    n: int,
    *,
    question: str = "",
    texts: Sequence[str] = (),
    dense: Sequence[float] = (),
    sessions: Sequence[str] = (),
    speakers: Sequence[str] = (),
    times: Sequence[datetime] = (),
    trust: Sequence[float] = (),
    importance: Sequence[float] = (),
) -> Candidates:
    """Make n candidates, alike but for what is given; a question's terms score 1 in each text that holds them."""
    words = query_terms(question)
    told = list(texts) or ["a turn"] * n
    held = [set(query_terms(text)) for text in told]
    scores = np.array([[float(word in one) for one in held] for word in words], np.float32).reshape(len(words), n)
    names = list(sessions) or [""] * n
    places = [names[:place].count(name) if name else -1 for place, name in enumerate(names)]
    told_by = list(speakers) or [""] * n
    known = sorted({"", *told_by})
    return Candidates(
        dense=np.array(list(dense) or [0.5] * n, np.float32), words=words, word_scores=scores,
        times=np.array([to_micros(one) for one in (list(times) or [OLD] * n)], np.int64),
        sessions=np.array([sorted(set(names)).index(one) if one else -1 for one in names], np.int64),
        positions=np.array(places, np.int64), speakers=np.array([known.index(one) for one in told_by], np.int64), names=known,
        asks=np.array([one.endswith("?") for one in told], bool), texts=told,
        trust=np.array(list(trust) or [1.0] * n, np.float32), importance=np.array(list(importance) or [0.5] * n, np.float32),
    )  # fmt: skip


def best(question: str, found: Candidates) -> int:
    return int(np.argmax(rank(question, found, now=NOW)))


def test_nothing_found_ranks_to_nothing() -> None:
    assert rank("anything", candidates(0), now=NOW).shape == (0,)


def test_what_is_more_alike_stands_first() -> None:
    assert best("a question", candidates(3, dense=[0.2, 0.7, 0.4])) == 1


def test_the_turn_that_answers_a_question_gains_by_the_words_of_the_question_before_it() -> None:
    texts = ["Where is the boat moored?", "In Loosdrecht.", "In Loosdrecht."]
    found = candidates(3, question="boat moored", texts=texts, sessions=["s", "s", "t"])
    scores = rank("boat moored", found, now=NOW)
    assert scores[1] > scores[2]


def test_a_neighbour_of_another_session_lends_nothing() -> None:
    texts = ["the boat is moored", "yes", "yes"]
    apart = candidates(3, question="boat moored", texts=texts, sessions=["s", "t", "u"])
    scores = rank("boat moored", apart, now=NOW)
    assert scores[1] == scores[2]


def test_who_is_named_in_the_question_counts_as_speaker() -> None:
    found = candidates(2, question="What did Anna buy?", speakers=["Ben", "Anna"])
    assert best("What did Anna buy?", found) == 1


def test_a_fact_about_whom_the_question_names_counts_as_if_they_said_it() -> None:
    texts = ["Ben bought a lamp", "Anna bought a lamp", "hello", "hello"]
    found = candidates(4, question="What did Anna buy?", texts=texts, speakers=["", "", "Anna", "Ben"])
    scores = rank("What did Anna buy?", found, now=NOW)
    assert scores[1] > scores[0]


def test_where_both_speakers_are_named_neither_gains() -> None:
    found = candidates(2, question="What do Anna and Ben share?", speakers=["Ben", "Anna"])
    scores = rank("What do Anna and Ben share?", found, now=NOW)
    assert scores[0] == scores[1]


def test_a_speakers_name_is_no_word_to_look_for() -> None:
    """It would favour whoever is spoken to."""
    texts = ["Anna, hello", "hello there"]
    found = candidates(2, question="What of Anna?", texts=texts, speakers=["Ben", "Ben"])
    with_name = rank(
        "What of Anna?", candidates(2, question="What of Anna?", texts=texts, speakers=["Anna", "Anna"]), now=NOW
    )
    assert with_name[0] == with_name[1]
    assert rank("What of Anna?", found, now=NOW)[0] > rank("What of Anna?", found, now=NOW)[1]


def test_what_was_said_in_the_month_that_is_asked_for_stands_first() -> None:
    march, may = datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 5, 9, tzinfo=UTC)
    assert best("What happened in March?", candidates(2, times=[may, march])) == 1
    assert best("What happened in May 2025?", candidates(2, times=[may, march])) == 0


def test_the_newer_of_two_equals_stands_first_and_a_better_old_one_before_both() -> None:
    times = [NOW - timedelta(days=90), NOW - timedelta(days=1), NOW - timedelta(days=400)]
    assert best("a question", candidates(3, times=times)) == 1
    assert best("a question", candidates(3, times=times, dense=[0.5, 0.5, 0.6])) == 2


def test_distrust_lowers_and_importance_lifts() -> None:
    assert best("a question", candidates(2, trust=[0.1, 1.0])) == 1
    assert best("a question", candidates(2, importance=[0.9, 0.1])) == 0


@steady
@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.sampled_from(["", "s", "t"]), st.sampled_from(["", "Anna", "Ben"])),
        min_size=1,
        max_size=12,
    ),
    st.randoms(),
)
def test_a_score_does_not_depend_on_the_order_of_the_candidates(
    rows: list[tuple[float, str, str]], random: object
) -> None:
    question = "When did Anna sail in May?"
    found = candidates(
        len(rows), question=question, dense=[row[0] for row in rows], sessions=[row[1] for row in rows],
        speakers=[row[2] for row in rows], texts=[f"sail {number}" for number in range(len(rows))],
    )  # fmt: skip
    order = np.array(sorted(range(len(rows)), key=lambda _: random.random()))  # type: ignore[attr-defined]

    columns = ("dense", "times", "sessions", "positions", "speakers", "asks", "trust", "importance")
    mixed = replace(
        found, texts=[found.texts[place] for place in order], word_scores=found.word_scores[:, order],
        **{name: getattr(found, name)[order] for name in columns},
    )  # fmt: skip
    scores = rank(question, found, now=NOW)
    assert np.isfinite(scores).all()
    assert np.allclose(rank(question, mixed, now=NOW), scores[order], atol=1e-5)


def test_terms_are_searched_once_each_without_stop_words() -> None:
    assert query_terms("What did the boats do, and which harbour, which boat?") == ["boat", "harbour"]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("in May 2023", [Period(2023, 5)]),
        ("on 7 May, 2023", [Period(2023, 5, 7)]),
        ("on May 7th", [Period(None, 5, 7)]),
        ("in early Sep. 2022", [Period(2022, 9)]),
        ("since 2021-04", [Period(2021, 4)]),
        ("on 2021-04-30", [Period(2021, 4, 30)]),
        ("during 2020", [Period(2020)]),
        ("between March and June", [Period(None, 3), Period(None, 6)]),
        ("yesterday", [Period(2026, 6, 14)]),
        ("last month", [Period(2026, 5)]),
        ("this year", [Period(2026)]),
        ("what may happen", []),
        ("they march on", []),
        ("in 12345", []),
    ],
)
def test_a_question_names_periods(question: str, expected: list[Period]) -> None:
    assert named_periods(question, NOW) == expected


def test_last_week_is_the_seven_days_from_monday() -> None:
    days = [(one.month, one.day) for one in named_periods("last week", NOW)]
    assert days == [(6, day) for day in range(8, 15)]


def test_nearness_is_whole_within_a_period_and_fades_within_a_month_after_it() -> None:
    days = [
        datetime(2025, 4, 30),
        datetime(2025, 5, 1),
        datetime(2025, 5, 31),
        datetime(2025, 6, 16),
        datetime(2025, 7, 9),
    ]
    times = np.array([to_micros(day.replace(tzinfo=UTC)) for day in days], np.int64)
    before, first, last, after, late = nearness([Period(2025, 5)], times).tolist()
    assert (before, first, last, late) == (0, 1, 1, 0)
    assert 0.4 < after < 0.6


def test_a_day_that_the_calendar_has_not_is_near_to_nothing() -> None:
    assert nearness([Period(2025, 2, 30)], np.array([to_micros(NOW)], np.int64)).tolist() == [0]


@steady
@given(st.datetimes(datetime(2, 1, 1), datetime(9990, 1, 1)), st.integers(1, 12))
def test_a_month_without_a_year_is_that_of_any_year(moment: datetime, month: int) -> None:
    near = nearness([Period(None, month)], np.array([to_micros(moment.replace(tzinfo=UTC))], np.int64))[0]
    behind = (moment.month - month) % 12
    assert near == 1 if behind == 0 else near == 0 if behind > 2 else 0 <= near <= 1


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where does Anna live now?", 3),
        ("What is the current discount?", 3),
        ("What discount does Fernwick get?", 1),
        ("Is the release planned?", 1),
        ("When did Anna move?", 0),
        ("What was the first discount?", 0),
        ("What is planned in March 2025?", 0),
    ],
)
def test_a_question_in_the_present_tense_asks_of_now(question: str, expected: float) -> None:
    assert asks_of_now(question) == expected


def test_of_an_old_and_a_new_statement_the_new_one_answers_for_the_present() -> None:
    times = [OLD, OLD + timedelta(days=60)]
    dense = [0.52, 0.5]
    assert best("Where does Anna live?", candidates(2, times=times, dense=dense)) == 1
    assert best("Where did Anna live first?", candidates(2, times=times, dense=dense)) == 0


@pytest.mark.parametrize(
    "text", ["The release moves to 10 April.", "Zuzana calibrates the rigs now.", "We take the bus instead."]
)
def test_what_tells_of_a_change_stands_before_what_it_changed(text: str) -> None:
    told, scores = ["The release is planned for 20 March.", text], [2.4, 2.0]
    before, after = with_changes("When is the release?", told, scores)
    assert after > before == scores[0]
    assert with_changes("When was the release first planned?", told, scores) == scores


def test_only_the_best_are_read_for_changes() -> None:
    least = best_to_read("When is the release?", 1)
    scores = with_changes("When is the release?", ["It moves to May."] * (least + 1), [1.0] * (least + 1))
    assert min(scores[:least]) > scores[least] == 1.0
    assert best_to_read("When is the release?", 500) == 500
    assert best_to_read("When was the release?", 3) == 3
