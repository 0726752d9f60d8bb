"""Is a difference more than chance: intervals and tests over paired scores of the same questions.

Three things are estimated over questions, and over documents where questions share one:

* `estimate`: a mean with its interval, which the gate reads bounds from;
* `sign_flip`: the paired randomisation test, exact where candidate and baseline are exchangeable;
* `holm`: several tests, one chance of a false alarm.

Why these, by measurement: docs/gate.md. `paired_bootstrap`, the percentile interval, is for benchmarks of many questions.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.student import t_cdf, t_quantile

_BLOCK = 1_000_000
"""Drawn indices held at once."""

_EXACT = 12
"""Up to so many documents that differ, all 2^12 sign patterns are gone through and nothing is drawn."""

_SAME = 1e-9
"""Sums that differ by less are one sum; so rounding cannot decide a tie."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions and how well it is known.

    `mean` is the plain mean. Intervals stand around `centre`, which the imaginary question draws a little towards 0; `se` is
    the standard error and `df` the degrees of freedom of its t. `change` is the typical size of a change (sum of squares /
    sum of sizes), 1 where nothing changed. `noise_share`: how much of the variance the judge alone accounts for.
    """

    mean: float
    centre: float
    se: float
    df: int
    questions: int
    change: float
    noise_share: float

    def lower(self, alpha: float) -> float:
        """Return the bound that the true mean lies above with confidence 1 - alpha."""
        return max(-1.0, self.centre - t_quantile(1 - alpha, self.df) * self.se)

    def upper(self, alpha: float) -> float:
        """Return the bound that the true mean lies below with confidence 1 - alpha."""
        return min(1.0, self.centre + t_quantile(1 - alpha, self.df) * self.se)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return both ends of the interval of nominal coverage 1 - alpha."""
        return self.lower(alpha / 2), self.upper(alpha / 2)

    @property
    def p_drop(self) -> float:
        """The one-sided p of "the true mean is 0 or more" by Student's t; small where it lies below."""
        return t_cdf(self.centre / self.se, self.df)


def codes(clusters: Sequence[Hashable] | None, n: int) -> Codes:
    """Return the clusters as 0, 1, 2, ... by first appearance; each question its own where `clusters` is None."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{n} questions need {n} clusters, got {len(clusters)}")
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(cluster, len(seen)) for cluster in clusters], dtype=np.int64)


def estimate(differences: Floats, *, cluster: Codes | None = None, noise: float = 0.0) -> Estimate:
    """Return the mean of paired differences, each in [-1, 1], with a cluster-robust standard error.

    One imaginary question is added that half won and half lost by the typical size of a change. It costs nothing where
    questions are many, and keeps the interval honest where few of them changed: with no change at all in n questions
    the interval is about +- 2 / n and not nothing.

    Args:
        cluster: code of each question's document; questions of one document may depend on each other in any way. Of a single
            document nothing can be said: the standard error is infinite.
        noise: least variance of the mean, as the judge's repeats show it (`judge_noise`).
    Raises:
        ValueError: there are no questions.
    Source: Bonett and Price, J. Educ. Behav. Stat. 37(4), 2012 (imaginary questions for paired shares); Liang and Zeger,
        Biometrika 73(1), 1986 (cluster-robust variance).
    """
    n = len(differences)
    if not n:
        raise ValueError("a mean over no questions is not defined")
    cluster = np.arange(n) if cluster is None else cluster
    differences = np.where(np.abs(differences) > _SAME, differences, 0.0)
    sizes = float(np.abs(differences).sum())
    change = float((differences**2).sum()) / sizes if sizes > 0 else 1.0
    centre = float(differences.sum()) / (n + 1)
    residuals = np.bincount(cluster, weights=differences - centre)
    imaginary = change**2 + centre**2
    variance = (float((residuals**2).sum()) + imaginary) / (n + 1) ** 2 if len(residuals) > 1 else math.inf
    return Estimate(
        mean=float(differences.mean()),
        centre=centre,
        se=math.sqrt(max(variance, noise)),
        df=max(1, len(residuals) - 1),
        questions=n,
        change=change,
        noise_share=min(1.0, noise / variance),
    )


def p_short(scores: Floats, floor: float, *, cluster: Codes | None = None) -> float:
    """Return the one-sided p of "the true mean score is `floor` or more"; small where it lies below.

    Scores in [0, 1], floor in (0, 1). The variance is that of right-or-wrong scores at the floor, or the cluster-robust one
    where that is larger; half a question is conceded for the grain of counts.
    """
    n = len(scores)
    cluster = np.arange(n) if cluster is None else cluster
    residuals = np.bincount(cluster, weights=scores - scores.mean())
    se = math.sqrt(max(float((residuals**2).sum()) / n, floor * (1 - floor)) / n)
    return t_cdf((float(scores.mean()) + 0.5 / n - floor) / se, max(1, len(residuals) - 1))


def judge_noise(variances: Sequence[float | None]) -> float:
    """Return the variance that the judge alone gives the mean difference: sum of `variances` / n^2.

    `variances` has, of each question, the variance of its recorded difference between repeats (`repeat_variance`); a
    question without repeats counts with the mean of the others.
    """
    known = [variance for variance in variances if variance is not None]
    return sum(known) / len(known) / len(variances) if known else 0.0


def repeat_variance(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Return the variance of mean(candidate) - mean(baseline) over repeated judgements of one question; None below two each."""
    if min(len(baseline), len(candidate)) < 2:
        return None
    return float(np.var(baseline, ddof=1) / len(baseline) + np.var(candidate, ddof=1) / len(candidate))


