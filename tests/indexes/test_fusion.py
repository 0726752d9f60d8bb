"""Fusion is arithmetic that can be followed with a pencil."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.fusion import (
    convex,
    marginal_relevance,
    reciprocal_rank,
    theoretical_min_max,
    with_document_mean,
    with_document_terms,
)


def vector(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_scores_are_scaled_from_the_least_possible_to_the_best_found() -> None:
    assert theoretical_min_max(vector(1.0, 0.0, -1.0), minimum=-1.0).tolist() == [1.0, 0.5, 0.0]
    assert theoretical_min_max(vector(8.0, 2.0, 0.0), minimum=0.0).tolist() == [1.0, 0.25, 0.0]


def test_a_part_that_found_nothing_weighs_nothing() -> None:
    assert theoretical_min_max(vector(0.0, 0.0), minimum=0.0).tolist() == [0.0, 0.0]
    assert theoretical_min_max(vector(), minimum=0.0).tolist() == []
    assert convex(vector(1.0, 0.0), vector(0.0, 0.0), dense_weight=0.75).tolist() == [0.75, 0.375]


def test_the_convex_combination_is_the_weighted_sum_of_the_scaled_scores() -> None:
    #      dense' = (1, 0.5, 0), lexical' = (0, 0.25, 1)
    fused = convex(vector(1.0, 0.0, -1.0), vector(0.0, 2.0, 8.0), dense_weight=0.75)
    assert fused.tolist() == [0.75, 0.75 * 0.5 + 0.25 * 0.25, 0.25]


GROUPS = np.array([1, 0, 1])
"""The first and the last chunk are of one document."""


def test_a_chunk_has_a_share_of_the_mean_of_its_document() -> None:
    assert with_document_mean(vector(1.0, 0.5, 0.0), GROUPS, share=0.5).tolist() == [0.75, 0.5, 0.25]
    assert with_document_mean(vector(1.0, 0.5, 0.0), GROUPS, share=0.0).tolist() == [1.0, 0.5, 0.0]
    assert with_document_mean(vector(), GROUPS[:0], share=0.5).tolist() == []


def test_a_chunk_has_a_share_of_what_its_document_says_of_each_term() -> None:
    #                     chunk:  0    1    2         own sums 4, 4, 3; document 0+2: max(4, 1) + max(0, 2) = 6
    terms = np.array([[4.0, 2.0, 1.0], [0.0, 2.0, 2.0]], dtype=np.float32)
    assert with_document_terms(terms, GROUPS, share=0.5).tolist() == [5.0, 4.0, 4.5]
    assert with_document_terms(terms, GROUPS, share=0.0).tolist() == [4.0, 4.0, 3.0]
    assert with_document_terms(terms[:0], GROUPS, share=0.5).tolist() == [0.0, 0.0, 0.0]
    assert with_document_terms(terms[:, :0], GROUPS[:0], share=0.5).tolist() == []


def test_marginal_relevance_passes_over_what_was_said_already() -> None:
    #  1 is as good as a copy of 0: 0.5 * 0.75 - 0.5 * 1 = -0.125, while 2 is 0.5 * 0.5 - 0 = 0.25
    alike = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32)
    places, values = marginal_relevance(vector(1.0, 0.75, 0.5), alike, diversity=0.5, top_k=3)
    assert places.tolist() == [0, 2, 1]
    assert values.tolist() == [0.5, 0.25, -0.125]
    assert marginal_relevance(vector(1.0, 0.75, 0.5), alike, diversity=0.0, top_k=2)[0].tolist() == [0, 1]
    assert marginal_relevance(vector(), alike[:0, :0], diversity=0.5, top_k=3)[0].tolist() == []


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12), st.floats(0, 0.875, width=32), st.integers(0, 99))
def test_marginal_relevance_chooses_each_once_by_descending_value(
    found: list[float], diversity: float, seed: int
) -> None:
    alike = np.random.default_rng(seed).random((len(found), len(found)), dtype=np.float32)
    places, values = marginal_relevance(vector(*found), alike, diversity=diversity, top_k=len(found))
    assert sorted(places.tolist()) == list(range(len(found)))
    assert (np.diff(values) <= 0).all()


def test_reciprocal_rank_fusion_sums_one_over_sixty_plus_rank() -> None:
    fused = reciprocal_rank(np.array([5, 3]), np.array([3, 9]))
    assert fused == pytest.approx({5: 1 / 61, 3: 1 / 62 + 1 / 61, 9: 1 / 62})
    assert max(fused, key=lambda row: fused[row]) == 3, "found by both beats found first by one"


COSINE = st.floats(-1, 1, width=32)
BM25 = st.floats(0, 50, width=32)
CANDIDATES = st.lists(st.tuples(COSINE, BM25), min_size=1, max_size=20)
WEIGHT = st.floats(0, 1)


def fuse(candidates: list[tuple[float, float]], weight: float) -> np.ndarray:
    return convex(vector(*(c[0] for c in candidates)), vector(*(c[1] for c in candidates)), dense_weight=weight)


@given(CANDIDATES, WEIGHT)
def test_fused_scores_lie_between_0_and_1(candidates: list[tuple[float, float]], weight: float) -> None:
    fused = fuse(candidates, weight)
    assert fused.dtype == np.float32
    assert ((fused >= 0) & (fused <= 1)).all()


@given(CANDIDATES, WEIGHT)
def test_a_candidate_that_is_better_in_both_parts_is_never_behind(
    candidates: list[tuple[float, float]], weight: float
) -> None:
    fused = fuse(candidates, weight)
    for one, one_score in zip(candidates, fused, strict=True):
        for other, other_score in zip(candidates, fused, strict=True):
            if one[0] >= other[0] and one[1] >= other[1]:
                assert one_score >= other_score


@given(CANDIDATES, WEIGHT, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(
    candidates: list[tuple[float, float]], weight: float, random: object
) -> None:
    places = list(range(len(candidates)))
    random.shuffle(places)  # type: ignore[attr-defined]
    shuffled = fuse([candidates[place] for place in places], weight)
    assert shuffled.tolist() == fuse(candidates, weight)[places].tolist()
