"""What a judge said of each question, and what it failed to say: values, failures, coverage, noise. Pure.

Denominators are fixed before the judge is asked: every question that a measure applies to stays in, and a failed judgement is None with its reason.
A mean therefore never rises because a judgement failed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from eval.answers import Share, share


class JudgementFailed(Exception):
    """One judgement cannot be had; the message says why. It is counted for its question and ends no run."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One question's value by one measure, once for each repeat; None where the judge failed.

    Args:
        values: in the order of the repeats, at least one.
        faults: why, one for each None among `values`, in their order.
    """

    values: tuple[float | None, ...]
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.values or len(self.faults) != self.values.count(None):
            raise ValueError("a judgement needs a value for each repeat and a reason for each that failed")

    @property
    def value(self) -> float | None:
        """The mean of the repeats; None if any failed: a mean over those that came through would be a choice among them."""
        known = [value for value in self.values if value is not None]
        return fmean(known) if len(known) == len(self.values) else None


@dataclass(frozen=True)
class JudgeReport:
    """Judgements by measure, each aligned to the questions that the measure applies to.

    Args:
        judge: the model's name.
        ids: those questions by measure, in the dataset's order; the dataset alone decides which they are.
        directions: "higher" or "lower" is better, by measure.
        requests, cached: replies that the server gave, and that the cache had.
    """

    judge: str
    ids: Mapping[str, tuple[str, ...]]
    judgements: Mapping[str, tuple[Judgement, ...]]
    directions: Mapping[str, str]
    requests: int = 0
    cached: int = 0

    def scores(self) -> dict[str, tuple[float | None, ...]]:
        """Return each measure's values in the order of its `ids`; None is a failed judgement."""
        return {name: tuple(one.value for one in row) for name, row in self.judgements.items()}

    @cached_property
    def coverage(self) -> Mapping[str, Share]:
        """Questions judged, of all, by measure."""
        return {name: share(value is not None for value in row) for name, row in self.scores().items()}

    @cached_property
    def means(self) -> Mapping[str, float | None]:
        """Means over all questions, a failed judgement at the measure's worst; None where there is no question."""
        return {name: worst_case_mean(row, self.directions[name]) for name, row in self.scores().items()}

    @cached_property
    def noise(self) -> Mapping[str, float | None]:
        """The judge's standard deviation between repeats of one question, by measure; see `repeat_noise`."""
        return {name: repeat_noise([one.values for one in row]) for name, row in self.judgements.items()}

    def to_json(self) -> dict[str, Any]:
        """Return figures, coverage and every failure with its question and reason; nothing that depends on the time."""
        return {
            "judge": self.judge,
            "measures": {
                name: {
                    "mean": None if self.means[name] is None else round(self.means[name] or 0.0, 6),
                    "coverage": self.coverage[name].to_json(),
                    "noise": self.noise[name],
                }
                for name in self.judgements
            },
            "failures": [
                {"id": question, "measure": name, "reason": fault}
                for name, row in self.judgements.items()
                for question, one in zip(self.ids[name], row, strict=True)
                for fault in one.faults
            ],
        }


def worst_case_mean(values: Sequence[float | None], direction: str) -> float | None:
    """Return the mean with each None at the worst end of [0, 1]: 0 where higher is better, 1 where lower is."""
    worst = 0.0 if direction == "higher" else 1.0
    return fmean(worst if value is None else value for value in values) if values else None


def repeat_noise(questions: Sequence[Sequence[float | None]]) -> float | None:
    """Return the pooled standard deviation of repeats around their question's mean; None with no question judged twice.

    s^2 = sum over questions of sum over repeats of (x - mean)^2, divided by the sum of (repeats - 1).
    Source: the within-group mean square of a one-way analysis of variance (Fisher 1925).
    """
    known = [[value for value in values if value is not None] for values in questions]
    pooled = [values for values in known if len(values) > 1]
    freedom = sum(len(values) - 1 for values in pooled)
    squares = sum((value - fmean(values)) ** 2 for values in pooled for value in values)
    return math.sqrt(squares / freedom) if freedom else None
