"""Ratios of amounts such as latency, tokens and cost: candidate / baseline of a percentile or of the mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from eval.significance import Floats

TIMES = ("latency", "seconds")
"""How the names of metrics begin that tell how fast a machine was."""

_BLOCK = 1_000_000
"""Drawn values held at once."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Both statistics, and those of the same resamples of questions; `baselines` and `candidates` belong together."""

    baseline: float
    candidate: float
    baselines: Floats
    candidates: Floats

    @property
    def ratio(self) -> float:
        """Candidate / baseline; 1 where both are 0, infinite where only the baseline is."""
        return float(_divide(np.array([self.candidate]), np.array([self.baseline]))[0])

    @property
    def ratios(self) -> Floats:
        """The ratio in each resample."""
        return _divide(self.candidates, self.baselines)


def is_time(metric: str) -> bool:
    """Whether two runs of the same release differ in it."""
    return metric.startswith(TIMES)


def statistic(metric: str) -> Callable[[Floats], Floats]:
    """Return what a metric's name says of a (resamples, questions) array: `latency_p95_ms` the 95th percentile, else the mean."""
    named = re.search(r"_p(\d{1,2})(?=_|$)", metric)
    if named is None:
        return lambda values: values.mean(axis=-1)
    q = int(named[1]) / 100
    return lambda values: _quantile(values, q)


def row_name(metric: str) -> str:
    """Return the metric without its percentile: `latency_p95_ms` is read from rows of `latency_ms` too."""
    return re.sub(r"_p\d{1,2}(?=_|$)", "", metric)


def paired_ratio(
    baseline: Floats, candidate: Floats, *, metric: str, resamples: int, random: np.random.Generator
) -> Ratio:
    """Bootstrap both statistics over the same questions.

    Args:
        baseline, candidate: an amount a question, 0 or above, at least one.
    Cost: O(resamples * questions).
    Source: Efron and Tibshirani 1993.
    """
    measure, n = statistic(metric), len(baseline)
    step = max(1, _BLOCK // n)
    drawn: list[tuple[Floats, Floats]] = []
    for done in range(0, resamples, step):
        rows = random.integers(0, n, (min(step, resamples - done), n))
        drawn.append((measure(baseline[rows]), measure(candidate[rows])))
    first, second = (np.concatenate([pair[side] for pair in drawn]) for side in (0, 1))
    return Ratio(float(measure(baseline[None])[0]), float(measure(candidate[None])[0]), first, second)


def _quantile(values: Floats, q: float) -> Floats:
    """Linear between neighbours, as `measures.percentile`; np.partition, since np.quantile sorts ten times as long."""
    place = (values.shape[-1] - 1) * q
    below = int(place)
    above = min(below + 1, values.shape[-1] - 1)
    parted = np.partition(values, (below, above), axis=-1)
    value: Floats = parted[..., below] + (parted[..., above] - parted[..., below]) * (place - below)
    return value


def _divide(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(below > 0, above / below, np.where(above > 0, np.inf, 1.0))
    return ratio
