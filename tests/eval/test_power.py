"""Minimum detectable effect and needed questions: the two keep each other's promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.power import detectable_drop, questions_needed, questions_to_see_loss
from eval.significance import estimate


def test_so_many_questions_show_a_fault_by_the_rule_of_three() -> None:
    assert [questions_to_see_loss(share, alpha=0.05) for share in (0.02, 0.03, 0.1, 1.0)] == [149, 99, 29, 1]


def needed(differences: list[float], max_drop: float) -> int:
    found = estimate(np.array(differences))
    return questions_needed(found, alpha=0.05, alpha_family=0.01, power=0.8, max_drop=max_drop)


def test_eight_questions_without_a_change_need_what_the_rule_of_three_asks() -> None:
    assert needed([0.0] * 8, 0.02) == 149


@pytest.mark.parametrize("sd", [0.1, 0.3])
def test_needed_questions_are_those_of_the_normal_formula_where_changes_are_many(sd: float) -> None:
    differences = np.random.default_rng(1).normal(0, sd, 300).clip(-1, 1)
    differences -= differences.mean()
    formula = ((1.645 + 0.842) * float(differences.std()) / 0.01) ** 2
    assert needed(differences.tolist(), 0.01) == pytest.approx(formula, rel=0.03)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0]), min_size=2, max_size=60), st.floats(0.01, 0.3))
def test_more_questions_are_needed_than_there_are_where_it_is_open(differences: list[float], max_drop: float) -> None:
    assert needed(differences, max_drop) > len(differences) or np.mean(differences) > -max_drop


@given(st.integers(20, 400), st.floats(0.55, 0.95))
def test_more_questions_detect_less_and_more_power_takes_more(n: int, power: float) -> None:
    def drop(n: int, power: float) -> float:
        return detectable_drop(estimate(np.array([-1.0, 1.0] + [0.0] * (n - 2))), alpha=0.05, power=power) or 2.0

    assert drop(2 * n, power) < drop(n, power) < drop(n, power + 0.04)


def test_a_drop_within_max_drop_is_none_to_detect_where_questions_are_many() -> None:
    found = estimate(np.array([-1.0, 1.0] * 50 + [0.0] * 99_900))
    assert (detectable_drop(found, alpha=0.05, power=0.8, max_drop=0.05) or 0) == pytest.approx(0.05, abs=0.002)


def test_three_questions_and_a_single_document_detect_nothing() -> None:
    assert detectable_drop(estimate(np.zeros(3)), alpha=0.01, power=0.8) is None
    alone = estimate(np.zeros(50), cluster=np.zeros(50, dtype=np.int64))
    assert detectable_drop(alone, alpha=0.05, power=0.8) is None
    assert questions_needed(alone, alpha=0.05, alpha_family=0.05, power=0.8, max_drop=0.5) == 51
