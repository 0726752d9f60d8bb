"""The paired bootstrap: symmetric, repeatable, and as wide as the textbook says."""

from __future__ import annotations

import numpy as np
import pytest

from eval.significance import paired_bootstrap


def test_equal_scores_differ_by_nothing() -> None:
    found = paired_bootstrap([0.2, 0.5, 0.9], [0.2, 0.5, 0.9])
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_constant_gain_has_no_width() -> None:
    found = paired_bootstrap([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_the_interval_is_near_the_normal_one_where_questions_are_many() -> None:
    random = np.random.default_rng(5)
    baseline = random.random(2_000)
    candidate = baseline + random.normal(0.02, 0.3, 2_000)
    found = paired_bootstrap(baseline.tolist(), candidate.tolist())
    half = 1.96 * float((candidate - baseline).std()) / 2_000**0.5
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)


def test_swapping_the_two_turns_the_sign_and_a_seed_repeats() -> None:
    one, other = [0.1, 0.9, 0.4, 0.6], [0.3, 0.8, 0.9, 0.5]
    assert paired_bootstrap(one, other).mean == pytest.approx(-paired_bootstrap(other, one).mean)
    assert paired_bootstrap(one, other) == paired_bootstrap(one, other)


@pytest.mark.parametrize(("one", "other"), [([], []), ([0.1], [0.1, 0.2]), ([0.1], [float("nan")])])
def test_scores_that_do_not_pair_are_refused(one: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="score"):
        paired_bootstrap(one, other)
