"""Evidence quotes are found in documents whatever their markup, and measured the same under any chunking."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.evidence import (
    Place,
    evidence_hit,
    evidence_ndcg,
    evidence_precision,
    evidence_ranks,
    evidence_recall,
    evidence_reciprocal_rank,
    locate,
    locate_quotes,
)

TEXT = "# Leave\n\nParental leave is **20 weeks**,\nfull pay. Leave is good. Parental leave is 20 weeks; again."


def test_a_quote_is_found_through_markup_line_breaks_case_and_punctuation_each_time_it_stands_there() -> None:
    spans = locate("parental leave is 20 weeks.", TEXT)
    assert [TEXT[start:end] for start, end in spans] == ["Parental leave is **20 weeks", "Parental leave is 20 weeks"]


@pytest.mark.parametrize("quote", ["leave is 2", "eave is good", "20 weeks of pay", "", " **. "])
def test_what_does_not_stand_there_word_for_word_is_not_found(quote: str) -> None:
    assert locate(quote, TEXT) == []


@given(st.lists(st.sampled_from(["alpha", "beta", "ga", "10"]), min_size=1, max_size=30), st.data())
def test_every_run_of_words_of_a_text_is_found_where_it_stands(tokens: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(tokens) - 1))
    run = tokens[start : start + data.draw(st.integers(1, 8))]
    text = ", ".join(tokens)
    spans = locate(" ".join(run), text)
    assert spans
    assert all(text[a:b] == ", ".join(run) for a, b in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@given(st.integers(0, 300), st.integers(1, 60), st.integers(5, 400))
def test_whatever_the_chunk_size_all_chunks_of_a_text_find_its_quote(start: int, size: int, chunk: int) -> None:
    quote = (Place("d", start, start + size),)
    chunks = [Place("d", at, at + chunk) for at in range(0, 400, chunk)]
    (rank,) = evidence_ranks([quote], chunks)
    assert rank is not None
    assert evidence_precision([quote], chunks, k=len(chunks)) > 0


def test_a_quote_cut_by_the_chunking_is_found_once_its_parts_hold_half_of_it() -> None:
    quote = (Place("d", 0, 90),)
    parts = [Place("d", 60, 90), Place("e", 0, 90), Place("d", 30, 60)]
    assert evidence_ranks([quote], parts) == [3]
    assert evidence_ranks([quote], parts[:2]) == [None]


def test_either_of_two_places_proves_as_much_and_a_quote_without_a_place_is_never_found() -> None:
    quote, nowhere = (Place("a", 0, 10), Place("b", 5, 15)), ()
    assert evidence_ranks([quote, nowhere], [Place("b", 0, 50)]) == [1, None]


def test_the_measures_are_those_of_the_ranks() -> None:
    ranks = [3, None, 1]
    assert evidence_recall(ranks, k=10) == pytest.approx(2 / 3)
    assert evidence_recall(ranks, k=2) == pytest.approx(1 / 3)
    assert evidence_hit(ranks, k=1) == 1.0
    assert evidence_hit([3], k=2) == evidence_hit([], k=2) == 0.0
    assert evidence_reciprocal_rank([3, 2, None], k=10) == 0.5
    assert evidence_reciprocal_rank([3], k=2) == 0.0
    ideal = 1 + 1 / math.log2(3) + 0.5
    assert evidence_ndcg(ranks, k=10) == pytest.approx((0.5 + 1) / ideal)
    assert evidence_ndcg([1, 1], k=10) == 1.0
    assert evidence_ndcg([], k=10) == 0.0


def test_precision_divides_by_k_also_where_fewer_were_returned() -> None:
    quotes = locate_quotes(["Leave is good"], {"d": TEXT})
    assert evidence_precision(quotes, [Place("d", 0, len(TEXT)), Place("x", 0, 99)], k=4) == 0.25


def test_a_cut_at_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        evidence_recall([1], k=0)
