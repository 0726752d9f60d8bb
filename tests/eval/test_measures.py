"""Retrieval measures against figures worked out by hand, and what must hold for any ranking."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log2
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval import measures

QRELS = {"a": 3, "b": 2, "c": 1, "junk": 0, "spam": -1}
AT_K = [measures.ndcg, measures.recall, measures.precision, measures.reciprocal_rank, measures.hit]
documents = st.lists(st.sampled_from([f"d{n}" for n in range(12)]), unique=True)
judgements = st.dictionaries(st.sampled_from([f"d{n}" for n in range(12)]), st.integers(-1, 3))


def test_ndcg_uses_the_relevance_itself_as_gain_like_trec_eval() -> None:
    """2^rel - 1 would give (1 + 7 / log2(4)) / (7 + 3 / log2(3) + 1 / log2(4)) = 0.479 here."""
    expected = (1 / log2(2) + 3 / log2(4)) / (3 / log2(2) + 2 / log2(3) + 1 / log2(4))
    assert measures.ndcg(QRELS, ["c", "x", "a"], k=10) == pytest.approx(expected)
    assert expected == pytest.approx(0.525, abs=0.001)


def test_ndcg_cuts_the_ideal_at_k_too() -> None:
    assert measures.ndcg(QRELS, ["a"], k=1) == 1.0
    assert measures.ndcg(QRELS, ["b", "a"], k=1) == pytest.approx(2 / 3)


def test_negative_relevance_gains_nothing_and_takes_nothing() -> None:
    assert measures.ndcg(QRELS, ["spam", "a"], k=2) == measures.ndcg(QRELS, ["unjudged", "a"], k=2)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (partial(measures.recall, k=3), 2 / 3),
        (partial(measures.precision, k=3), 2 / 3),
        (partial(measures.precision, k=10), 2 / 10),
        (partial(measures.reciprocal_rank, k=10), 1 / 2),
        (partial(measures.reciprocal_rank, k=1), 0.0),
        (partial(measures.hit, k=1), 0.0),
        (partial(measures.hit, k=2), 1.0),
        (measures.average_precision, (1 / 2 + 2 / 3) / 3),
    ],
)
def test_measures_give_the_figures_worked_out_by_hand(measure: measures.Measure, expected: float) -> None:
    assert measure(QRELS, ["junk", "b", "a", "x"]) == pytest.approx(expected)


@pytest.mark.parametrize("measure", [*(partial(one, k=5) for one in AT_K), measures.average_precision])
def test_an_unanswered_query_and_one_without_relevant_documents_score_zero(measure: measures.Measure) -> None:
    assert measure(QRELS, []) == 0.0
    assert measure({"a": 0}, ["a"]) == 0.0


def test_an_unanswered_query_stays_in_the_mean() -> None:
    qrels = {"q1": {"a": 1}, "q2": {"a": 1}}
    assert measures.mean(partial(measures.hit, k=1), qrels, {"q1": ["a"], "unjudged": ["a"]}) == 0.5


def test_a_document_ranked_twice_is_refused_because_it_would_count_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        measures.ndcg({"a": 1}, ["a", "a"], k=2)


@pytest.mark.parametrize("measure", AT_K)
def test_a_cut_below_one_is_refused(measure: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        measure(QRELS, ["a"], k=0)


def test_the_mean_over_no_queries_is_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        measures.mean(measures.average_precision, {}, {})


@given(judgements, documents, st.integers(1, 12))
def test_measures_stay_between_zero_and_one(qrels: dict[str, int], ranked: list[str], k: int) -> None:
    values = [measure(qrels, ranked, k=k) for measure in AT_K] + [measures.average_precision(qrels, ranked)]
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in values)


@given(judgements, documents)
def test_the_ideal_order_scores_one_and_no_order_beats_it(qrels: dict[str, int], ranked: list[str]) -> None:
    ideal = sorted(qrels, key=lambda name: -qrels[name])
    best = measures.ndcg(qrels, ideal, k=12)
    assert best == pytest.approx(1.0 if any(gain > 0 for gain in qrels.values()) else 0.0)
    assert measures.ndcg(qrels, ranked, k=12) <= best + 1e-12


@given(judgements, documents, st.integers(0, 10))
def test_moving_a_relevant_document_up_never_lowers_a_measure(
    qrels: dict[str, int], ranked: list[str], place: int
) -> None:
    if place + 1 >= len(ranked) or qrels.get(ranked[place + 1], 0) <= max(qrels.get(ranked[place], 0), 0):
        return
    better = [*ranked[:place], ranked[place + 1], ranked[place], *ranked[place + 2 :]]
    for measure in [*(partial(one, k=12) for one in AT_K), measures.average_precision]:
        assert measure(qrels, better) >= measure(qrels, ranked) - 1e-12


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(0, 100))
def test_percentiles_agree_with_numpy(values: list[float], q: float) -> None:
    assert measures.percentile(values, q) == pytest.approx(float(np.percentile(values, q)), rel=1e-9, abs=1e-6)


def test_latency_names_the_median_the_95th_percentile_and_the_worst() -> None:
    values = [float(n) for n in range(1, 101)]
    assert measures.latency(values) == {"p50": median(values), "p95": pytest.approx(95.05), "max": 100.0}
    assert measures.latency([]) == {"p50": 0.0, "p95": 0.0, "max": 0.0}
