"""Student's t: the printed tables, and its own inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.student import t_cdf, t_quantile


@pytest.mark.parametrize(
    ("p", "df", "printed"),
    [(0.95, 1, 6.313752), (0.975, 1, 12.706205), (0.975, 10, 2.228139), (0.95, 29, 1.699127), (0.975, 1000, 1.962339)],
)
def test_quantiles_are_those_of_the_printed_tables(p: float, df: int, printed: float) -> None:
    assert t_quantile(p, df) == pytest.approx(printed, abs=1e-6)


@given(p=st.floats(1e-6, 1 - 1e-6), df=st.integers(1, 5000))
def test_the_quantile_inverts_the_distribution_and_is_symmetric(p: float, df: int) -> None:
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-9)
    assert t_cdf(-1.5, df) == pytest.approx(1 - t_cdf(1.5, df), abs=1e-12)


@pytest.mark.parametrize(("p", "df"), [(0.0, 5), (1.0, 5), (0.5, 0)])
def test_what_has_no_quantile_is_refused(p: float, df: float) -> None:
    with pytest.raises(ValueError, match="t_quantile needs"):
        t_quantile(p, df)
