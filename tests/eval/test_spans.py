"""Recall, precision and IoU over spans, by hand and by sets of characters."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.spans import Span, intersect, merge, score_spans

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=6)


def characters(some: list[Span]) -> set[int]:
    return {at for start, end in some for at in range(start, end)}


def test_scores_by_hand() -> None:
    scores = score_spans([(0, 10), (20, 30)], [(5, 25)], elsewhere=20)
    assert scores.recall == 10 / 20
    assert scores.precision == 10 / 40
    assert scores.iou == 10 / 50


def test_what_two_chunks_share_is_found_once_but_retrieved_twice() -> None:
    scores = score_spans([(0, 10)], [(0, 10), (0, 10)])
    assert (scores.recall, scores.precision, scores.iou) == (1.0, 0.5, 0.5)


def test_nothing_retrieved_scores_zero() -> None:
    scores = score_spans([(0, 10)], [])
    assert (scores.recall, scores.precision, scores.iou) == (0.0, 0.0, 0.0)


def test_a_question_without_gold_is_refused() -> None:
    with pytest.raises(ValueError, match="gold"):
        score_spans([(3, 3)], [(0, 10)])


@given(spans, spans)
def test_union_and_intersection_are_those_of_the_characters(one: list[Span], other: list[Span]) -> None:
    assert characters(merge(one)) == characters(one)
    assert characters(intersect(merge(one), merge(other))) == characters(one) & characters(other)
    joined = merge(one)
    assert all(before[1] < after[0] for before, after in pairwise(joined))
