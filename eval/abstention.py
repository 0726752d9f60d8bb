"""How well a system knows when it does not know: the risk-coverage curve. Pure.

`eval.answers` has false and right abstention at the one threshold that is served; here are all thresholds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean


def risk_coverage(outcomes: Iterable[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Return (coverage, risk) for each number of questions answered, surest first.

    coverage = answered / all; risk = wrong / answered. Questions of equal confidence cannot be told apart by a threshold, so
    each adds the mean error of their group and their order does not matter.

    Args:
        outcomes: (confidence, whether the answer is right) of each question; an abstention has the lowest confidence of all.
    Source: El-Yaniv and Wiener, JMLR 11, 2010.
    """
    ordered = sorted(outcomes, key=lambda outcome: -outcome[0])
    curve: list[tuple[float, float]] = []
    wrong = 0.0
    for _, group in groupby(ordered, key=lambda outcome: outcome[0]):
        rights = [right for _, right in group]
        each = 1 - fmean(rights)
        for _ in rights:
            wrong += each
            curve.append(((len(curve) + 1) / len(ordered), wrong / (len(curve) + 1)))
    return curve


def area_under_risk_coverage(curve: Sequence[tuple[float, float]]) -> float:
    """Return the mean risk over all coverages, in [0, 1]; lower is better, a random order has the error rate.

    Raises:
        ValueError: the curve is empty.
    Source: Geifman, Uziel and El-Yaniv, arXiv:1805.08206.
    """
    if not curve:
        raise ValueError("a risk-coverage curve needs at least one question")
    return fmean(risk for _, risk in curve)
