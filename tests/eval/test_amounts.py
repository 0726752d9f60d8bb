"""Ratios of amounts: what a metric's name says of them, and how sure one is."""

from __future__ import annotations

import numpy as np
import pytest

from eval.amounts import paired_ratio, row_name, statistic
from eval.measures import percentile


def test_the_name_says_which_percentile_and_the_percentile_is_that_of_measures() -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 37)
    assert statistic("latency_p95_ms")(values) == pytest.approx(percentile(values.tolist(), 95))
    assert statistic("latency_p50_ms")(values) == pytest.approx(percentile(values.tolist(), 50))
    assert statistic("cost_per_answer")(values) == pytest.approx(values.mean())
    assert [row_name(name) for name in ("latency_p95_ms", "tokens", "wait_p9")] == ["latency_ms", "tokens", "wait"]


def test_twice_as_slow_is_a_ratio_of_two_in_every_resample() -> None:
    values = np.random.default_rng(0).lognormal(3, 1, 50)
    found = paired_ratio(values, 2 * values, metric="latency_p95_ms", resamples=200, random=np.random.default_rng(1))
    assert found.ratio == pytest.approx(2)
    assert np.allclose(found.ratios, 2)
    assert found.baselines.std() > 0


def test_nothing_against_nothing_is_one_and_something_against_nothing_infinite() -> None:
    def ratio(baseline: float, candidate: float) -> float:
        rows = np.full(3, baseline), np.full(3, candidate)
        return paired_ratio(*rows, metric="cost", resamples=5, random=np.random.default_rng(1)).ratio

    assert (ratio(0, 0), ratio(0, 1), ratio(2, 0)) == (1, float("inf"), 0)
