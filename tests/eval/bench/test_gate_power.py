"""The gate's promises in a small simulation; `python -m eval.bench.gate_power` is the large one."""

from __future__ import annotations

import pytest

from eval.bench.gate_power import METRICS, lose, main, means, settings, simulate, simulate_judge
from eval.gate import Verdict

GATES = 80


@pytest.mark.parametrize("n", [30, 120])
def test_alike_releases_fail_rarely_and_intervals_hold_the_truth(n: int) -> None:
    tally = simulate(n, GATES, settings=settings(), seed=1)
    assert tally.share(Verdict.FAIL) <= 0.05 + 2 * (0.05 * 0.95 / GATES) ** 0.5
    for metric in METRICS:
        assert tally.covered[metric] / GATES >= 0.93 - 2.5 * (0.07 * 0.93 / GATES) ** 0.5


def test_a_metric_that_loses_its_mde_fails_with_the_declared_power() -> None:
    mean = means()
    alike = simulate(120, 20, settings=settings(), seed=1)
    effect = sorted(alike.mdes["flips"])[10]
    lost = simulate(120, GATES, settings=settings(), seed=3, loss=("flips", effect), mean=mean)
    assert lost.lines["flips", Verdict.FAIL] / GATES >= 0.8 - 2.5 * (0.8 * 0.2 / GATES) ** 0.5
    assert lost.lines["graded", Verdict.FAIL] / GATES <= 0.1


def test_failing_judgements_do_not_make_alike_releases_fail() -> None:
    assert simulate(120, GATES, settings=settings(), seed=2, failing=0.03).share(Verdict.FAIL) <= 0.05


def test_a_noisy_judge_s_interval_holds_the_truth() -> None:
    assert simulate_judge(60, GATES, seed=5).covered["flips"] / GATES >= 0.87


@pytest.mark.parametrize("metric", METRICS)
def test_a_planted_loss_is_as_large_as_it_says(metric: str) -> None:
    import numpy as np

    row = [0.8] * 50_000
    kept = lose(row, 0.2, 0.8, metric, np.random.default_rng(0))
    assert np.mean(np.array(kept, dtype=np.float64)) == pytest.approx(0.6, abs=0.01)


def test_the_command_prints_a_table_and_says_whether_all_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--gates", "4", "--questions", "12"]) in (0, 1)
    assert "| A/A: FAIL |" in capsys.readouterr().out
