"""One metric's scores of both releases, side by side, with failed judgements filled in twice: for and against the candidate."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from eval.gates import Rule
from eval.significance import Codes, Floats, codes
from indexes.errors import ConfigError

Row = Sequence[float | None]
"""One value a question, in the dataset's order; None (or NaN) is a judgement that failed."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The questions that the metric applies to.

    `worst` has each failed judgement against the candidate (its own the worst value, the baseline's the best one); `best`
    has it the other way round, and is the same object where none failed. Both are (baseline, candidate). PASS is read from
    `worst` and FAIL from `best`, so that a judge that fails can bring about neither. `kept`: their places in the dataset.
    """

    worst: tuple[Floats, Floats]
    best: tuple[Floats, Floats]
    cluster: Codes
    baseline_failed: int
    candidate_failed: int
    kept: tuple[int, ...]

    @property
    def questions(self) -> int:
        return len(self.kept)

    @property
    def coverage(self) -> float:
        """Share of the questions with a judgement, of the release with fewer; 0 where there are no questions."""
        failed = max(self.baseline_failed, self.candidate_failed)
        return (self.questions - failed) / self.questions if self.questions else 0.0


def pair(
    rule: Rule,
    baseline: Row,
    candidate: Row,
    *,
    clusters: Sequence[Hashable] | None = None,
    applies: Sequence[bool] | None = None,
) -> Pairs:
    """Return the pairs of one metric.

    Args:
        clusters: each question's document; None means that no two share one.
        applies: whether the metric is about the question; None means all are.
    Raises:
        ConfigError: lengths differ, or a value is out of range; the message names metric, release and question (from 1).
    """
    n = len(baseline)
    for name, length in (("candidate", candidate), ("clusters", clusters), ("applies", applies)):
        if length is not None and len(length) != n:
            raise ConfigError(
                f"{rule.metric}: the baseline has {n} questions, {name} has {len(length)}; they must align"
            )
    kept = tuple(place for place in range(n) if applies is None or applies[place])
    first, second = (_values(rule, name, row, kept) for name, row in (("baseline", baseline), ("candidate", candidate)))
    low, high = _range(rule, first, second)
    bad, good = (high, low) if rule.lower else (low, high)
    worst = _filled(first, good), _filled(second, bad)
    whole = not np.isnan(first).any() and not np.isnan(second).any()
    return Pairs(
        worst=worst,
        best=worst if whole else (_filled(first, bad), _filled(second, good)),
        cluster=codes(None if clusters is None else [clusters[place] for place in kept], len(kept)),
        baseline_failed=int(np.isnan(first).sum()),
        candidate_failed=int(np.isnan(second).sum()),
        kept=kept,
    )


def _values(rule: Rule, release: str, row: Row, kept: Sequence[int]) -> Floats:
    values = np.empty(len(kept))
    high = math.inf if rule.amount else 1.0
    for place, question in enumerate(kept):
        value = row[question]
        number = math.nan if value is None else float(value)
        if number == math.inf or not (math.isnan(number) or 0 <= number <= high):
            wanted = "0 or above and finite" if rule.amount else "in [0, 1]"
            raise ConfigError(f"{rule.metric} of the {release}, question {question + 1}: {number!r} is not {wanted}")
        values[place] = number
    return values


def _range(rule: Rule, *rows: Floats) -> tuple[float, float]:
    """What a failed judgement could have been: any score, or any amount that was seen."""
    if not rule.amount:
        return 0.0, 1.0
    seen = np.concatenate(rows)
    seen = seen[~np.isnan(seen)]
    return (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)


def _filled(values: Floats, fill: float) -> Floats:
    return np.where(np.isnan(values), fill, values)
