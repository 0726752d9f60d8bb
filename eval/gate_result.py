"""What a gate found, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eval.gate_metrics import Verdict

_EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2}

_DIGITS = 6
"""Decimals of figures in JSON."""


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric's line of the report. Failed judgements are scored against the candidate in all figures but `p_worse`.

    `difference` = candidate - baseline, `interval` its two-sided interval of coverage 1 - alpha, `p` two-sided and
    unadjusted. `p_worse` is the least one-sided p of the metric's claims after Holm: FAIL needs it at alpha or below.
    `mde` is the least change for the worse that FAILs with the set power. `failed` judgements are (baseline's, candidate's);
    `ratio` is candidate / baseline, of amounts. `noise_share`: share of the variance that the judge accounts for.
    """

    metric: str
    verdict: Verdict
    reason: str
    questions: int
    baseline: float | None
    candidate: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_worse: float | None
    mde: float | None
    needed: int | None
    failed: tuple[int, int]
    coverage: float
    ratio: float | None = None
    noise_share: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields of the contract, then the others."""
        return {
            "baseline": _rounded(self.baseline),
            "candidate": _rounded(self.candidate),
            "difference": _rounded(self.difference),
            "interval": [_rounded(end) for end in self.interval] if self.interval else None,
            "p": _rounded(self.p),
            "mde": _rounded(self.mde),
            "verdict": self.verdict.value,
            "reason": self.reason,
            "p_worse": _rounded(self.p_worse),
            "questions": self.questions,
            "needed": self.needed,
            "failed_judgements": {"baseline": self.failed[0], "candidate": self.failed[1]},
            "coverage": _rounded(self.coverage),
            "ratio": _rounded(self.ratio),
            "noise_share": _rounded(self.noise_share),
        }


@dataclass(frozen=True, slots=True)
class GateResult:
    """The outcome of a gate; `metrics` in the order of gates.yaml, `reasons` those that decided the verdict.

    `needed` is the number of questions, in this dataset's mix, that would settle all that is open; None where nothing is, or
    where more questions would not help.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    candidate: str
    baseline: str
    dataset: str
    metrics: Mapping[str, MetricResult]
    questions: int
    needed: int | None
    gates: str

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 2 INCONCLUSIVE."""
        return _EXIT[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the head of report.json."""
        return {
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "candidate": self.candidate,
            "baseline": self.baseline,
            "dataset": self.dataset,
            "metrics": {name: metric.to_json() for name, metric in self.metrics.items()},
            "questions": self.questions,
            "needed": self.needed,
            "gates": self.gates,
        }


def needed_of(metrics: Iterable[tuple[int | None, int]], questions: int) -> int | None:
    """Return how many questions of the dataset would settle all: a metric about a quarter of them needs four times as many.

    Args:
        metrics: what each needs, and how many questions it was measured on.
    """
    counts = [math.ceil(needed * questions / of) for needed, of in metrics if needed is not None and of]
    return max(counts, default=None)


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(value, _DIGITS) + 0.0  # no -0.0
