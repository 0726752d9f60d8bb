"""What changed between the two answers to a question, and whether for the worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.amounts import TIMES, row_name
from eval.gates import LOWER_IS_BETTER, Gates
from eval.reports.model import Question

_AMOUNTS = (*TIMES, "tokens", "cost")


@dataclass(frozen=True, slots=True)
class Change:
    """One score of a question; `gain` is above 0 where the candidate is better, None where either judgement failed."""

    metric: str
    baseline: float | None
    candidate: float | None
    gain: float | None

    @property
    def differs(self) -> bool:
        return self.baseline != self.candidate


def is_amount(metric: str) -> bool:
    """Whether it is no score in [0, 1]; amounts differ at every question, so they make none a changed one."""
    return metric.startswith(_AMOUNTS)


def lower_is_better(gates: Gates) -> Mapping[str, bool]:
    """Return the direction of each gated metric, by its own name and by that of the rows it is read from."""
    return {name: rule.lower for rule in gates.rules for name in (rule.metric, row_name(rule.metric))}


def finite(value: float | None) -> float | None:
    """Return the value, or None where there is none to show."""
    return value if value is not None and math.isfinite(value) else None


def changes(question: Question, gates: Gates) -> list[Change]:
    """Return the scores of a question that either side has: gated metrics in the gates' order, then the others by name."""
    lower = lower_is_better(gates)
    scores = (question.baseline.scores, question.candidate.scores)
    order = [name for name in lower if any(name in side for side in scores)]
    order += sorted({*scores[0], *scores[1]} - set(order))
    return [_change(name, *scores, lower.get(name, name in LOWER_IS_BETTER or is_amount(name))) for name in order]


def _change(
    metric: str, baseline: Mapping[str, float | None], candidate: Mapping[str, float | None], lower: bool
) -> Change:
    before, after = finite(baseline.get(metric)), finite(candidate.get(metric))
    if before is None or after is None:
        return Change(metric, before, after, None)
    return Change(metric, before, after, (before - after if lower else after - before) + 0.0)


def moved(rows: Sequence[Change]) -> list[Change]:
    """Return the scores in which the two sides differ; amounts do not count."""
    return [row for row in rows if row.differs and not is_amount(row.metric)]


def changed(question: Question, rows: Sequence[Change]) -> bool:
    """Whether a reader would see another outcome: another answer, abstention, error or score."""
    before, after = question.baseline, question.candidate
    outcome = (before.answer, before.abstained, before.error) != (after.answer, after.abstained, after.error)
    return outcome or bool(moved(rows))


def loss(rows: Sequence[Change], gates: Gates) -> float:
    """Return how much worse a question came out: gated losses first, then gains and what is not gated.

    A judgement that failed on the candidate's side alone is a whole loss.
    """
    gated = lower_is_better(gates)
    total = 0.0
    for row in moved(rows):
        lost = -row.gain if row.gain is not None else float(row.candidate is None)
        total += lost if row.metric in gated else lost / 1000
    return total


def outcome_words(question: Question) -> str:
    """Say in a few words how the answer changed, in no words of any document."""
    before, after = _state(question, "baseline"), _state(question, "candidate")
    if before != after:
        return f"{before} → {after}"
    same = question.baseline.answer == question.candidate.answer
    return before if same else f"{before}, in other words"


def _state(question: Question, side: str) -> str:
    shown = getattr(question, side)
    return "failed" if shown.error else "abstained" if shown.abstained else "answered"
