"""Expected misses agree with what is missed when scores are drawn at random."""

from __future__ import annotations

import math

import numpy as np
import pytest

from indexes.kernels import shares_beyond
from indexes.misses import beyond_candidates, depth_for, measured_tail


@pytest.mark.parametrize("error", [0.01, 0.03])
@pytest.mark.parametrize("fetched", [50, 200])
def test_rows_beyond_the_candidates_are_as_many_as_in_a_simulation(fetched: int, error: float) -> None:
    """Rows whose estimates thin out exponentially, with normal errors: count those left out that beat a threshold."""
    random, rate, n_rows, rounds = np.random.default_rng(1), 30.0, 4000, 200
    beyond, expected = [], []
    for _ in range(rounds):
        estimates = np.sort(random.exponential(1 / rate, n_rows))[::-1]
        exact = estimates + error * random.standard_normal(n_rows)
        kth = float(estimates[fetched - 1] + 1.5 * error)
        beyond.append(int((exact[fetched:] > kth).sum()))
        median_gap = float(estimates[fetched // 2] - estimates[fetched - 1])
        expected.append(beyond_candidates(fetched, kth - float(estimates[fetched - 1]), median_gap, error))
    assert np.mean(expected) == pytest.approx(np.mean(beyond), rel=0.25)


def test_a_wider_gap_leaves_fewer_behind_and_equal_scores_leave_unknown_many() -> None:
    gaps = [beyond_candidates(100, gap, 0.02, 0.03) for gap in (-0.05, 0.0, 0.05, 0.1, 0.3)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(0, abs=1e-9)
    assert beyond_candidates(100, 0.0, 0.0, 0.03) == math.inf
    assert beyond_candidates(100, 1.0, 0.0, 0.03) == 0


def test_the_depth_is_the_first_doubling_that_leaves_few_enough() -> None:
    depth = depth_for(100, 0.02, 0.02, 0.03, allowed=0.02, most=100_000)
    doublings = math.log2(depth / 100)
    assert doublings == int(doublings)
    assert beyond_candidates(depth, 0.02 + 0.02 * doublings, 0.02, 0.03) <= 0.02
    assert beyond_candidates(depth // 2, 0.02 + 0.02 * (doublings - 1), 0.02, 0.03) > 0.02
    assert depth_for(100, 0.02, 0.02, 0.03, allowed=0.02, most=150) == 150
    assert depth_for(100, 0.5, 0.01, 0.03, allowed=0.02, most=10_000) == 100


def test_a_tail_gives_the_share_of_the_sample_beyond_each_distance() -> None:
    sample = np.random.default_rng(2).standard_normal(200_000).astype(np.float32)
    tail = measured_tail(sample)
    distances = np.array([-3, 0, 1, 2, 3, 100, -1e6, 1e6], np.float32)
    shares = shares_beyond(-distances, np.ones(8, np.float32), tail.share, kth=0)
    for distance, share in zip(distances[1:5], shares[1:5], strict=True):
        assert share == pytest.approx(float((sample >= distance).mean()), abs=2e-3)
    assert shares[0] == shares[1] == shares[6], "below a list's centroid nothing is told apart"
    assert shares[5] == shares[7] == 0
