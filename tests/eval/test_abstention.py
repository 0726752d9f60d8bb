"""The risk-coverage curve and its area."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.abstention import area_under_risk_coverage, risk_coverage

outcomes = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=20)


def test_the_surest_answers_come_first() -> None:
    curve = risk_coverage([(0.2, False), (0.9, True), (0.5, True), (0.4, False)])
    assert curve == [(0.25, 0.0), (0.5, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert area_under_risk_coverage(curve) == pytest.approx((1 / 3 + 0.5) / 4)


def test_confidence_that_tells_nothing_gives_the_error_rate_everywhere() -> None:
    curve = risk_coverage([(0.5, True), (0.5, False), (0.5, True), (0.5, True)])
    assert [risk for _, risk in curve] == [0.25] * 4


@given(outcomes)
def test_the_order_of_the_questions_does_not_matter_and_the_whole_has_the_error_rate(
    rows: list[tuple[float, bool]],
) -> None:
    risks, other = ([risk for _, risk in risk_coverage(order)] for order in (rows, sorted(rows)))
    assert risks == pytest.approx(other)
    assert risk_coverage(rows)[-1] == pytest.approx((1.0, sum(not right for _, right in rows) / len(rows)))


def test_no_questions_have_no_area() -> None:
    with pytest.raises(ValueError, match="at least one"):
        area_under_risk_coverage(risk_coverage([]))
