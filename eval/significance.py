"""Is a difference more than chance: intervals over paired scores of the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 1_000_000
"""Drawn indices held at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of candidate minus baseline, with the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_bootstrap(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 20261121,
) -> Difference:
    """Return the mean difference of paired scores with its percentile bootstrap interval.

    Args:
        baseline: one score a question.
        candidate: the scores of the same questions in the same order.
        resamples: how often questions are drawn with replacement, at least 1.
        alpha: 1 - alpha is the interval's nominal coverage, in (0, 1).
        seed: equal seeds give equal intervals.
    Raises:
        ValueError: no questions, unequal lengths, or a score that is not a number.
    Cost: O(resamples * questions).
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap; for retrieval Sakai, SIGIR 2006.
    """
    if not baseline or len(baseline) != len(candidate):
        raise ValueError(f"paired scores need equal lengths above 0, got {len(baseline)} and {len(candidate)}")
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise ValueError("a score is not a number; a failed question must count as 0")
    random = np.random.default_rng(seed)
    n = len(differences)
    step = max(1, _BLOCK // n)
    means = [
        differences[random.integers(0, n, (min(step, resamples - done), n))].mean(axis=1)
        for done in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(means), (alpha / 2, 1 - alpha / 2))
    return Difference(float(differences.mean()), float(low), float(high))