def sign_flip(
    differences: Floats, *, cluster: Codes | None = None, resamples: int = 10_000, random: np.random.Generator
) -> tuple[float, float]:
    """Return (two-sided p, one-sided p of a drop) of the paired randomisation test, flipped document by document.

    If the two releases are alike, each document's difference is as likely as its negative. Exact by enumeration where
    at most 12 documents differ, else by `resamples` random patterns, the observed one counted among them.

    Cost: O(resamples * documents that differ).
    Source: Fisher 1935; for retrieval Smucker, Allan and Carterette, CIKM 2007; (1 + b) / (1 + n) by Phipson and Smyth 2010.
    """
    cluster = np.arange(len(differences)) if cluster is None else cluster
    sums: Floats = np.bincount(cluster, weights=differences).astype(np.float64)
    sums = sums[np.abs(sums) > _SAME]
    observed, k = float(sums.sum()), len(sums)
    if k <= _EXACT:
        patterns = np.arange(2**k)[:, None] >> np.arange(k) & 1
        flipped, extra = 2 * (patterns @ sums) - observed, 0
    else:
        flipped, extra = np.concatenate(list(_flipped(sums, resamples, random))), 1
    lower = int((flipped <= observed + _SAME).sum())
    both = int((np.abs(flipped) >= abs(observed) - _SAME).sum())
    return (both + extra) / (len(flipped) + extra), (lower + extra) / (len(flipped) + extra)


def _flipped(sums: Floats, resamples: int, random: np.random.Generator) -> Any:
    """Sums under random signs, a block at a time."""
    step = max(1, _BLOCK // len(sums))
    for done in range(0, resamples, step):
        rows = min(step, resamples - done)
        bits = np.unpackbits(np.frombuffer(random.bytes(rows * -(-len(sums) // 8)), np.uint8).reshape(rows, -1), axis=1)
        yield 2 * (bits[:, : len(sums)].astype(np.float64) @ sums) - sums.sum()


def holm(p: Mapping[Any, float]) -> dict[Any, float]:
    """Return the p values adjusted for their number; rejecting those <= alpha errs anywhere with at most alpha.

    Source: Holm, Scandinavian Journal of Statistics 6(2), 1979.
    """
    adjusted: dict[Any, float] = {}
    least = 0.0
    for rank, (key, value) in enumerate(sorted(p.items(), key=lambda item: (item[1], str(item[0])))):
        least = max(least, min(1.0, (len(p) - rank) * value))
        adjusted[key] = least
    return {key: adjusted[key] for key in p}


def generator(seed: int, name: str) -> np.random.Generator:
    """Return a generator of `name`'s own, so that no metric's figures depend on which others are gated."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


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
