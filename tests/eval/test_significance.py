"""Intervals and tests over paired scores: as wide as the textbook says, by document, repeatable."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.significance import estimate, holm, judge_noise, p_short, paired_bootstrap, repeat_variance, sign_flip


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


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_no_change_at_all_still_has_an_interval_that_narrows_as_one_over_n() -> None:
    few, many = (estimate(np.zeros(n)).interval(0.05) for n in (8, 172))
    assert few == pytest.approx((-0.263, 0.263), abs=1e-3)
    assert many == pytest.approx((-0.0114, 0.0114), abs=1e-4)


def test_many_questions_give_the_textbook_interval() -> None:
    differences = rng().normal(-0.02, 0.3, 4_000).clip(-1, 1)
    low, high = estimate(differences).interval(0.05)
    half = 1.96 * float(differences.std()) / 4_000**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=0.01)
    assert (high + low) / 2 == pytest.approx(float(differences.mean()), abs=1e-4)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40))
def test_the_interval_holds_the_mean_and_turns_its_sign_with_the_differences(values: list[float]) -> None:
    found, turned = estimate(np.array(values)), estimate(-np.array(values))
    low, high = found.interval(0.05)
    assert low - 1e-9 <= found.mean <= high + 1e-9
    assert turned.interval(0.05) == pytest.approx((-high, -low), abs=1e-12)
    assert -1 <= low <= high <= 1


def test_copies_of_a_question_in_one_document_tell_no_more_than_one() -> None:
    differences = rng().normal(0, 0.3, 50).clip(-1, 1)
    copied, cluster = np.repeat(differences, 4), np.repeat(np.arange(50), 4)
    assert estimate(copied, cluster=cluster).se == pytest.approx(estimate(differences).se, rel=0.03)
    assert estimate(copied).se < 0.55 * estimate(differences).se


def test_of_a_single_document_nothing_can_be_said() -> None:
    assert estimate(np.zeros(50), cluster=np.zeros(50, dtype=np.int64)).interval(0.05) == (-1, 1)


def test_a_noisy_judge_widens_the_interval_where_scores_hide_it_and_is_not_counted_twice() -> None:
    hidden = estimate(np.zeros(100), noise=0.05**2)
    assert (hidden.se, hidden.noise_share) == (pytest.approx(0.05), 1.0)
    seen = rng().normal(0, 0.5, 100).clip(-1, 1)
    assert estimate(seen, noise=0.03**2).se == estimate(seen).se
    assert 0 < estimate(seen, noise=0.03**2).noise_share < 1


def test_judge_noise_is_the_variance_of_the_mean_and_questions_without_repeats_take_the_mean_of_the_others() -> None:
    variance = repeat_variance([0.0, 1.0], [1.0, 1.0])
    assert variance == pytest.approx(0.25)
    assert judge_noise([variance, 0.75, None, None]) == pytest.approx(0.5 / 4)
    assert judge_noise([None, None]) == 0
    assert repeat_variance([1.0], [1.0, 0.0]) is None


def test_five_losses_of_thirty_are_one_in_thirty_two_by_chance() -> None:
    differences = np.array([-1.0] * 5 + [0.0] * 25)
    assert sign_flip(differences, random=rng()) == (2 / 32, 1 / 32)


def test_drawn_signs_agree_with_the_binomial_where_there_are_too_many_to_enumerate() -> None:
    differences = np.array([-1.0] * 14 + [1.0] * 6)
    exact = sum(math.comb(20, k) for k in range(7)) / 2**20
    two_sided, lower = sign_flip(differences, resamples=20_000, random=rng())
    assert lower == pytest.approx(exact, abs=0.006)
    assert two_sided == pytest.approx(2 * exact, abs=0.01)


def test_a_document_is_flipped_as_a_whole() -> None:
    differences, cluster = np.full(8, -1.0), np.repeat([0, 1], 4)
    assert sign_flip(differences, cluster=cluster, random=rng()) == (2 / 4, 1 / 4)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.3, 1.0]), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_p_value_is_above_0_at_most_1_and_repeats(values: list[float]) -> None:
    once, again = (sign_flip(np.array(values), resamples=999, random=rng()) for _ in range(2))
    assert once == again
    assert all(0 < p <= 1 for p in once)


def test_holm_multiplies_the_least_by_all_and_never_lets_a_later_one_fall_below() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8})["a"] == 1


def test_ten_of_thirty_are_far_below_a_floor_of_nine_tenths_and_twenty_six_are_not() -> None:
    def share(right: int) -> float:
        return p_short(np.array([1.0] * right + [0.0] * (30 - right)), 0.9)

    assert share(10) < 1e-4
    assert 0.2 < share(26) < 0.8
    assert share(30) > 0.9
